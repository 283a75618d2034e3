import Foundation
import NN
import Optim
import Torch
import Training

/// Trains any network that maps `[B, T, channels]` to logits `[B, classes]`.
public struct ClassifierTraining: Codable, Sendable {
    public var optimizer: OptimizerConfiguration
    public var trainer: TrainerConfiguration
    /// Examples in a batch.
    public var rows: Int

    public init(optimizer: OptimizerConfiguration, trainer: TrainerConfiguration, rows: Int) {
        self.optimizer = optimizer
        self.trainer = trainer
        self.rows = rows
    }

    /// - Parameters:
    ///   - network: what is trained.
    ///   - forward: logits `[B, classes]` of sequences `[B, T, D]`.
    ///   - train: sequences to train on.
    ///   - test: sequences to validate on; nil validates never.
    ///   - loss: of sequences and labels; nil is the cross-entropy of `forward`'s logits.
    ///   - groups: how the parameters are trained; nil trains all alike.
    ///   - description: the network's configuration as JSON, which a checkpoint of another network is told apart by.
    ///   - outlet: where checkpoints and metrics go, and whether an earlier run goes on.
    @discardableResult
    public func run(
        _ network: Module, forward: @escaping (Tensor) -> Tensor, train: SequenceDataset, test: SequenceDataset?,
        loss: ((_ inputs: Tensor, _ labels: Tensor) -> Tensor)? = nil, groups: [ParameterGroup]? = nil, description: String = "{}",
        outlet: TrainingOutlet = TrainingOutlet()
    ) throws -> TrainingResult {
        try outlet.train(
            network, with: try optimizer.makeOptimizer(groups: groups ?? .stateSpace(network)),
            on: ShuffledExamples(train, rows: rows, seed: trainer.seed), trainer,
            description: #"{"network":\#(description),"training":\#(try sortedJSON())}"#,
            validation: test.map { test in
                {
                    let score: ClassifierScore = ClassifierScore(test, rows: rows, forward: forward)
                    return ["loss": score.loss, "accuracy": score.accuracy]
                }
            },
            loss: { batch in
                let (inputs, labels) = batch.tensors()
                return (loss?(inputs, labels) ?? crossEntropy(forward(inputs), labels)).adding(network.takeAuxiliaryLoss())
            })
    }
}

/// Mean cross-entropy and accuracy over a dataset.
public struct ClassifierScore: Sendable {
    public let loss: Double
    public let accuracy: Double

    /// Evaluates without a gradient; the network has to be in evaluation mode.
    public init(_ dataset: SequenceDataset, rows: Int, forward: (Tensor) throws -> Tensor) rethrows {
        var total: Double = 0
        var right: Int = 0
        try noGrad {
            for batch in dataset.batches(rows: rows) {
                let (inputs, labels) = batch.tensors()
                let logits: Tensor = try forward(inputs)
                total += crossEntropy(logits, labels).item(Double.self) * Double(batch.labels.count)
                right += (logits.argMax(axis: -1) .== labels).sum().item(Int.self)
            }
        }
        loss = total / Double(dataset.count)
        accuracy = Double(right) / Double(dataset.count)
    }
}
