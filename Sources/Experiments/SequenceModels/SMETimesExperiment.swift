import Foundation
import Optim
import SequenceModels
import Torch
import Training

/// Forecasting with a small frozen language model: what prompts, fusion, experts and the language model itself contribute, a test of what
/// prompts can tell, and the cost of freezing (SMETimes, 2025).
public struct SMETimesExperiment: Experiment {
    public static let slug: String = "smetimes"
    public static let summary: String =
        "ETTh1 and ETTh2, 336 hours to 48 and 96, over a frozen byte-level transformer: ablations, a linear map, an offset that only prompts tell, and the cost of freezing."

    private static let full: String = "SMETimes"
    private static let noPrompt: String = "no prompt"
    private static let plainSum: String = "plain sum"
    private static let oneExpert: String = "one expert"
    private static let noBody: String = "no language model"
    private static let linear: String = "linear model"
    private static let hourly: String = "ETTh1 MSE, horizon 96"
    private static let offsetError: String = "MSE with an offset by level"
    private static let backboneChange: String = "largest change of a frozen weight"
    private static let promptInfluence: String = "influence of prompts at σ(ω) = 1"
    private static let trainedShare: String = "trained share of parameters"
    private static let stepTime: String = "training step (ms)"
    private static let unfrozen: String = "unfrozen"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("training leaves the frozen language model bit for bit as it was") { $0[full, backboneChange] == 0 },
            Gate("with σ(ω) = 1 prompts have no influence") { $0[full, promptInfluence] == 0 },
            Gate("at most 30 % of the parameters are trained") { $0[full, trainedShare] <= 0.30 },
        ],
        claims: [
            Claim("SMETimes' error on ETTh1 at horizon 96 is at most 0.45 (0.45 minus it)", atLeast: 0) { 0.45 - $0[full, hourly] },
            nonInferior(to: noPrompt), nonInferior(to: plainSum), nonInferior(to: oneExpert), nonInferior(to: noBody),
            Claim(
                "with an offset that only prompts tell, its error is at most 0.85 of that without prompts (0.85 times that minus it)",
                atLeast: 0
            ) {
                0.85 * $0[noPrompt, offsetError] - $0[full, offsetError]
            },
            Claim("a step takes at most 0.6 of the time of one with the language model unfrozen (0.6 minus the ratio)", atLeast: 0) {
                0.6 - $0[full, stepTime] / $0[unfrozen, stepTime]
            },
        ])

    private static func nonInferior(to ablation: String) -> Claim {
        Claim("SMETimes' error on ETTh1 is at most 1.01 times that of: \(ablation) (1.01 times that minus it)", atLeast: 0) {
            1.01 * $0[ablation, hourly] - $0[full, hourly]
        }
    }

    /// All seeds read through one language model, which is trained in the run.
    public static let seedsAreIndependent: Bool = false

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: Setting = Setting(scale)
        // One language model for all seeds: it is given, not part of what is trained.
        let backbone: LanguageModel = try Self.backbone(setting, context, &measurements)
        let stations: [(name: String, data: ForecastProtocol)] = try ["ETTh1", "ETTh2"].map { ($0, try .station($0)) }
        let readers: [SMETimes] = try stations.map { station in
            let reader: SMETimes = SMETimes(try Self.configuration(setting), backbone: backbone, tokenizer: ByteTokenizer())
            reader.prepare(for: station.data.data)
            return reader
        }
        for seed in context.seeds {
            for (station, reader) in zip(stations, readers) {
                try compare(station.name, station.data, setting, reader, seed, context, &measurements)
            }
            try tellLevels(stations[0].data, setting, readers[0], seed, context, &measurements)
            try cost(stations[0].data, setting, readers[0], seed, context, &measurements)
        }
        return measurements
    }

    /// Sizes by scale.
    private struct Setting {
        let lookback: Int
        let segment: Int
        let horizons: [Int]
        let epochs: Int
        let rows: Int
        /// Distances between the windows that are trained and tested on.
        let strides: (train: Int, test: Int)
        let backboneWidth: Int
        let backboneSteps: Int

        init(_ scale: Scale) {
            switch scale {
            case .smoke:
                (lookback, segment, horizons, epochs, rows, strides) = (96, 24, [24, 48], 1, 4, (1500, 1000))
                (backboneWidth, backboneSteps) = (16, 2)
            case .small:
                (lookback, segment, horizons, epochs, rows, strides) = (336, 48, [48, 96], 3, 16, (16, 24))
                (backboneWidth, backboneSteps) = (128, 600)
            case .full:
                (lookback, segment, horizons, epochs, rows, strides) = (672, 96, [96, 192, 336, 720], 10, 36, (1, 1))
                (backboneWidth, backboneSteps) = (512, 6000)
            }
        }

        var horizon: Int { horizons[horizons.count - 1] }
        var layers: Int { backboneWidth < 128 ? 1 : 4 }
    }

    // MARK: Language model and forecasters

    private static func backbone(_ setting: Setting, _ context: ExperimentContext, _ measurements: inout Measurements) throws
        -> LanguageModel
    {
        let folder: String = try DataDirectory.standard.locate("wikitext-2")
        let corpus: TextCorpus = try TextCorpus(
            contentsOf: ["valid.txt", "test.txt"].map { URL(fileURLWithPath: "\(folder)/\($0)") })
        let tokens: (training: PackedTokens, validation: PackedTokens) = try corpus.split(with: ByteTokenizer(), contextLength: 128)
        let trial: LanguageModelTrial = LanguageModelTrial(
            name: "language model",
            configuration: try LanguageModelConfiguration(
                vocabularySize: ByteTokenizer().vocabularySize, dimensions: setting.backboneWidth, layers: setting.layers,
                mixer: MixerConfiguration(.softmax, heads: 4)))
        let source: TextWindows = TextWindows(tokens.training, context: 128, rows: 8, seed: 0)
        let (model, curve) = try trial.train(on: source, steps: setting.backboneSteps, learningRate: 3e-3, seed: 0, context: context)
        measurements.record(curve: curve)
        model.train(false)
        return model
    }

    private static func configuration(
        _ setting: Setting, fusion: SMETimesConfiguration.Fusion = .adaptive, experts: Int = 4, usesBody: Bool = true, horizon: Int? = nil
    ) throws -> SMETimesConfiguration {
        try SMETimesConfiguration(
            lookback: setting.lookback, horizon: horizon ?? setting.horizon, segment: setting.segment, experts: experts, fusion: fusion,
            usesBody: usesBody)
    }

    /// With the language model and the prompts of `reader`.
    private static func forecaster(
        _ setting: Setting, _ reader: SMETimes, fusion: SMETimesConfiguration.Fusion = .adaptive, experts: Int = 4, usesBody: Bool = true,
        horizon: Int? = nil
    ) throws -> SMETimes {
        let model: SMETimes = SMETimes(
            try configuration(setting, fusion: fusion, experts: experts, usesBody: usesBody, horizon: horizon), backbone: reader.backbone,
            tokenizer: ByteTokenizer())
        model.sharePrompts(of: reader)
        return model
    }

    private func windows(
        _ data: ForecastProtocol, _ setting: Setting, horizon: Int
    ) throws -> (train: ForecastWindows, test: ForecastWindows) {
        (
            try data.windows(.train, lookback: setting.lookback, horizon: setting.horizon).thinned(every: setting.strides.train),
            try data.windows(.test, lookback: setting.lookback, horizon: horizon).thinned(every: setting.strides.test)
        )
    }

    private func settings(_ windows: ForecastWindows, _ setting: Setting) -> ClassifierTrial.Settings {
        ForecastTrial.epochs(setting.epochs, over: windows, rows: setting.rows, learningRate: 1e-3)
    }

    // MARK: Ablations

    private func compare(
        _ station: String, _ data: ForecastProtocol, _ setting: Setting, _ reader: SMETimes, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws {
        let (train, test): (ForecastWindows, ForecastWindows) = try windows(data, setting, horizon: setting.horizon)
        let isMain: Bool = station == "ETTh1"
        for trial in try trials(setting, reader, ablations: isMain, seed: seed) {
            let before: [Tensor] = reader.backbone.parameters().map { $0.detached().cloned() }
            let curve: Measurements.Curve = try trial.train(train, settings(train, setting), seed: seed, context: context)
            if isMain { measurements.record(curve: curve) }
            let score: ForecastScore = trial.forecaster.score(test, rows: 64)
            for horizon in setting.horizons {
                measurements.record(trial.name, "\(station) MSE, horizon \(horizon)", seed: seed, score.meanSquaredError(first: horizon))
            }
            guard isMain, trial.name == Self.full else { continue }
            let changes: [Double] = zip(before, reader.backbone.parameters()).map { ($0 - $1).abs().max().item() }
            measurements.record(trial.name, Self.backboneChange, seed: seed, changes.max() ?? .nan)
            measurements.record(trial.name, Self.promptInfluence, seed: seed, try promptInfluence(test, setting, reader))
        }
    }

    private func trials(_ setting: Setting, _ reader: SMETimes, ablations: Bool, seed: UInt64) throws -> [ForecastTrial] {
        func trial(
            _ name: String, _ fusion: SMETimesConfiguration.Fusion = .adaptive, experts: Int = 4, usesBody: Bool = true
        ) throws -> ForecastTrial {
            seedEverything(seed)
            let model: SMETimes = try Self.forecaster(setting, reader, fusion: fusion, experts: experts, usesBody: usesBody)
            return ForecastTrial(name: name, forecaster: model)
        }
        seedEverything(seed)
        let linear: ForecastTrial = ForecastTrial(
            name: Self.linear, forecaster: LinearForecaster(lookback: setting.lookback, horizon: setting.horizon))
        guard ablations else { return [try trial(Self.full), linear] }
        return [
            try trial(Self.full), try trial(Self.noPrompt, .timeOnly), try trial(Self.plainSum, .sum),
            try trial(Self.oneExpert, experts: 1), try trial(Self.noBody, usesBody: false), linear,
        ]
    }

    /// Largest difference that another series' prompts make to forecasts where σ(ω) is 1.
    private func promptInfluence(_ windows: ForecastWindows, _ setting: Setting, _ reader: SMETimes) throws -> Double {
        let model: SMETimes = try Self.forecaster(setting, reader, horizon: setting.segment)
        model.train(false)
        guard let fusion = model.fusion else { return .nan }
        fusion.update(parameters: ["logit": Tensor(100.0, dtype: .float32)])
        var input: ForecastInput = windows.batch(0..<2).tensors().input
        let own: Tensor = noGrad { model.forecast(input) }
        input.starts.reverse()
        return noGrad { (model.forecast(input) - own).abs().max().item() }
    }

    // MARK: What only prompts tell

    /// Adds ±½ to what is wanted, by whether the window's mean in the series' units lies above the median of all training windows. The windows'
    /// own scale has lost that; the prompts have it.
    private func tellLevels(
        _ data: ForecastProtocol, _ setting: Setting, _ reader: SMETimes, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws {
        let (train, test): (ForecastWindows, ForecastWindows) = try windows(data, setting, horizon: setting.segment)
        func levels(_ input: ForecastInput) -> Tensor { data.data.restored(input.values).mean(axis: 1, keepDims: true) }
        let median: Tensor = concatenated(train.batches(rows: 256).map { levels($0.tensors().input).flattened() }).median()
        func offset(_ input: ForecastInput) -> Tensor { (levels(input) - median).sign() * 0.5 }
        for (name, fusion) in [(Self.full, SMETimesConfiguration.Fusion.adaptive), (Self.noPrompt, .timeOnly)] {
            seedEverything(seed)
            let model: SMETimes = try Self.forecaster(setting, reader, fusion: fusion, horizon: setting.segment)
            let trial: ForecastTrial = ForecastTrial(name: "\(name) (offset)", forecaster: model)
            let curve: Measurements.Curve = try trial.train(train, settings(train, setting), seed: seed, context: context) {
                model.loss($0, target: $1, offset: offset($0))
            }
            measurements.record(curve: curve)
            measurements.record(name, Self.offsetError, seed: seed, model.score(test, offset: offset).meanSquaredError)
        }
    }

    // MARK: Cost

    private func cost(
        _ data: ForecastProtocol, _ setting: Setting, _ reader: SMETimes, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws {
        try context.checkCancellation()
        let train: ForecastWindows = try windows(data, setting, horizon: setting.horizon).train
        let (input, target): (ForecastInput, Tensor) = train.batch(0..<min(setting.rows, train.count)).tensors()
        for name in [Self.full, Self.unfrozen] {
            let backbone: LanguageModel = try LanguageModel(reader.backbone.configuration)
            backbone.update(parameters: Dictionary(uniqueKeysWithValues: reader.backbone.stateTensors()))
            let model: SMETimes = SMETimes(
                try Self.configuration(setting), backbone: backbone, tokenizer: ByteTokenizer())
            model.sharePrompts(of: reader)
            if name == Self.unfrozen { backbone.unfreeze() }
            let trained: [Tensor] = model.trainableParameters()
            let optimizer: AdamW = try AdamW(parameters: trained, configuration: try AdamWConfiguration(learningRate: 1e-3))
            let seconds: Double = KernelCost.measure(repetitions: 5) {
                optimizer.step(valueAndGrad(of: trained) { model.loss(input, target: target) }.gradients)
            }.seconds
            measurements.record(name, Self.stepTime, seed: seed, seconds * 1000)
            let share: Double = Double(trained.reduce(0) { $0 + $1.count }) / Double(model.parameterCount)
            measurements.record(name, Self.trainedShare, seed: seed, share)
        }
    }
}
