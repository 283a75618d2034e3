import NN
import SequenceModels
import Torch
import Training

/// Recall beyond what one memory holds, by several memories and a router; what that needs, and what it costs (arXiv 2502.13685).
public struct MixtureOfMemoriesExperiment: Experiment {
    public static let slug: String = "mom"
    public static let summary: String =
        "Recall of 32 fused pairs by a mixture of four memories beside one memory, wider ones and softmax; the same with keys and values apart; characters; the cost of a generated token."

    private static let recall: String = "recall accuracy (32 fused pairs)"
    private static let apart: String = "recall accuracy (16 pairs, key and value apart)"
    private static let share: String = "largest routing share of a layer"
    private static let validation: String = "validation loss (nats per character)"
    private static let agreement: String = "chunkwise against recurrent in float64 (relative)"
    private static let parameters: String = "parameters"
    private static let early: String = "time per generated token after 64 (ms)"
    private static let late: String = "time per generated token after 1024 (ms)"
    private static let growth: String = "state bytes after 1024 tokens over those after 64"

    private static let mixture: String = "MoM"
    private static let single: String = "single memory"
    private static let mixtureCharacters: String = "MoM (characters)"
    private static let singleCharacters: String = "single memory (characters)"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the trained mixture's chunkwise and recurrent logits agree to 1e-9 in float64") {
                $0[mixtureCharacters, agreement] <= 1e-9
            },
            Gate("the single memories have parameter counts within 5 % of the mixtures'") { seed in
                [(single, mixture), (singleCharacters, mixtureCharacters)].allSatisfy {
                    abs(seed[$0, parameters] / seed[$1, parameters] - 1) <= 0.05
                }
            },
            Gate("the mixture's state is as large after 1024 tokens as after 64") { $0[mixtureCharacters, growth] == 1 },
        ],
        claims: [
            Claim("the mixture recalls", atLeast: 0.90) { $0[mixture, recall] },
            Claim("a single memory of the same size stays at or below 0.50 (0.50 minus its accuracy)", atLeast: 0) {
                0.5 - $0[single, recall]
            },
            Claim("the mixture's recall above the single memory's", atLeast: 0.40) { $0[mixture, recall] - $0[single, recall] },
            Claim("no memory takes more than 0.45 of a layer's tokens (0.45 minus the largest share)", atLeast: 0) {
                0.45 - $0[mixture, share]
            },
            Claim("the single memory's character loss minus the mixture's", atLeast: -0.01) {
                $0[singleCharacters, validation] - $0[mixtureCharacters, validation]
            },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        for seed in context.seeds {
            try recall(scale, seed, context, &measurements)
            try apart(scale, seed, context, &measurements)
            try characters(scale, seed, context, &measurements)
        }
        return measurements
    }

    private func steps(_ scale: Scale, small: Int) -> Int {
        switch scale {
        case .smoke: 3
        case .small: small
        case .full: 4 * small
        }
    }

    // MARK: Fused pairs

    /// The mixture, and the others widened or narrowed in their feed-forward to its number of parameters. Keys of `expandKey` 0.25 are
    /// 8 channels wide in each of two heads.
    private func recallTrials(_ scale: Scale, vocabularySize: Int, _ others: [(String, MixerConfiguration)]) throws -> [LanguageModelTrial]
    {
        let size: Int = scale == .full ? 256 : 64
        func model(_ mixer: MixerConfiguration) throws -> LanguageModelConfiguration {
            try LanguageModelConfiguration(vocabularySize: vocabularySize, dimensions: size, layers: 2, mixer: mixer, tiedHead: false)
        }
        let mom: LanguageModelConfiguration = try model(
            MixerConfiguration(.mom, heads: 2, expandKey: 0.25, memories: scale == .full ? 8 : 4, memoryBackend: .delta))
        return try [LanguageModelTrial(name: Self.mixture, configuration: mom)]
            + others.map { LanguageModelTrial(name: $0, configuration: try model($1).matchingParameters(of: mom)) }
    }

    private static func singleMemory(expandKey: Double) -> MixerConfiguration {
        MixerConfiguration(.deltanet, heads: 2, expandKey: expandKey, outputGate: true)
    }

    private func recall(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let task: FusedRecall = FusedRecall(pairs: scale == .smoke ? 8 : scale == .full ? 64 : 32)
        var others: [(String, MixerConfiguration)] = [(Self.single, Self.singleMemory(expandKey: 0.25))]
        // The first seed shows where one memory would do; no claim rests on it.
        if scale != .smoke, context.isFirst(seed) {
            others += [
                ("single memory, keys twice as wide", Self.singleMemory(expandKey: 0.5)),
                ("single memory, keys three times as wide", Self.singleMemory(expandKey: 0.75)),
                ("softmax", MixerConfiguration(.softmax, heads: 2)),
            ]
        }
        let held: [TokenBatch] = task.heldOut(sequences: scale == .smoke ? 64 : 1024)
        for trial in try recallTrials(scale, vocabularySize: FusedRecall.vocabularySize, others) {
            let (model, curve) = try trial.train(
                on: task.source(rows: 32, seed: seed), steps: steps(scale, small: 1600), learningRate: 3e-3, seed: seed, context: context
            ) { model, batch in
                model.loss(batch) { FusedRecall.logits(model, pairs: $0) }
            }
            measurements.record(curve: curve)
            let accuracy: Double = model.accuracy(held) { FusedRecall.logits(model, pairs: $0) }
            measurements.record(trial.name, Self.recall, seed: seed, accuracy)
            measurements.record(trial.name, Self.parameters, seed: seed, Double(model.parameterCount))
            guard trial.name == Self.mixture else { continue }
            measurements.record(trial.name, Self.share, seed: seed, Self.largestShare(model, held))
        }
    }

    /// The largest share of its tokens that a layer sends to one memory.
    private static func largestShare(_ model: LanguageModel, _ batches: [TokenBatch]) -> Double {
        model.train(false)
        let mixers: [MixtureOfMemories] = model.blocks.compactMap { $0.mixer as? MixtureOfMemories }
        var totals: [RoutingBalance?] = Array(repeating: nil, count: mixers.count)
        noGrad {
            for batch in batches {
                _ = FusedRecall.logits(model, pairs: batch.tensors(device: model.device).tokens)
                for (index, mixer) in mixers.enumerated() {
                    guard let balance = mixer.routingBalance else { continue }
                    totals[index] = totals[index].map { $0 + balance } ?? balance
                }
            }
        }
        return totals.compactMap { $0?.shares.max() }.max() ?? .nan
    }

    // MARK: Keys and values apart

    /// A negative result that the report keeps: where key and value are tokens of their own, the router sees the value when the pair is written and
    /// the key when it is asked for. For the first seed, without a criterion.
    private func apart(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        guard context.isFirst(seed) else { return }
        let task: AssociativeRecall = AssociativeRecall(keys: scale == .smoke ? 4 : 16)
        let trials: [LanguageModelTrial] = try recallTrials(
            scale, vocabularySize: AssociativeRecall.vocabularySize, [(Self.single, Self.singleMemory(expandKey: 0.25))])
        for trial in trials {
            let named: LanguageModelTrial = LanguageModelTrial(name: "\(trial.name) (apart)", configuration: trial.configuration)
            let (model, curve) = try named.train(
                on: task.source(rows: 32, seed: seed), steps: steps(scale, small: 1000), learningRate: 3e-3, seed: seed, context: context)
            measurements.record(curve: curve)
            let accuracy: Double = model.accuracy(task.heldOut(sequences: scale == .smoke ? 64 : 1024))
            measurements.record(named.name, Self.apart, seed: seed, accuracy)
        }
    }

    // MARK: Characters

    private func characters(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let length: Int = scale == .smoke ? 32 : scale == .full ? 256 : 128
        let corpus: CharacterCorpus = try CharacterCorpus(context: length, limit: scale == .smoke ? 1000 : nil)
        let source: TextWindows = TextWindows(corpus.training, context: length, rows: 8, seed: seed)
        let held: TextWindows = TextWindows(corpus.validation, context: length, rows: 16, seed: 0)
        func model(_ mixer: MixerConfiguration) throws -> LanguageModelConfiguration {
            try LanguageModelConfiguration(
                vocabularySize: corpus.vocabularySize, dimensions: scale == .smoke ? 32 : scale == .full ? 256 : 96, layers: 2, mixer: mixer
            )
        }
        let mom: LanguageModelConfiguration = try model(MixerConfiguration(.mom, heads: 2, expandKey: 0.5))
        let plain: LanguageModelConfiguration = try model(MixerConfiguration(.gatedDeltanet, heads: 2, expandKey: 0.5))
        let trials: [LanguageModelTrial] = [
            LanguageModelTrial(name: Self.mixtureCharacters, configuration: mom),
            LanguageModelTrial(name: Self.singleCharacters, configuration: try plain.matchingParameters(of: mom)),
        ]
        for trial in trials {
            let (model, curve) = try trial.train(
                on: source, steps: steps(scale, small: 300), learningRate: 3e-3, seed: seed, context: context)
            measurements.record(curve: curve)
            measurements.record(trial.name, Self.validation, seed: seed, model.score(held).loss)
            measurements.record(trial.name, Self.parameters, seed: seed, Double(model.parameterCount))
            try generation(trial.name, model, scale, seed, context, &measurements)
            guard trial.name == Self.mixtureCharacters else { continue }
            // In float64, where rounding cannot tip a token's choice of memories.
            model.to(dtype: .float64)
            let batch: TokenBatch = TextWindows(corpus.validation, context: length, rows: 2, seed: seed).batch(0)
            measurements.record(trial.name, Self.agreement, seed: seed, model.formDisagreement(on: batch))
        }
    }

    /// What a token costs early and late in a text, and how the state grows.
    private func generation(
        _ name: String, _ model: LanguageModel, _ scale: Scale, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws {
        try context.checkCancellation()
        let (short, long): (Int, Int) = (64, 1024)
        for (length, metric) in [(short, Self.early), (long, Self.late)] {
            let milliseconds: Double = Self.stepTime(model, after: scale == .smoke ? length / 8 : length, steps: scale == .smoke ? 4 : 64)
            measurements.record(name, metric, seed: seed, milliseconds)
        }
        let growth: Double = Double(model.stateBytes(batch: 1, length: long)) / Double(model.stateBytes(batch: 1, length: short))
        measurements.record(name, Self.growth, seed: seed, growth)
    }

    /// Median milliseconds of a step after a prompt of this length.
    private static func stepTime(_ model: LanguageModel, after length: Int, steps: Int) -> Double {
        model.train(false)
        return noGrad {
            let prompt: Tensor = Tensor((0..<length).map { $0 % model.vocabularySize }, [1, length], device: model.device)
            var state: LanguageModelState? = model.initialState(batch: 1)
            _ = model(prompt, state: &state)
            guard var current: LanguageModelState = state else { return .nan }
            let token: Tensor = Tensor([1], device: model.device)
            let clock: ContinuousClock = ContinuousClock()
            let times: [Double] = (0..<steps).map { _ in
                clock.measure { _ = model.step(token, state: &current).sum().item(Double.self) } / .milliseconds(1)
            }
            return times.sorted()[steps / 2]
        }
    }
}
