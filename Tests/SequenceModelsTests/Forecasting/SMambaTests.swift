import NN
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct SMambaTests {
    private func model(_ mixing: VariableMixing = .mamba, dtype: DType = .float32) throws -> SMamba {
        let configuration: SMambaConfiguration = try SMambaConfiguration(
            lookback: 24, horizon: 6, mixing: mixing, dimensions: 16, heads: 2, dropout: 0)
        let model: SMamba = SMamba(configuration, generator: RandomGenerator(seed: 3))
        model.to(dtype: dtype)
        model.train(false)
        return model
    }

    /// Shifting and scaling a variable shifts and scales its forecast.
    @Test(arguments: VariableMixing.allCases) func forecastsFollowTheScale(mixing: VariableMixing) throws {
        let model: SMamba = try model(mixing, dtype: .float64)
        let input: ForecastInput = Waves.windows(lookback: 24, dtype: .float64)
        let (scale, shift): (Tensor, Tensor) = (Tensor([2.0, 0.5, 30], [1, 1, 3]), Tensor([-7.0, 100, 3], [1, 1, 3]))
        let moved: ForecastInput = ForecastInput(values: input.values * scale + shift, starts: input.starts)
        let expected: Tensor = noGrad { model.forecast(input) } * scale + shift
        #expect(relativeError(noGrad { model.forecast(moved) }, expected) < 1e-4)
    }

    @Test(arguments: VariableMixing.allCases) func theNumberOfVariablesMayChange(mixing: VariableMixing) throws {
        let model: SMamba = try model(mixing)
        for variables in [1, 3, 20] {
            let output: Tensor = noGrad { model.forecast(Waves.windows(lookback: 24, variables: variables)) }
            #expect(output.shape == [2, 6, variables])
        }
    }

    @Test(arguments: [VariableMixing.mamba, .forwardOnly]) func formsAgree(mixing: VariableMixing) throws {
        let model: SMamba = try model(mixing, dtype: .float64)
        let input: ForecastInput = Waves.windows(lookback: 24, variables: 11, dtype: .float64)
        let recurrent: Tensor = noGrad { model.forecast(input, mode: .recurrent) }
        for mode in [MixerMode.chunkwise(4), .parallel] {
            #expect(scaledError(noGrad { model.forecast(input, mode: mode) }, recurrent) < 1e-10)
        }
    }

    /// Which forecasts change when variable 1 of 0, 1, 2 does: what each kind of mixing lets through.
    @Test(arguments: zip(VariableMixing.allCases, [[true, true, true], [true, true, true], [false, true, false], [false, true, true]]))
    func variablesSeeWhatTheMixingAllows(mixing: VariableMixing, changes: [Bool]) throws {
        #expect(VariableMixing.allCases == [.mamba, .attention, .none, .forwardOnly])
        let model: SMamba = try model(mixing, dtype: .float64)
        let input: ForecastInput = Waves.windows(lookback: 24, dtype: .float64)
        var other: ForecastInput = input
        other.values = input.values.cloned()
        other.values[0..., 0..., 1] = Waves.windows(lookback: 24, variables: 1, seed: 9, dtype: .float64).values.squeezed(axis: 2)
        let difference: [Double] = noGrad { (model.forecast(other) - model.forecast(input)).abs().max(axis: 1).max(axis: 0).array() }
        #expect(difference.map { $0 > 1e-9 } == changes)
    }

    @Test func theDatesCount() throws {
        let data: ForecastProtocol = try Waves.protocolled()
        let windows: ForecastWindows = try data.windows(.train, lookback: 24, horizon: 6)
        let model: SMamba = try model()
        var input: ForecastInput = windows.batch([0, 50]).tensors(device: .cpu).input
        #expect(input.calendar?.shape == [2, 24, 4])
        let dated: Tensor = noGrad { model.forecast(input) }
        input.calendar = nil
        #expect(scaledError(noGrad { model.forecast(input) }, dated) > 1e-4)
    }

    @Test func gradientsAreFiniteDifferences() throws {
        let model: SMamba = try model(dtype: .float64)
        let input: ForecastInput = Waves.windows(1, lookback: 24, dtype: .float64)
        let weight: Tensor = model.embedding.weight
        let (value, found): (Tensor, [Tensor]) = valueAndGrad(of: [weight]) {
            model.loss(input, target: .zeros([1, 6, 3], dtype: .float64))
        }
        let step: Double = 1e-6
        for (row, column) in [(0, 0), (7, 3), (15, 23)] {
            noGrad { weight[row, column] = weight[row, column].item(Double.self) + step }
            let moved: Double = noGrad { model.loss(input, target: .zeros([1, 6, 3], dtype: .float64)) }.item()
            noGrad { weight[row, column] = weight[row, column].item(Double.self) - step }
            let expected: Double = (moved - value.item(Double.self)) / step
            #expect(abs(found[0][row, column].item(Double.self) - expected) < 1e-4 * max(1, abs(expected)))
        }
    }

    @Test func badSettingsAreErrors() {
        #expect(throws: ConfigurationError.self) { try SMambaConfiguration(lookback: 0) }
        #expect(throws: ConfigurationError.self) { try SMambaConfiguration(dropout: 1) }
        #expect(throws: ConfigurationError.self) { try SMambaConfiguration(mixing: .attention, dimensions: 30, heads: 8) }
        #expect(throws: ConfigurationError.self) { try ForecasterConfiguration(.dLinear, horizon: 0).make() }
        #expect(throws: ConfigurationError.self) { try ForecasterConfiguration(.smetimes).make() }
    }
}
