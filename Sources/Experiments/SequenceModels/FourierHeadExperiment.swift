import Foundation
import NN
import SequenceModels
import Torch
import Training

/// Whether densities with few frequencies predict bins of a quantity better and more smoothly than a linear layer does (arXiv 2410.22269).
public struct FourierHeadExperiment: Experiment {
    public static let slug: String = "fourier-head"
    public static let summary: String =
        "Fourier head beside a linear head: three synthetic densities of 50 bins with a sweep over frequencies, and the next of 256 bins of ETTh1's oil temperature."

    private static let linear: String = "linear head"
    private static let fourier: String = "Fourier head"
    private static let mixture: String = "Gaussian mixture head"
    private static let forecastFourier: String = "Fourier head, F = 64 (ETTh1)"
    private static let forecastLinear: String = "linear head (ETTh1)"

    private static let headParameters: String = "parameters of the head"
    private static let lowest: String = "lowest density"
    private static let mass: String = "largest error of the mass"
    private static let nll: String = "next-token loss (nats)"
    private static let seriesSmoothness: String = "smoothness of the next token"
    private static let scaledError: String = "MASE over 24 steps"
    private static let quantileLoss: String = "weighted quantile loss over 24 steps"

    private static func divergence(_ kind: DensityTask.Kind) -> String { "KL on \(kind.rawValue) (nats)" }
    private static func smoothness(_ kind: DensityTask.Kind) -> String { "smoothness on \(kind.rawValue)" }

    /// F of the comparison with the linear head.
    private static let frequencies: Int = 12
    private static let sweep: [Int] = [2, 4, 8, 12, 20]
    private static func swept(_ frequencies: Int) -> String { "Fourier head, F = \(frequencies)" }

    private static func gain(_ seed: SeedMeasurements, _ metric: String) -> Double { 1 - seed[fourier, metric] / seed[linear, metric] }

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the trained head's densities are at least -1e-5") { $0[fourier, lowest] >= -1e-5 },
            Gate("the trained head's densities integrate to 1 within 1e-4") { $0[fourier, mass] <= 1e-4 },
            Gate("the Fourier head has 2 (F + 1) (D + 1) parameters") {
                $0[fourier, headParameters] == Double(2 * (frequencies + 1) * (DensityModel.features + 1))
            },
        ],
        claims: [
            Claim("gmm2: KL below the linear head's (share)", atLeast: 0.3) { gain($0, divergence(.mixture)) },
            Claim("gmm2: smoother than the linear head (share)", atLeast: 0.2) { gain($0, smoothness(.mixture)) },
            Claim("gaussian: smoother than the linear head (share)", atLeast: 0) { gain($0, smoothness(.gaussian)) },
            Claim("gaussian: KL below the linear head's (share)", atLeast: -0.1) { gain($0, divergence(.gaussian)) },
            Claim("beta: smoother than the linear head (share)", atLeast: 0) { gain($0, smoothness(.beta)) },
            Claim("beta: KL below the linear head's (share)", atLeast: -0.1) { gain($0, divergence(.beta)) },
            Claim("sweep over F: s grows with F (smallest ratio of neighbours less 1)", atLeast: -0.1) { seed in
                let values: [Double] = sweep.map { seed[swept($0), smoothness(.mixture)] }
                return zip(values.dropFirst(), values).map { $0 / $1 - 1 }.min() ?? .nan
            },
            Claim("sweep over F: KL falls from F = 2 to 12 (share)", atLeast: 0) { seed in
                1 - seed[swept(12), divergence(.mixture)] / seed[swept(2), divergence(.mixture)]
            },
            Claim("sweep over F: KL is flat from F = 12 to 20 (a quarter of the fall before, less the change)", atLeast: 0) { seed in
                let values: [Double] = [2, 12, 20].map { seed[swept($0), divergence(.mixture)] }
                return (values[0] - values[1]) / 4 - abs(values[2] - values[1])
            },
            Claim("ETTh1: smoother than the linear head (share)", atLeast: 0.4) {
                1 - $0[forecastFourier, seriesSmoothness] / $0[forecastLinear, seriesSmoothness]
            },
            Claim("ETTh1: next-token loss below the linear head's", atLeast: -0.02) { $0[forecastLinear, nll] - $0[forecastFourier, nll] },
        ])

    private let data: DataDirectory

    public init() { self.init(data: .standard) }

    init(data: DataDirectory) { self.data = data }

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let values: [Float] = try oilTemperature()
        for seed in context.seeds {
            for kind in DensityTask.Kind.allCases { try compareDensities(kind, scale, seed, context, &measurements) }
            try forecast(values, scale, seed, context, &measurements)
        }
        return measurements
    }

    // MARK: Synthetic densities

    private func compareDensities(
        _ kind: DensityTask.Kind, _ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements
    ) throws {
        let task: DensityTask = DensityTask(kind, count: scale == .smoke ? 200 : 5000, seed: seed)
        var heads: [(String, DensityModel.Head)] = [
            (Self.linear, .linear), (Self.fourier, .fourier(Self.frequencies)), (Self.mixture, .mixture),
        ]
        if kind == .mixture { heads += Self.sweep.filter { $0 != Self.frequencies }.map { (Self.swept($0), .fourier($0)) } }
        for (name, head) in heads {
            try context.checkCancellation()
            context.progress("\(name) on \(kind.rawValue), seed \(seed)")
            seedEverything(seed)
            let model: DensityModel = DensityModel(head)
            let result: TrainingResult = try model.train(task.train, epochs: scale == .smoke ? 2 : 100, rows: 64, seed: seed)
            let score: (divergence: Double, smoothness: Double) = model.score(task)
            let isSwept: Bool = kind == .mixture && name == Self.fourier
            for method in [name] + (isSwept ? [Self.swept(Self.frequencies)] : []) {
                measurements.record(method, Self.divergence(kind), seed: seed, score.divergence)
                measurements.record(method, Self.smoothness(kind), seed: seed, score.smoothness)
            }
            if isSwept { recordDensities(model, task, seed, &measurements) }
            measurements.record(
                curve: Measurements.Curve(method: "\(name) (\(kind.rawValue))", losses: result.losses, seed: seed))
        }
    }

    /// What has to hold of a density, on those of the test examples.
    private func recordDensities(_ model: DensityModel, _ task: DensityTask, _ seed: UInt64, _ measurements: inout Measurements) {
        guard let head = model.head as? FourierHead else { return }
        measurements.record(Self.fourier, Self.headParameters, seed: seed, Double(head.parameterCount))
        let densities: Tensor = noGrad {
            let hidden: Tensor = model.hidden(task.test.batch(0..<task.test.count).tensors().inputs)
            return head.density(hidden).pdf(.linspace(-1, 1, count: 401, device: hidden.device))
        }
        measurements.record(Self.fourier, Self.lowest, seed: seed, densities.min().item())
        // The trapezoidal rule over whole periods, where both ends are the same place, is exact for this many frequencies.
        let masses: Tensor = densities.narrowed(axis: -1, start: 0, length: 400).sum(axis: -1) / 200
        measurements.record(Self.fourier, Self.mass, seed: seed, (masses - 1).abs().max().item())
    }

    // MARK: A series as tokens

    private func oilTemperature() throws -> [Float] {
        let series: TimeSeries = try .ett(path: "\(data.locate("ett"))/ETTh1.csv")
        guard let column = series.names.firstIndex(of: "OT") else {
            throw DataFormatError(path: "ETTh1.csv", "has no column OT")
        }
        return stride(from: column, to: series.values.count, by: series.width).map { series.values[$0] }
    }

    private func forecast(
        _ values: [Float], _ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements
    ) throws {
        let month: Int = 30 * 24
        let bins: Int = scale == .full ? 4096 : 256
        let rows: Int = scale == .smoke ? 2 : 16
        func tokens(_ part: Range<Int>) -> SeriesTokens { SeriesTokens(values: Array(values[part]), bins: bins, rows: rows, seed: seed) }
        let (train, held): (SeriesTokens, SeriesTokens) = (tokens(0..<12 * month), tokens(16 * month..<20 * month))
        for (name, head) in [(Self.forecastLinear, nil), (Self.forecastFourier, FourierHeadConfiguration(frequencies: 64, gamma: 1e-6))] {
            let trial: LanguageModelTrial = LanguageModelTrial(
                name: name,
                configuration: try LanguageModelConfiguration(
                    vocabularySize: bins, dimensions: scale == .smoke ? 16 : scale == .full ? 256 : 64, layers: scale == .smoke ? 1 : 4,
                    mixer: MixerConfiguration(.gla, heads: 2), tiedHead: false, fourierHead: head))
            let (model, curve) = try trial.train(
                on: train, steps: scale == .smoke ? 3 : scale == .full ? 5000 : 300, learningRate: 3e-3, seed: seed, context: context)
            measurements.record(curve: curve)
            let score: SeriesScore = SeriesScore(
                model, on: held, windows: scale == .smoke ? 2 : 48, paths: scale == .smoke ? 3 : 20, seed: seed)
            measurements.record(name, Self.nll, seed: seed, score.loss)
            measurements.record(name, Self.seriesSmoothness, seed: seed, score.smoothness)
            measurements.record(name, Self.scaledError, seed: seed, score.scaledError)
            measurements.record(name, Self.quantileLoss, seed: seed, score.quantileLoss)
        }
    }
}
