import SequenceModels
import Torch
import Training

/// Language models with TransNormer beside linear attention with a denominator and softmax, how the weights answer to scores, and how local attention
/// is (arXiv 2210.10340): of characters of tinyshakespeare, at full scale of words of WikiText-2.
///
/// At small scale the models are narrower and see shorter windows than the specification asks for (D 64 and T 128 in place of 128 and 256,
/// 8 windows a step in place of 16, 300 steps in place of 800), so that three seeds of four models fit into minutes on two cores; blocks
/// keep 32 steps. T2 is trained in the smoke test and at full scale only.
public struct TransNormerExperiment: Experiment {
    public static let slug: String = "transnormer"
    public static let summary: String =
        "Characters of tinyshakespeare (at full scale words of WikiText-2): TransNormer beside scaled linear attention, softmax and NormAttention in all layers; gradients of the weights; locality of attention."

    private static let loss: String = "validation loss (nats per token)"
    private static let longLoss: String = "validation loss in windows of 4T"
    private static let agreement: String = "chunkwise against recurrent (relative)"
    private static let parameters: String = "parameters"
    private static let percentile: String = "99.9-percentile of |∂weight/∂score|"
    private static let largest: String = "largest |∂weight/∂score|"
    private static func locality(_ layer: Int) -> String { "attention within w/2, layer \(layer)" }

    private static let main: String = "TransNormer T1"
    private static let other: String = "TransNormer T2"
    private static let scaled: String = "scaled linear attention"
    private static let softmax: String = "softmax"
    private static let undivided: String = "NormAttention in all layers"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the trained TransNormer's chunkwise and recurrent logits agree to 2e-3") { $0[main, agreement] <= 2e-3 },
            Gate("all models have parameter counts within 5 % of TransNormer's") { seed in
                [scaled, softmax, undivided].allSatisfy { abs(seed[$0, parameters] / seed[main, parameters] - 1) <= 0.05 }
            },
            Gate("softmax answers to a score by ¼ at most") { $0["softmax (weights alone)", largest] <= 0.25 },
        ],
        claims: [
            Claim("loss of scaled linear attention minus TransNormer's", atLeast: 0.15) { $0[scaled, loss] - $0[main, loss] },
            Claim("softmax's loss minus TransNormer's", atLeast: -0.10) { $0[softmax, loss] - $0[main, loss] },
            Claim("loss with NormAttention in all layers minus TransNormer's", atLeast: 0.10) { $0[undivided, loss] - $0[main, loss] },
            Claim("99.9-percentile of the scaled form's |∂weight/∂score|", atLeast: 10) {
                $0["denominator (weights alone)", percentile]
            },
            Claim("attention within w/2 in layer 1, softmax over scaled linear attention", atLeast: 1.5) {
                $0[softmax, locality(1)] / $0[scaled, locality(1)]
            },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        for seed in context.seeds {
            try languageModels(scale, seed, context, &measurements)
            gradients(scale, seed, &measurements)
        }
        return measurements
    }

    // MARK: Language models

    private struct Sizes {
        let dimensions: Int
        let layers: Int
        let heads: Int
        let length: Int
        let block: Int
        let rows: Int
        let steps: Int
        let learningRate: Double

        init(_ scale: Scale) {
            (dimensions, layers, heads) = scale == .smoke ? (16, 2, 2) : scale == .small ? (64, 4, 4) : (512, 12, 8)
            (length, block) = scale == .smoke ? (32, 8) : scale == .small ? (128, 32) : (512, 64)
            (rows, steps) = scale == .smoke ? (4, 3) : scale == .small ? (8, 300) : (16, 8000)
            // At full scale the paper's.
            learningRate = scale == .full ? 5e-4 : 3e-3
        }
    }

    private struct Corpus {
        let training: PackedTokens
        let validation: PackedTokens
        let vocabularySize: Int

        init(_ scale: Scale, context: Int) throws {
            if scale == .full {
                let words: WordCorpus = try WordCorpus(context: context)
                (training, validation, vocabularySize) = (words.training, words.validation, words.vocabularySize)
            } else {
                let characters: CharacterCorpus = try CharacterCorpus(context: context, limit: scale == .smoke ? 1000 : nil)
                (training, validation, vocabularySize) = (characters.training, characters.validation, characters.vocabularySize)
            }
        }
    }

    private func models(_ scale: Scale, vocabularySize: Int) throws -> [(name: String, configuration: TransNormerConfiguration)] {
        let sizes: Sizes = Sizes(scale)
        func model(
            _ variant: TransNormerVariant = .t1, blockLayers: Int? = nil, mixer: MixerKind? = nil
        ) throws -> TransNormerConfiguration {
            try TransNormerConfiguration(
                vocabularySize: vocabularySize, dimensions: sizes.dimensions, layers: sizes.layers, heads: sizes.heads, variant: variant,
                block: sizes.block, blockLayers: blockLayers, mixer: mixer.map { MixerConfiguration($0, heads: sizes.heads) })
        }
        let main: TransNormerConfiguration = try model()
        let all: [(String, TransNormerConfiguration)] = [
            (Self.main, main), (Self.scaled, try model(mixer: .scaledLinear)), (Self.softmax, try model(mixer: .softmax)),
            (Self.undivided, try model(blockLayers: 0)),
        ]
        return scale == .small ? all : all + [(Self.other, try model(.t2))]
    }

    private func languageModels(
        _ scale: Scale, _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements
    ) throws {
        let sizes: Sizes = Sizes(scale)
        let corpus: Corpus = try Corpus(scale, context: 4 * sizes.length)
        let source: TextWindows = TextWindows(corpus.training, context: sizes.length, rows: sizes.rows, seed: seed)
        let held: TextWindows = TextWindows(corpus.validation, context: sizes.length, rows: 16, seed: 0)
        let longer: TextWindows = TextWindows(corpus.validation, context: 4 * sizes.length, rows: 4, seed: 0)
        for (name, configuration) in try models(scale, vocabularySize: corpus.vocabularySize) {
            let settings: TrialTraining = TrialTraining(steps: sizes.steps, learningRate: sizes.learningRate, seed: seed)
            let (model, curve): (TransNormer, Measurements.Curve) = try settings.train(name, on: source, context: context) {
                try TransNormer(configuration)
            }
            measurements.record(curve: curve)
            measurements.record(name, Self.loss, seed: seed, model.score(held).loss)
            measurements.record(name, Self.longLoss, seed: seed, model.score(longer).loss)
            measurements.record(name, Self.parameters, seed: seed, Double(model.parameterCount))
            for (layer, share) in model.locality(on: held.batch(0), radius: sizes.block / 2).enumerated() {
                measurements.record(name, Self.locality(layer + 1), seed: seed, share)
            }
            guard name == Self.main else { continue }
            measurements.record(name, Self.agreement, seed: seed, model.formDisagreement(on: source.batch(0)))
        }
    }

    // MARK: Gradients

    /// Rows of normal scores, without training: the paper's reason why a denominator is unstable. The norm's weights are its output's channels.
    private func gradients(_ scale: Scale, _ seed: UInt64, _ measurements: inout Measurements) {
        let (draws, length, channels): (Int, Int, Int) = (scale == .smoke ? 50 : 1000, 64, 32)
        let generator: RandomGenerator = RandomGenerator(seed: seed)
        let scores: Tensor = .normal([draws, length], dtype: .float64, generator: generator)
        let values: Tensor = .normal([draws, length, channels], dtype: .float64, generator: generator)
        for (name, gradient) in [
            ("denominator (weights alone)", AttentionGradients.ofSumScaling(scores)),
            ("softmax (weights alone)", AttentionGradients.ofSoftmax(scores)),
            ("norm (weights alone)", AttentionGradients.ofNorm(scores, values: values)),
        ] {
            let sizes: Tensor = gradient.abs().flattened()
            measurements.record(name, Self.percentile, seed: seed, sizes.sorted().values[sizes.count * 999 / 1000].item())
            measurements.record(name, Self.largest, seed: seed, sizes.max().item())
        }
    }
}

extension TransNormer {
    /// The share of the weights' absolute values that lies within `radius` steps back, for each layer: the mean over heads and over those steps
    /// that have at least twice as many behind them.
    fileprivate func locality(on batch: TokenBatch, radius: Int) -> [Double] {
        train(false)
        return noGrad {
            var x: Tensor = embedded(batch.tensors(device: device).tokens)
            return blocks.map { block in
                defer {
                    var state: MixerState?
                    x = block(x, state: &state)
                }
                guard let mixer = block.mixer as? any AttentionWeighting else { return .nan }
                let sizes: Tensor = mixer.attentionWeights(x.simpleRMSNormalized()).abs()
                // What lies more than `radius` steps back is below that diagonal.
                let near: Tensor = sizes - sizes.lowerTriangle(diagonal: -radius - 1)
                let late: Int = sizes.dim(-1) - 2 * radius
                func sums(_ weights: Tensor) -> Tensor { weights.sum(axis: -1).narrowed(axis: -1, start: 2 * radius, length: late) }
                return (sums(near) / sums(sizes).clamped(1e-12)).mean().item()
            }
        }
    }
}
