import Foundation
import NN
import SequenceModels
import Torch
import Training

/// Forecasting with a bidirectional Mamba over variables, beside attention and no mixing; a series whose variables follow one another; and
/// cost by the number of variables (arXiv 2403.11144).
public struct SMambaExperiment: Experiment {
    public static let slug: String = "s-mamba"
    public static let summary: String =
        "ETTh1 and ETTh2, 96 hours to 96: S-Mamba beside iTransformer, no mixing, a linear map and the last value; delayed copies as followers; time and memory by variables."

    private static let mamba: String = "S-Mamba"
    private static let attention: String = "iTransformer"
    private static let isolated: String = "no mixing"
    private static let linear: String = "one linear layer"
    private static let last: String = "last value"
    private static let forward: String = "forward only"
    private static let hourly: String = "ETTh1 MSE"
    private static let follower: String = "follower MSE"
    private static let parameters: String = "parameters"
    private static let followerParameters: String = "parameters (followers)"
    private static let agreement: String = "chunkwise against recurrent (relative)"
    private static let timeGrowth: String = "growth exponent of time, N 64 to 512"
    private static let memoryGrowth: String = "growth exponent of peak bytes, N 64 to 512"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the trained S-Mamba's chunkwise and recurrent forecasts agree to 2e-3") { $0[mamba, agreement] <= 2e-3 },
            Gate("iTransformer and the model without mixing have parameter counts within 5 % of S-Mamba's") { seed in
                [attention, isolated].allSatisfy { abs(seed[$0, parameters] / seed[mamba, parameters] - 1) <= 0.05 }
            },
            Gate("the models of the followers have parameter counts within 5 % of the bidirectional one's") { seed in
                [forward, isolated].allSatisfy { abs(seed[$0, followerParameters] / seed[mamba, followerParameters] - 1) <= 0.05 }
            },
        ],
        claims: [
            Claim("S-Mamba's error on ETTh1 is at most 0.43 (0.43 minus it)", atLeast: 0) { 0.43 - $0[mamba, hourly] },
            Claim("S-Mamba's error on ETTh1 is within 3 % of iTransformer's (1.03 times that minus it)", atLeast: 0) {
                1.03 * $0[attention, hourly] - $0[mamba, hourly]
            },
            Claim("S-Mamba's error on ETTh1 is at most 0.4 of the last value's (0.4 times that minus it)", atLeast: 0) {
                0.4 * $0[last, hourly] - $0[mamba, hourly]
            },
            Claim("the followers' error without mixing is at least twice the bidirectional one (factor)", atLeast: 2) {
                $0[isolated, follower] / $0[mamba, follower]
            },
            Claim("the followers' error with a forward scan alone over the bidirectional one (factor)", atLeast: 1.3) {
                $0[forward, follower] / $0[mamba, follower]
            },
            Claim("S-Mamba's time grows at most with N to the 1.3 (1.3 minus the exponent)", atLeast: 0) { 1.3 - $0[mamba, timeGrowth] },
            Claim("attention's exponent of time above S-Mamba's", atLeast: 0) { $0[attention, timeGrowth] - $0[mamba, timeGrowth] },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        for seed in context.seeds {
            for station in ["ETTh1", "ETTh2"] {
                let data: ForecastProtocol = try .station(station)
                for horizon in scale == .full ? [96, 192, 336, 720] : [96] {
                    try compare(station, data, horizon: horizon, scale, seed, context, &measurements)
                }
            }
            // A set without a criterion, reported for the first seed.
            if context.isFirst(seed) {
                try compare("exchange rate", Self.exchange(), horizon: 96, scale, seed, context, &measurements)
            }
            try follow(scale, seed, context, &measurements)
            try cost(scale, seed, context, &measurements)
        }
        return measurements
    }

    // MARK: Methods

    private func shape(_ mixing: VariableMixing, horizon: Int, _ scale: Scale) throws -> SMambaConfiguration {
        let size: Int = scale == .smoke ? 16 : scale == .full ? 256 : 64
        return try SMambaConfiguration(horizon: horizon, mixing: mixing, dimensions: size)
    }

    /// The forecasters by name, with feed-forwards as wide as it takes to have the first one's number of parameters.
    private func trials(
        _ mixings: KeyValuePairs<String, VariableMixing>, horizon: Int, _ scale: Scale, seed: UInt64
    ) throws -> [ForecastTrial] {
        let reference: SMamba = SMamba(try shape(.mamba, horizon: horizon, scale))
        return try mixings.map { name, mixing in
            var configuration: SMambaConfiguration = try shape(mixing, horizon: horizon, scale)
            let missing: Int = reference.parameterCount - SMamba(configuration).parameterCount
            let perUnit: Int = configuration.layers * (2 * configuration.dimensions + 1)
            configuration.feedForwardDimensions += Int((Double(missing) / Double(perUnit)).rounded())
            seedEverything(seed)
            return ForecastTrial(name: name, forecaster: SMamba(configuration))
        }
    }

    private func settings(_ windows: ForecastWindows, _ scale: Scale) -> ClassifierTrial.Settings {
        switch scale {
        case .smoke: ClassifierTrial.Settings(steps: 2, rows: 8, learningRate: 5e-4)
        case .small: ForecastTrial.epochs(4, over: windows, rows: 64, learningRate: 5e-4)
        case .full: ForecastTrial.epochs(10, over: windows, rows: 32, learningRate: 7e-5)
        }
    }

    // MARK: Public series

    private func compare(
        _ set: String, _ data: ForecastProtocol, horizon: Int, _ scale: Scale, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws {
        let limit: Int? = scale == .smoke ? 40 : nil
        let train: ForecastWindows = try data.windows(.train, lookback: 96, horizon: horizon).limited(to: limit)
        let test: ForecastWindows = try data.windows(.test, lookback: 96, horizon: horizon).limited(to: limit)
        let place: String = horizon == 96 ? "" : ", horizon \(horizon)"
        var all: [ForecastTrial] = try trials(
            [Self.mamba: .mamba, Self.attention: .attention, Self.isolated: .none], horizon: horizon, scale, seed: seed)
        seedEverything(seed)
        all.append(ForecastTrial(name: Self.linear, forecaster: LinearForecaster(lookback: 96, horizon: horizon)))
        all.append(ForecastTrial(name: Self.last, forecaster: RepeatForecaster(lookback: 96, horizon: horizon)))
        for trial in all {
            let curve: Measurements.Curve = try trial.train(train, settings(train, scale), seed: seed, context: context)
            if set == "ETTh1", horizon == 96, !curve.y.isEmpty { measurements.record(curve: curve) }
            let score: ForecastScore = trial.forecaster.score(test)
            measurements.record(trial.name, "\(set) MSE\(place)", seed: seed, score.meanSquaredError)
            measurements.record(trial.name, "\(set) MAE\(place)", seed: seed, score.meanAbsoluteError)
            guard set == "ETTh1", horizon == 96 else { continue }
            measurements.record(trial.name, Self.parameters, seed: seed, Double(trial.forecaster.parameterCount))
            if let model = trial.forecaster as? SMamba, trial.name == Self.mamba {
                measurements.record(trial.name, Self.agreement, seed: seed, model.formDisagreement(on: test.batch(0..<8).tensors().input))
            }
        }
    }

    private static func exchange() throws -> ForecastProtocol {
        let path: String = try DataDirectory.standard.locate("exchange_rate", file: "exchange_rate.txt.gz")
        return try ForecastProtocol(try TimeSeries.read(path: path), split: .fractions, path: path)
    }

    // MARK: Followers

    /// Hours that a follower lags behind its leader, and the horizon: what a follower will do, its leader has done.
    private static let delay: Int = 48

    private func follow(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let data: ForecastProtocol = try Self.followers()
        let limit: Int? = scale == .smoke ? 40 : nil
        let train: ForecastWindows = try data.windows(.train, lookback: 96, horizon: Self.delay).limited(to: limit)
        let test: ForecastWindows = try data.windows(.test, lookback: 96, horizon: Self.delay).limited(to: limit)
        let all: [ForecastTrial] = try trials(
            [Self.mamba: .mamba, Self.forward: .forwardOnly, Self.isolated: .none], horizon: Self.delay, scale, seed: seed)
        for trial in all {
            let named: ForecastTrial = ForecastTrial(name: "\(trial.name) (followers)", forecaster: trial.forecaster)
            measurements.record(curve: try named.train(train, settings(train, scale), seed: seed, context: context))
            let errors: [Double] = trial.forecaster.score(test).squaredErrors
            let (followers, leaders): (ArraySlice<Double>, ArraySlice<Double>) = (errors.prefix(7), errors.suffix(7))
            measurements.record(trial.name, Self.follower, seed: seed, followers.reduce(0, +) / 7)
            measurements.record(trial.name, "leader MSE", seed: seed, leaders.reduce(0, +) / 7)
            measurements.record(trial.name, Self.followerParameters, seed: seed, Double(trial.forecaster.parameterCount))
        }
    }

    /// ETTh1 with a copy of each variable delayed by ``delay``, the copies first: a scan that runs forward alone sees followers before leaders.
    private static func followers() throws -> ForecastProtocol {
        let original: TimeSeries = try ForecastProtocol.station("ETTh1").data.series
        let width: Int = original.width
        func row(_ step: Int) -> ArraySlice<Float> { original.values[step * width..<(step + 1) * width] }
        let values: [Float] = (delay..<original.length).flatMap { (step: Int) -> [Float] in Array(row(step - delay)) + Array(row(step)) }
        let series: TimeSeries = TimeSeries(
            names: original.names.map { "\($0) delayed" } + original.names, dates: Array(original.dates.dropFirst(delay)), values: values)
        return try ForecastProtocol(series, split: .ett)
    }

    // MARK: Cost

    private func cost(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let counts: [Int] = scale == .smoke ? [16, 32] : [64, 128, 256, 512]
        for (name, mixing) in [(Self.mamba, VariableMixing.mamba), (Self.attention, .attention)] {
            seedEverything(seed)
            let model: SMamba = SMamba(try SMambaConfiguration(mixing: mixing, dimensions: 64))
            var (times, bytes): ([Double], [Double]) = ([], [])
            for count in counts {
                try context.checkCancellation()
                let input: ForecastInput = ForecastInput(values: .normal([8, 96, count]), starts: Array(repeating: 0, count: 8))
                let (seconds, peak) = KernelCost.measure(repetitions: 3) {
                    _ = valueAndGrad(of: model) { model.forecast(input).square().mean() }
                }
                times.append(seconds * 1000)
                bytes.append(Double(peak) / 1e6)
            }
            for (metric, values, growth) in [
                ("forward and backward (ms)", times, Self.timeGrowth), ("peak bytes (MB)", bytes, Self.memoryGrowth),
            ] {
                measurements.record(
                    curve: Measurements.Curve(
                        method: name, metric: metric, axis: "variables N", seed: seed, x: counts.map { Double($0) }, y: values))
                measurements.record(name, growth, seed: seed, Self.exponent(counts, values))
            }
        }
    }

    /// The slope of a line through the logarithms.
    private static func exponent(_ counts: [Int], _ values: [Double]) -> Double {
        let (x, y): ([Double], [Double]) = (counts.map { log(Double($0)) }, values.map { log($0) })
        let (meanX, meanY): (Double, Double) = (Summary(x).mean, Summary(y).mean)
        let products: Double = zip(x, y).reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) }
        return products / x.reduce(0) { $0 + ($1 - meanX) * ($1 - meanX) }
    }
}

extension SMamba {
    /// Largest difference between the chunkwise and the recurrent form's forecasts, relative to the largest.
    fileprivate func formDisagreement(on input: ForecastInput) -> Double {
        train(false)
        return noGrad {
            let recurrent: Tensor = forecast(input, mode: .recurrent)
            return ((forecast(input, mode: .chunkwise(4)) - recurrent).abs().max() / recurrent.abs().max()).item()
        }
    }
}
