import Foundation
import Optim
import SequenceModels
import Torch
import Training

/// Everything that defines the training of a ``MemoryFormer`` on a text.
public struct MemoryFormerTraining: Codable, Sendable {
    public var model: MemoryFormerConfiguration
    public var optimizer: AdamWConfiguration
    public var trainer: TrainerConfiguration
    /// Tokens that the model sees at once.
    public var context: Int
    /// Sequences in a batch.
    public var rows: Int

    public init(model: MemoryFormerConfiguration, optimizer: AdamWConfiguration, trainer: TrainerConfiguration, context: Int, rows: Int) {
        self.model = model
        self.optimizer = optimizer
        self.trainer = trainer
        self.context = context
        self.rows = rows
    }

    /// Builds the model from the trainer's seed and trains it.
    /// - Parameters:
    ///   - corpus: tokens to train and to validate on.
    ///   - folder: gets the checkpoints, below `checkpoints`; nil keeps nothing.
    ///   - resume: continue from the newest checkpoint of the folder.
    ///   - sink: receives the metrics.
    ///   - progress: how progress is shown.
    public func run(
        _ corpus: LanguageModelTraining.Corpus, folder: URL? = nil, resume: Bool = false, sink: any MetricSink = MetricFanOut([]),
        progress: ProgressStyle = .automatic()
    ) throws -> (model: MemoryFormer, result: TrainingResult, score: LanguageModelScore) {
        seedEverything(trainer.seed)
        let network: MemoryFormer = MemoryFormer(model)
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        let fit: LanguageModelFit = LanguageModelFit(
            optimizer: optimizer, trainer: trainer, context: context, rows: rows,
            description: String(decoding: try encoder.encode(self), as: UTF8.self))
        let (result, score) = try fit.run(network, corpus, folder: folder, resume: resume, sink: sink, progress: progress)
        return (network, result, score)
    }
}
