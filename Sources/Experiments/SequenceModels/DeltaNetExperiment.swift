import SequenceModels
import Torch
import Training

/// Associative recall with overwriting, character modelling of hybrids, and the cost of the chunkwise form (arXiv 2406.06484).
public struct DeltaNetExperiment: Experiment {
    public static let slug: String = "deltanet"
    public static let summary: String =
        "Recall of the latest of two values for each key beside additive linear attention, GLA and softmax; hybrids on characters; chunkwise against recurrent cost."

    private static let recall: String = "recall accuracy"
    private static let capacity: String = "capacity accuracy (32 pairs, K 8)"
    private static let validation: String = "validation loss (nats per character)"
    private static let time: String = "forward and backward at T 1024 (ms)"
    private static let memory: String = "peak bytes at T 1024 (MB)"
    private static let agreement: String = "chunkwise against recurrent (relative)"
    private static let parameters: String = "parameters"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the trained DeltaNet's chunkwise and recurrent logits agree to 2e-3") { $0["DeltaNet", agreement] <= 2e-3 },
            Gate("the recall models have parameter counts within 5 % of DeltaNet's") { seed in
                ["linear attention", "GLA", "softmax"].allSatisfy {
                    abs(seed[$0, parameters] / seed["DeltaNet", parameters] - 1) <= 0.05
                }
            },
        ],
        claims: [
            Claim("DeltaNet recalls the latest value", atLeast: 0.85) { $0["DeltaNet", recall] },
            Claim("DeltaNet's recall above linear attention's", atLeast: 0.20) { $0["DeltaNet", recall] - $0["linear attention", recall] },
            Claim("DeltaNet's recall above GLA's", atLeast: 0.20) { $0["DeltaNet", recall] - $0["GLA", recall] },
            Claim("sliding-window hybrid: pure DeltaNet's loss minus the hybrid's", atLeast: -0.01) {
                $0["DeltaNet (characters)", validation] - $0["DeltaNet + sliding window", validation]
            },
            Claim("global hybrid: pure DeltaNet's loss minus the hybrid's", atLeast: -0.01) {
                $0["DeltaNet (characters)", validation] - $0["DeltaNet + global attention", validation]
            },
            Claim("softmax's character loss minus DeltaNet's", atLeast: -0.03) {
                $0["softmax (characters)", validation] - $0["DeltaNet (characters)", validation]
            },
            Claim("chunkwise form faster than the recurrence under autograd (factor)", atLeast: 5) {
                $0["recurrent form", time] / $0["chunkwise form", time]
            },
            Claim("chunkwise form's peak memory smaller (factor)", atLeast: 5) {
                $0["recurrent form", memory] / $0["chunkwise form", memory]
            },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        for seed in context.seeds {
            try recall(scale, seed, context, &measurements)
            try capacity(scale, seed, context, &measurements)
            try characters(scale, seed, context, &measurements)
            try cost(scale, seed, context, &measurements)
        }
        return measurements
    }

    // MARK: Recall

    private func recallModel(_ mixer: MixerConfiguration, dimensions: Int, layers: Int) throws -> LanguageModelConfiguration {
        try LanguageModelConfiguration(
            vocabularySize: AssociativeRecall.vocabularySize, dimensions: dimensions, layers: layers, mixer: mixer)
    }

    private func recallTrials(_ scale: Scale, expandKey: Double) throws -> [LanguageModelTrial] {
        let size: Int = scale == .full ? 256 : 64
        let delta: LanguageModelConfiguration = try recallModel(
            MixerConfiguration(.deltanet, heads: 2, expandKey: expandKey, convolution: 4), dimensions: size, layers: 2)
        let others: [(String, MixerConfiguration)] = [
            ("linear attention", MixerConfiguration(.linear, heads: 2, expandKey: expandKey, convolution: 4, rotary: false)),
            ("GLA", MixerConfiguration(.gla, heads: 2, expandKey: expandKey, convolution: 4, outputGate: false)),
            ("softmax", MixerConfiguration(.softmax, heads: 2)),
        ]
        return try [LanguageModelTrial(name: "DeltaNet", configuration: delta)]
            + others.map { name, mixer in
                let model: LanguageModelConfiguration = try recallModel(mixer, dimensions: size, layers: 2)
                return LanguageModelTrial(name: name, configuration: try model.matchingParameters(of: delta))
            }
    }

    private func recall(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let task: AssociativeRecall = AssociativeRecall(keys: 8, writes: 2)
        for trial in try recallTrials(scale, expandKey: 0.5) {
            let (model, accuracy) = try recallAccuracy(trial, task, steps: steps(scale, small: 800), seed, context, &measurements)
            measurements.record(trial.name, Self.recall, seed: seed, accuracy)
            measurements.record(trial.name, Self.parameters, seed: seed, Double(model.parameterCount))
            guard trial.name == "DeltaNet" else { continue }
            var generator: SplitMix64 = SplitMix64(seed: 1)
            measurements.record(
                trial.name, Self.agreement, seed: seed, model.formDisagreement(on: task.batch(rows: 4, using: &generator)))
        }
    }

    /// Plain recall of as many pairs as strain the state: reported for the first seed, without a criterion.
    private func capacity(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        guard scale != .smoke, context.isFirst(seed) else { return }
        for trial in try recallTrials(scale, expandKey: 0.25) where trial.name != "softmax" {
            let named: LanguageModelTrial = LanguageModelTrial(name: "\(trial.name) (32 pairs)", configuration: trial.configuration)
            let accuracy: Double = try recallAccuracy(
                named, AssociativeRecall(keys: 32), steps: steps(scale, small: 400), seed, context, &measurements
            ).accuracy
            measurements.record(trial.name, Self.capacity, seed: seed, accuracy)
        }
    }

    private func recallAccuracy(
        _ trial: LanguageModelTrial, _ task: AssociativeRecall, steps: Int, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws -> (model: LanguageModel, accuracy: Double) {
        let source: GeneratedBatches<TokenBatch> = task.source(rows: 32, seed: seed)
        let (model, curve) = try trial.train(on: source, steps: steps, learningRate: 3e-3, seed: seed, context: context)
        measurements.record(curve: curve)
        return (model, model.accuracy(task.heldOut(sequences: steps < 10 ? 64 : 1024)))
    }

    // MARK: Characters

    private func characters(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let length: Int = scale == .smoke ? 32 : scale == .full ? 256 : 128
        let corpus: CharacterCorpus = try CharacterCorpus(context: length, limit: scale == .smoke ? 1000 : nil)
        let size: Int = scale == .smoke ? 32 : scale == .full ? 512 : 96
        let layers: Int = scale == .full ? 12 : 4
        func model(_ kind: MixerKind, _ hybrid: HybridPattern? = nil) throws -> LanguageModelConfiguration {
            try LanguageModelConfiguration(
                vocabularySize: corpus.vocabularySize, dimensions: size, layers: layers, mixer: MixerConfiguration(kind, heads: 2),
                hybrid: hybrid)
        }
        let delta: LanguageModelConfiguration = try model(.deltanet)
        let trials: [LanguageModelTrial] = [
            LanguageModelTrial(name: "DeltaNet (characters)", configuration: delta),
            LanguageModelTrial(
                name: "DeltaNet + sliding window",
                configuration: try model(.deltanet, .slidingWindow(every: 2, window: 64)).matchingParameters(of: delta)),
            LanguageModelTrial(
                name: "DeltaNet + global attention",
                configuration: try model(.deltanet, .globalAttention(depth: layers)).matchingParameters(of: delta)),
            LanguageModelTrial(name: "softmax (characters)", configuration: try model(.softmax).matchingParameters(of: delta)),
        ]
        let source: TextWindows = TextWindows(corpus.training, context: length, rows: 8, seed: seed)
        let held: TextWindows = TextWindows(corpus.validation, context: length, rows: 16, seed: 0)
        for trial in trials {
            let (model, curve) = try trial.train(
                on: source, steps: steps(scale, small: 300), learningRate: 3e-3, seed: seed, context: context)
            measurements.record(curve: curve)
            measurements.record(trial.name, Self.validation, seed: seed, model.score(held).loss)
        }
    }

    private func steps(_ scale: Scale, small: Int) -> Int {
        switch scale {
        case .smoke: 3
        case .small: small
        case .full: 10 * small
        }
    }

    // MARK: Cost

    private func cost(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        try context.checkCancellation()
        let length: Int = scale == .smoke ? 64 : 1024
        for (name, mode) in [("chunkwise form", MixerMode.chunkwise(32)), ("recurrent form", .recurrent)] {
            let inputs: [Tensor] = Self.kernelInputs(length: length, seed: seed)
            let (seconds, bytes) = KernelCost.measure(inputs, repetitions: 3) { inputs in
                deltaRule(q: inputs[0], k: inputs[1], v: inputs[2], beta: inputs[3], mode: mode).output
            }
            measurements.record(name, Self.time, seed: seed, seconds * 1000)
            measurements.record(name, Self.memory, seed: seed, Double(bytes) / 1e6)
        }
    }

    private static func kernelInputs(length: Int, seed: UInt64) -> [Tensor] {
        let generator: RandomGenerator = RandomGenerator(seed: seed)
        func normal(_ shape: [Int]) -> Tensor { .normal(shape, generator: generator) }
        let key: Tensor = normal([1, length, 4, 64])
        return [
            normal([1, length, 4, 64]), key / key.norm(axes: [-1], keepDims: true), normal([1, length, 4, 64]),
            normal([1, length, 4]).sigmoid(),
        ]
    }
}
