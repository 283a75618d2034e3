import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// One language model of a comparison, trained as every experiment of the family trains: AdamW (0.9, 0.95, decay 0.01), 5 % warm-up, cosine to a
/// tenth, clipping at 1 (specification of the sequence models, section 0).
struct LanguageModelTrial {
    let name: String
    let configuration: LanguageModelConfiguration

    /// The head has weights of its own, as in all models of the family's comparisons.
    init(name: String, configuration: LanguageModelConfiguration) {
        self.name = name
        var untied: LanguageModelConfiguration = configuration
        untied.tiedHead = false
        self.configuration = untied
    }

    /// Trains on a source of token batches.
    /// - Returns: the model and its training loss, thinned to about 50 points.
    func train<Source: BatchSource>(
        on source: Source, steps: Int, learningRate: Double, seed: UInt64, context: ExperimentContext,
        loss: ((LanguageModel, Source.Batch) -> Tensor)
    ) throws -> (model: LanguageModel, curve: Measurements.Curve) where Source.Batch == TokenBatch {
        let settings: TrialTraining = TrialTraining(steps: steps, learningRate: learningRate, seed: seed)
        return try settings.train(name, on: source, context: context, loss: loss) { try LanguageModel(configuration) }
    }

    /// Trains by the cross-entropy of the batches' targets.
    func train(
        on source: some BatchSource<TokenBatch>, steps: Int, learningRate: Double, seed: UInt64, context: ExperimentContext
    ) throws -> (model: LanguageModel, curve: Measurements.Curve) {
        try train(on: source, steps: steps, learningRate: learningRate, seed: seed, context: context) { $0.loss($1) }
    }
}

/// How the language models of a comparison are trained, whatever they are made of.
struct TrialTraining {
    var steps: Int
    var learningRate: Double
    var seed: UInt64
    var weightDecay: Double = 0.01
    /// Steps of a linear warm-up; a twentieth of all unless given.
    var warmUp: Int?
    /// Share of the learning rate that is left at the end.
    var finalFraction: Double = 0.1
    /// Takes the place of AdamW, with learning rate and weight decay of its own.
    var optimizer: OptimizerConfiguration?
    /// Takes the place of warm-up and cosine.
    var schedule: Schedule?

    /// Makes a model from the seed and trains it on a source of token batches.
    /// - Returns: the model and its training loss, thinned to about 50 points.
    func train<Model: CausalLanguageModel, Source: BatchSource<TokenBatch>>(
        _ name: String, on source: Source, context: ExperimentContext, loss: (Model, TokenBatch) -> Tensor = { $0.loss($1) },
        make: () throws -> Model
    ) throws -> (model: Model, curve: Measurements.Curve) {
        try context.checkCancellation()
        context.progress("\(name), seed \(seed): \(steps) steps")
        seedEverything(seed)
        let model: Model = try make()
        return (model, try optimize(model, named: name, on: source) { loss(model, $0) })
    }

    /// Trains the parameters of any model that are not frozen.
    /// - Returns: its training loss, thinned to about 50 points.
    func optimize<Source: BatchSource>(
        _ model: Module, named name: String, on source: Source, loss: (Source.Batch) -> Tensor
    ) throws -> Measurements.Curve {
        let trainer: TrainerConfiguration = try TrainerConfiguration(
            steps: steps, schedule: schedule ?? .warmUpCosine(warmUp: warmUp ?? steps / 20, finalFraction: finalFraction),
            checkpointMinutes: nil, seed: seed)
        let standard: AdamWConfiguration = try AdamWConfiguration(
            learningRate: learningRate, beta1: 0.9, beta2: 0.95, weightDecay: weightDecay)
        let optimizer: any Optimizer = try (self.optimizer ?? .adamw(standard)).makeOptimizer(groups: .stateSpace(model))
        let result: TrainingResult = try withoutActuallyEscaping(loss) { loss in
            try Trainer(model: model, optimizer: optimizer, source: source, configuration: trainer, progress: .automatic(), loss: loss)
                .run()
        }
        return Measurements.Curve(method: name, losses: result.losses, seed: seed)
    }
}

extension LanguageModelConfiguration {
    /// The same model with the feed-forward widened or narrowed so that it has as many parameters as `other`, to the nearest unit.
    func matchingParameters(of other: LanguageModelConfiguration) throws -> LanguageModelConfiguration {
        let wanted: Int = try LanguageModel(other).parameterCount
        let present: Int = try LanguageModel(self).parameterCount
        let perUnit: Double = Double(3 * dimensions * layers)
        var result: LanguageModelConfiguration = self
        result.feedForwardDimensions = max(1, hiddenDimensions + Int((Double(wanted - present) / perUnit).rounded()))
        return result
    }
}

extension CausalLanguageModel {
    /// Largest difference between the chunkwise and the recurrent form's logits, relative to the largest logit.
    func formDisagreement(on batch: TokenBatch) -> Double {
        train(false)
        return noGrad {
            let tokens: Tensor = batch.tensors(device: device).tokens
            let chunked: Tensor = self(tokens, mode: .chunkwise(16))
            let recurrent: Tensor = self(tokens, mode: .recurrent)
            return ((chunked - recurrent).abs().max() / recurrent.abs().max()).item(Double.self)
        }
    }
}

/// Characters of a text as tokens, nine tenths to train on.
struct CharacterCorpus {
    let training: PackedTokens
    let validation: PackedTokens
    let vocabularySize: Int

    init(training: PackedTokens, validation: PackedTokens, vocabularySize: Int) {
        self.training = training
        self.validation = validation
        self.vocabularySize = vocabularySize
    }

    /// - Parameters:
    ///   - set: the data set, a folder of text files.
    ///   - context: tokens that a model sees at once.
    ///   - limit: most validation tokens, for runs that only check that everything works.
    init(_ set: String = "tinyshakespeare", context: Int, limit: Int? = nil) throws {
        let folder: String = try DataDirectory.standard.locate(set)
        let files: [String] = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".txt") }.sorted()
        let text: TextCorpus = try TextCorpus(contentsOf: files.map { URL(fileURLWithPath: "\(folder)/\($0)") })
        let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: text.texts.joined())
        let parts: (training: PackedTokens, validation: PackedTokens) = try text.split(with: tokenizer, contextLength: context)
        training = parts.training
        validation = PackedTokens(parts.validation.prefix(limit ?? .max), vocabularySize: tokenizer.vocabularySize)
        vocabularySize = tokenizer.vocabularySize
    }
}
