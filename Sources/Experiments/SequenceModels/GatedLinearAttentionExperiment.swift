import SequenceModels
import Torch
import Training

/// Character modelling with data-dependent gates, at the training length and beyond, and how the chunkwise form's time grows (arXiv 2312.06635).
public struct GatedLinearAttentionExperiment: Experiment {
    public static let slug: String = "gla"
    public static let summary: String =
        "Characters of tinyshakespeare: GLA beside no gate, fixed decay (RetNet) and softmax, at the training length and four times it; time of the kernel by length."

    private static let loss: String = "validation loss (nats per character)"
    private static let bits: String = "bits per character"
    private static let half: String = "second-half loss at T"
    private static let longHalf: String = "second-half loss at 4T"
    private static let agreement: String = "chunkwise against recurrent (relative)"
    private static let parameters: String = "parameters"
    private static let growth: String = "largest growth of time per doubling"
    private static let quadratic: String = "quadratic over chunkwise time at T 4096"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the trained GLA's chunkwise and recurrent logits agree to 2e-3") { $0["GLA", agreement] <= 2e-3 },
            Gate("all models have parameter counts within 5 % of GLA's") { seed in
                ["no gate", "fixed decay", "softmax"].allSatisfy { abs(seed[$0, parameters] / seed["GLA", parameters] - 1) <= 0.05 }
            },
        ],
        claims: [
            Claim("loss without a gate minus GLA's", atLeast: 0.10) { $0["no gate", loss] - $0["GLA", loss] },
            Claim("loss with a fixed decay minus GLA's", atLeast: 0.05) { $0["fixed decay", loss] - $0["GLA", loss] },
            Claim("GLA keeps its loss in windows four times as long (loss at T minus at 4T)", atLeast: -0.08) {
                $0["GLA", half] - $0["GLA", longHalf]
            },
            Claim("softmax degrades in windows four times as long", atLeast: 0.3) { $0["softmax", longHalf] - $0["softmax", half] },
            Claim("time per doubling from 1024 to 8192 stays below 2.4 (2.4 minus the largest)", atLeast: 0) {
                2.4 - $0["GLA kernel", growth]
            },
            Claim("chunkwise faster than the quadratic form at T 4096 (factor)", atLeast: 1) { $0["GLA kernel", quadratic] },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        for seed in context.seeds {
            try characters(scale, seed, context, &measurements)
            try cost(scale, seed, context, &measurements)
        }
        return measurements
    }

    private func trials(_ scale: Scale, vocabularySize: Int) throws -> [LanguageModelTrial] {
        let size: Int = scale == .smoke ? 32 : scale == .full ? 512 : 96
        let layers: Int = scale == .full ? 12 : 2
        func model(_ mixer: MixerConfiguration) throws -> LanguageModelConfiguration {
            try LanguageModelConfiguration(vocabularySize: vocabularySize, dimensions: size, layers: layers, mixer: mixer)
        }
        let gla: LanguageModelConfiguration = try model(MixerConfiguration(.gla, heads: 2))
        let others: [(String, MixerConfiguration)] = [
            ("no gate", MixerConfiguration(.linear, heads: 2, expandKey: 0.5, rotary: true)),
            ("fixed decay", MixerConfiguration(.retention, heads: 2, expandKey: 0.5, rotary: true)),
            ("softmax", MixerConfiguration(.softmax, heads: 2)),
        ]
        return try [LanguageModelTrial(name: "GLA", configuration: gla)]
            + others.map { LanguageModelTrial(name: $0, configuration: try model($1).matchingParameters(of: gla)) }
    }

    private func characters(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let length: Int = scale == .smoke ? 32 : scale == .full ? 2048 : 128
        let steps: Int = scale == .smoke ? 3 : scale == .full ? 8000 : 400
        let corpus: CharacterCorpus = try CharacterCorpus(context: 4 * length, limit: scale == .smoke ? 1000 : nil)
        let source: TextWindows = TextWindows(corpus.training, context: length, rows: scale == .smoke ? 4 : 16, seed: seed)
        let held: TextWindows = TextWindows(corpus.validation, context: length, rows: 16, seed: 0)
        let longer: TextWindows = TextWindows(corpus.validation, context: 4 * length, rows: 4, seed: 0)
        for trial in try trials(scale, vocabularySize: corpus.vocabularySize) {
            let (model, curve) = try trial.train(on: source, steps: steps, learningRate: 3e-3, seed: seed, context: context)
            measurements.record(curve: curve)
            let score: LanguageModelScore = model.score(held)
            measurements.record(trial.name, Self.loss, seed: seed, score.loss)
            measurements.record(trial.name, Self.bits, seed: seed, score.bitsPerCharacter)
            measurements.record(trial.name, Self.half, seed: seed, secondHalfLoss(model, held))
            measurements.record(trial.name, Self.longHalf, seed: seed, secondHalfLoss(model, longer))
            measurements.record(trial.name, Self.parameters, seed: seed, Double(model.parameterCount))
            guard trial.name == "GLA" else { continue }
            measurements.record(trial.name, Self.agreement, seed: seed, model.formDisagreement(on: source.batch(0)))
        }
    }

    /// Loss on the later half of every window, where the context is longest.
    private func secondHalfLoss(_ model: LanguageModel, _ windows: TextWindows) -> Double {
        model.train(false)
        let batches: [TokenBatch] = windows.evaluationBatches()
        let losses: [Double] = noGrad {
            batches.map { batch in
                var later: TokenBatch = batch
                for index in later.targets.indices where index % batch.length < batch.length / 2 {
                    later.targets[index] = TokenBatch.ignored
                }
                return model.loss(later).item(Double.self) * Double(batch.rows)
            }
        }
        return losses.reduce(0, +) / Double(batches.reduce(0) { $0 + $1.rows })
    }

    private func cost(_ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements) throws {
        let lengths: [Int] = scale == .smoke ? [64, 128] : [1024, 2048, 4096, 8192]
        var times: [Double] = []
        for length in lengths {
            try context.checkCancellation()
            times.append(seconds(length: length, seed: seed, mode: .chunkwise(64)))
        }
        measurements.record(
            curve: Measurements.Curve(
                method: "GLA kernel", metric: "forward and backward (ms)", axis: "length T", seed: seed, x: lengths.map { Double($0) },
                y: times.map { $0 * 1000 }))
        measurements.record("GLA kernel", Self.growth, seed: seed, zip(times.dropFirst(), times).map { $0 / $1 }.max() ?? .nan)
        let compared: Int = scale == .smoke ? 1 : 2
        let whole: Double = seconds(length: lengths[compared], seed: seed, mode: .parallel)
        measurements.record("GLA kernel", Self.quadratic, seed: seed, whole / times[compared])
    }

    private func seconds(length: Int, seed: UInt64, mode: MixerMode) -> Double {
        let generator: RandomGenerator = RandomGenerator(seed: seed)
        func normal(_ channels: Int) -> Tensor { .normal([1, length, 4, channels], generator: generator) }
        let inputs: [Tensor] = [normal(64), normal(64), normal(64), normal(64).logSigmoid() / 16]
        return KernelCost.measure(inputs, repetitions: 3) {
            gatedLinearAttention(q: $0[0], k: $0[1], v: $0[2], logGate: $0[3], mode: mode).output
        }.seconds
    }
}
