import Foundation
import NN
import Optim
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct ForecastProtocolTests {
    @Test func theStationsHaveTheirBorders() throws {
        let series: TimeSeries = Waves.series(length: 14_500, variables: 1)
        let data: ForecastProtocol = try ForecastProtocol(series, split: .ett)
        #expect([data.split.train, data.split.validation, data.split.test] == [0..<8640, 8640..<11_520, 11_520..<14_400])
        let test: ForecastWindows = try data.windows(.test, lookback: 96, horizon: 96)
        #expect(test.count == 2785 && test.start(0) == 11_424 && test.start(test.count - 1) == 14_208)
        #expect(try data.windows(.train, lookback: 96, horizon: 96).count == 8449)
        #expect(data.data.scaler == StandardScaler(series, over: 0..<8640))
        #expect(throws: DataFormatError.self) { try ForecastProtocol(Waves.series(length: 100), split: .ett) }
    }

    @Test func batchesHoldWhatTheSeriesHolds() throws {
        let data: ForecastProtocol = try Waves.protocolled()
        let windows: ForecastWindows = try data.windows(.train, lookback: 10, horizon: 4)
        let (input, target): (ForecastInput, Tensor) = windows.batch([5, 2]).tensors(device: .cpu)
        #expect(input.starts == [5, 2] && input.values.shape == [2, 10, 3] && target.shape == [2, 4, 3])
        let restored: [Float] = data.data.restored(target).array()
        #expect(abs(restored[0] - data.data.series.values[15 * 3]) < 1e-4)
        let calendar: [Float] = try #require(input.calendar?.selected(axis: 0, index: 1).array())
        #expect(Array(calendar[..<4]) == data.data.calendar?.features(at: 2))
        let thinned: ForecastWindows = windows.thinned(every: 3).thinned(every: 2)
        #expect(thinned.count == (windows.count + 5) / 6 && thinned.start(2) == 12)
    }

    /// The last, incomplete batch counts: errors do not depend on how windows are batched.
    @Test func errorsAreMeansOverAllWindows() throws {
        let data: ForecastProtocol = try Waves.protocolled()
        let windows: ForecastWindows = try data.windows(.test, lookback: 10, horizon: 4)
        let repeated: RepeatForecaster = RepeatForecaster(lookback: 10, horizon: 4)
        let score: ForecastScore = repeated.score(windows, rows: 9)
        let (width, values): (Int, [Float]) = (3, data.data.scaled.values)
        var (squares, distances): (Double, Double) = (0, 0)
        for index in 0..<windows.count {
            let last: Int = windows.start(index) + 9
            for ahead in 1...4 {
                for variable in 0..<width {
                    let error: Double = Double(values[(last + ahead) * width + variable]) - Double(values[last * width + variable])
                    squares += error * error
                    distances += abs(error)
                }
            }
        }
        let count: Double = Double(windows.count * 4 * width)
        #expect(score.windows == windows.count && windows.count % 9 != 0)
        #expect(abs(score.meanSquaredError - squares / count) < 1e-6 && abs(score.meanAbsoluteError - distances / count) < 1e-6)
        #expect(abs(score.meanSquaredError(first: 4) - score.meanSquaredError) < 1e-9)
        #expect(score.meanSquaredError(first: 1) < score.meanSquaredError)
        let moved: ForecastScore = repeated.score(windows) { $0.values.narrowed(axis: 1, start: 0, length: 1).zerosLike() + 100 }
        #expect(moved.meanSquaredError > 9000)
    }

    @Test func movingAveragesRepeatTheEnds() {
        let x: Tensor = Tensor((0..<40).map { Float($0) }, [1, 1, 40], device: .cpu)
        let average: [Float] = DLinear.movingAverage(x).array()
        #expect(average.count == 40 && abs(average[20] - 20) < 1e-5)
        // Twelve zeros before the first, then 0 ... 12: their sum over 25.
        #expect(abs(average[0] - 78.0 / 25) < 1e-5)
    }

    private func training(steps: Int) throws -> ForecastTraining {
        ForecastTraining(
            optimizer: .adamw(try AdamWConfiguration(learningRate: 1e-2)), trainer: try TrainerConfiguration(steps: steps, seed: 1),
            rows: 16)
    }

    @Test(arguments: [ForecasterKind.sMamba, .iTransformer, .dLinear, .linear])
    func forecastersLearn(kind: ForecasterKind) throws {
        let data: ForecastProtocol = try Waves.protocolled()
        seedEverything(1)
        let forecaster: any Forecaster = try ForecasterConfiguration(
            kind, lookback: 24, horizon: 6, dimensions: 16, layers: 1, heads: 2, dropout: 0
        ).make()
        let windows: ForecastWindows = try data.windows(.test, lookback: 24, horizon: 6)
        let result: TrainingResult = try training(steps: 60).run(
            forecaster, train: try data.windows(.train, lookback: 24, horizon: 6),
            validation: try data.windows(.validation, lookback: 24, horizon: 6), outlet: TrainingOutlet(progress: .quiet))
        #expect(result.steps == 60 && result.best != nil)
        let baseline: ForecastScore = RepeatForecaster(lookback: 24, horizon: 6).score(windows)
        #expect(forecaster.score(windows).meanSquaredError < 0.3 * baseline.meanSquaredError)
    }

    @Test func aForecasterWithoutParametersIsNotTrained() throws {
        let data: ForecastProtocol = try Waves.protocolled()
        let result: TrainingResult = try training(steps: 5).run(
            RepeatForecaster(lookback: 24, horizon: 6), train: try data.windows(.train, lookback: 24, horizon: 6),
            outlet: TrainingOutlet(progress: .quiet))
        #expect(result.steps == 0)
    }

    @Test(arguments: [ForecasterKind.sMamba, .repeatLast]) func aFolderHoldsTheWholeForecaster(kind: ForecasterKind) throws {
        let data: ForecastProtocol = try Waves.protocolled()
        let shape: ForecasterConfiguration = ForecasterConfiguration(kind, lookback: 24, horizon: 6, dimensions: 16, layers: 1)
        let forecaster: any Forecaster = try shape.make()
        forecaster.train(false)
        try TestPaths.withTemporaryFolder { folder in
            let description: ForecastBundle.Description = ForecastBundle.Description(forecaster: shape, data: data.data)
            try ForecastBundle(description: description, forecaster: forecaster).save(to: folder)
            let read: ForecastBundle = try ForecastBundle.load(from: folder)
            #expect(read.description == description)
            let input: ForecastInput = try data.data.lastWindow(lookback: 24, path: "waves")
            #expect(noGrad { read.forecaster.forecast(input) }.isEqual(to: noGrad { forecaster.forecast(input) }))
            let (series, values): (ForecastSeries, [[Double]]) = try read.continuation(of: Waves.series(), path: "waves")
            #expect(values.count == 6 && values[0].count == 3 && series.label(of: 400) == "2020-01-17 16:00:00")
            if kind == .repeatLast { #expect(abs(values[5][2] - Double(Waves.series().values[399 * 3 + 2])) < 1e-4) }
            #expect(throws: DataFormatError.self) { try read.continuation(of: Waves.series(variables: 2), path: "waves") }
            #expect(throws: DataFormatError.self) { try read.continuation(of: Waves.series(length: 20), path: "waves") }
            let undated: TimeSeries = TimeSeries(names: ["v0", "v1", "v2"], values: Waves.series().values)
            #expect(throws: DataFormatError.self) { try read.continuation(of: undated, path: "waves") }
        }
    }
}
