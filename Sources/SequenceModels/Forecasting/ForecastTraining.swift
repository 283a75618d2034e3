import Foundation
import NN
import Optim
import Torch
import Training

/// Trains any ``Forecaster`` on the windows of a series.
public struct ForecastTraining: Codable, Sendable {
    public var optimizer: OptimizerConfiguration
    public var trainer: TrainerConfiguration
    /// Windows in a batch.
    public var rows: Int

    public init(optimizer: OptimizerConfiguration, trainer: TrainerConfiguration, rows: Int) {
        self.optimizer = optimizer
        self.trainer = trainer
        self.rows = rows
    }

    /// Trains the parameters that are not frozen; a forecaster without any stays as it is.
    /// - Parameters:
    ///   - forecaster: what is trained.
    ///   - train: windows to train on; at least as many as a batch holds, or this traps.
    ///   - validation: windows to validate on; nil validates never.
    ///   - description: the forecaster's configuration as JSON, which a checkpoint of another one is told apart by.
    ///   - outlet: where checkpoints and metrics go, and whether an earlier run goes on.
    ///   - loss: in place of the forecaster's own.
    @discardableResult
    public func run(
        _ forecaster: any Forecaster, train: ForecastWindows, validation: ForecastWindows? = nil, description: String = "{}",
        outlet: TrainingOutlet = TrainingOutlet(), loss: ((ForecastInput, Tensor) -> Tensor)? = nil
    ) throws -> TrainingResult {
        forecaster.prepare(for: train.data)
        guard !forecaster.trainableParameters().isEmpty else { return TrainingResult() }
        return try outlet.train(
            forecaster, with: try optimizer.makeOptimizer(groups: .stateSpace(forecaster)),
            on: ShuffledWindows(train, rows: rows, seed: trainer.seed), trainer,
            description: #"{"forecaster":\#(description),"training":\#(try sortedJSON())}"#,
            validation: validation.map { windows in
                {
                    let score: ForecastScore = forecaster.score(windows)
                    return ["loss": score.meanSquaredError, "mae": score.meanAbsoluteError]
                }
            },
            loss: { batch in
                let (input, target) = batch.tensors()
                return loss.map { $0(input, target) } ?? forecaster.loss(input, target: target)
            })
    }
}
