import Foundation
import NN
import Optim
import Torch
import Training

/// How a language model is fitted to a text, whatever the model: what the training runs of a folder have in common.
package struct LanguageModelFit {
    var optimizer: OptimizerConfiguration
    var trainer: TrainerConfiguration
    /// Tokens that the model sees at once.
    var context: Int
    /// Sequences in a batch.
    var rows: Int
    /// Everything that defines the run, as JSON.
    var description: String

    package init(optimizer: OptimizerConfiguration, trainer: TrainerConfiguration, context: Int, rows: Int, description: String) {
        self.optimizer = optimizer
        self.trainer = trainer
        self.context = context
        self.rows = rows
        self.description = description
    }

    /// Trains the parameters that are not frozen.
    /// - Parameters:
    ///   - network: whose state the checkpoints hold.
    ///   - corpus: tokens to train and to validate on.
    ///   - outlet: where checkpoints and metrics go, whether an earlier run goes on, and the ranks among which each batch is divided.
    ///   - division: of the network among the ranks that share it; nil for one that is whole.
    package func run(
        _ network: some CausalLanguageModel, _ corpus: LanguageModelTraining.Corpus, _ outlet: TrainingOutlet,
        _ division: (any ModelDivision)? = nil
    ) throws -> (result: TrainingResult, score: LanguageModelScore) {
        let source: TextWindows = TextWindows(corpus.training, context: context, rows: rows, seed: trainer.seed)
        let held: TextWindows = corpus.held(context: context, rows: rows)
        let result: TrainingResult = try outlet.train(
            network, with: try outlet.optimizer(.stateSpace(network), optimizer),
            on: try ShardedBatches(source, rows: rows, over: outlet.group), trainer, division: division, description: description,
            validation: {
                let score: LanguageModelScore = network.score(held, charactersPerToken: corpus.charactersPerToken)
                return ["loss": score.loss, "bits_per_character": score.bitsPerCharacter]
            }, loss: { network.loss($0) })
        // A network that ranks share talks to the others here too.
        return (result, try withCollectiveErrors { network.score(held, charactersPerToken: corpus.charactersPerToken) })
    }
}

extension LanguageModelTraining.Corpus {
    /// The validation part in windows.
    func held(context: Int, rows: Int) -> TextWindows { TextWindows(validation, context: context, rows: rows, seed: 0) }

    /// How well a model predicts the validation part.
    public func score(_ model: some CausalLanguageModel, context: Int, rows: Int) -> LanguageModelScore {
        model.score(held(context: context, rows: rows), charactersPerToken: charactersPerToken)
    }
}
