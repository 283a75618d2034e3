import Foundation
import NN
import Optim
import Torch
import Training

/// Everything that defines the training of a language model on a text.
public struct LanguageModelTraining: Codable, Sendable {
    public var model: LanguageModelConfiguration
    public var optimizer: OptimizerConfiguration
    public var trainer: TrainerConfiguration
    /// Tokens that the model sees at once.
    public var context: Int
    /// Sequences in a batch.
    public var rows: Int

    public init(
        model: LanguageModelConfiguration, optimizer: OptimizerConfiguration, trainer: TrainerConfiguration, context: Int, rows: Int
    ) {
        self.model = model
        self.optimizer = optimizer
        self.trainer = trainer
        self.context = context
        self.rows = rows
    }

    /// The tokens of a corpus and how many characters one stands for in the validation part.
    public struct Corpus: Sendable {
        public let training: PackedTokens
        public let validation: PackedTokens
        public let charactersPerToken: Double

        /// - Throws: `TextCorpusError` where a part is shorter than the context.
        public init(_ text: TextCorpus, tokenizer: some Tokenizer, context: Int) throws {
            (training, validation) = try text.split(with: tokenizer, contextLength: context)
            let characters: Int = tokenizer.decode(Array(validation)).unicodeScalars.count
            charactersPerToken = Double(characters) / Double(validation.count)
        }
    }

    /// Builds the model from the trainer's seed and trains it.
    /// - Parameters:
    ///   - corpus: tokens to train and to validate on.
    ///   - outlet: where checkpoints and metrics go, whether an earlier run goes on, and the ranks among which each batch is divided.
    /// - Returns: the whole model on every rank, also where the ranks have shared it.
    public func run(
        _ corpus: Corpus, outlet: TrainingOutlet = TrainingOutlet()
    ) throws -> (model: LanguageModel, result: TrainingResult, score: LanguageModelScore) {
        seedEverything(trainer.seed)
        let network: LanguageModel = try LanguageModel(model)
        let fit: LanguageModelFit = LanguageModelFit(
            optimizer: optimizer, trainer: trainer, context: context, rows: rows, description: try sortedJSON())
        let division: (any ModelDivision)? = try outlet.divide?(network)
        let (result, score) = try fit.run(network, corpus, outlet, division)
        guard let division else { return (network, result, score) }
        let whole: LanguageModel = try LanguageModel(model)
        try whole.load(try division.wholeState(of: network))
        whole.train(false)
        return (whole, result, score)
    }
}
