import Foundation
import Optim
import SequenceModels
import Torch
import Training

/// Everything that defines the training of a ``MemoryFormer`` on a text.
public struct MemoryFormerTraining: Codable, Sendable {
    public var model: MemoryFormerConfiguration
    public var optimizer: OptimizerConfiguration
    public var trainer: TrainerConfiguration
    /// Tokens that the model sees at once.
    public var context: Int
    /// Sequences in a batch.
    public var rows: Int

    public init(model: MemoryFormerConfiguration, optimizer: OptimizerConfiguration, trainer: TrainerConfiguration, context: Int, rows: Int)
    {
        self.model = model
        self.optimizer = optimizer
        self.trainer = trainer
        self.context = context
        self.rows = rows
    }

    /// Builds the model from the trainer's seed and trains it.
    /// - Parameters:
    ///   - corpus: tokens to train and to validate on.
    ///   - outlet: where checkpoints and metrics go, whether an earlier run goes on, and the ranks among which each batch is divided.
    public func run(
        _ corpus: LanguageModelTraining.Corpus, outlet: TrainingOutlet = TrainingOutlet()
    ) throws -> (model: MemoryFormer, result: TrainingResult, score: LanguageModelScore) {
        seedEverything(trainer.seed)
        let network: MemoryFormer = MemoryFormer(model)
        let fit: LanguageModelFit = LanguageModelFit(
            optimizer: optimizer, trainer: trainer, context: context, rows: rows, description: try sortedJSON())
        let (result, score) = try fit.run(network, corpus, outlet)
        return (network, result, score)
    }
}
