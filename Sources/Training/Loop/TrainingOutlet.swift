import Foundation
import NN
import Optim
import Torch

/// What a training takes beside model and data: where checkpoints and metrics go, how progress is shown, whether an earlier run goes on, and the
/// ranks that share it.
public struct TrainingOutlet {
    /// Gets the checkpoints, below `checkpoints`; nil keeps none.
    public var folder: URL?
    /// Whether to continue from the newest checkpoint of the folder.
    public var resume: Bool
    /// Receives the metrics.
    public var sink: any MetricSink
    /// How progress is shown.
    public var progress: ProgressStyle
    /// The ranks among which each batch is divided; ranks other than the first read checkpoints and write none.
    public var group: ProcessGroup
    /// Divides a model in place among the ranks that share each copy of it; nil leaves models whole.
    public var divide: ((Module) throws -> any ModelDivision)?
    /// Averages the gradients in place of a plain all-reduce.
    public var exchange: (any GradientExchange)?
    /// Whether the optimizer's state is spread over the ranks.
    public var shardsState: Bool

    public init(
        folder: URL? = nil, resume: Bool = false, sink: any MetricSink = MetricFanOut([]), progress: ProgressStyle = .automatic(),
        group: ProcessGroup = .single, exchange: (any GradientExchange)? = nil, shardsState: Bool = false
    ) {
        self.group = group
        self.exchange = exchange
        self.shardsState = shardsState
        self.folder = folder
        self.resume = resume
        self.sink = sink
        self.progress = progress
    }

    /// Where the checkpoints of a run's folder lie.
    public static func checkpoints(in folder: URL) -> URL { folder.appendingPathComponent("checkpoints", isDirectory: true) }

    /// Trains a model with a ``Trainer``.
    /// - Parameters:
    ///   - model: what is trained.
    ///   - optimizer: over the parameters that are trained.
    ///   - source: of the batches.
    ///   - configuration: steps, schedule, clipping, checkpoints.
    ///   - division: what ``divide`` gave of the model; nil for a model that is whole.
    ///   - description: everything that defines the run, as JSON; a checkpoint with another one is refused.
    ///   - validation: metrics of the model in evaluation mode; nil validates never.
    ///   - loss: a scalar, the mean over the batch.
    /// - Throws: what the trainer throws.
    public func train<Source: BatchSource>(
        _ model: Module, with optimizer: any Optimizer, on source: Source, _ configuration: TrainerConfiguration,
        division: (any ModelDivision)? = nil, description: String, validation: (() throws -> [String: Double])?,
        loss: @escaping (Source.Batch) throws -> Tensor
    ) throws -> TrainingResult {
        let trainer: Trainer<Source> = try Trainer(
            model: model, optimizer: optimizer, source: source, configuration: configuration, folder: folder.map(Self.checkpoints(in:)),
            group: group, division: division, exchange: exchange, description: description, sink: sink, progress: progress,
            validation: validation, loss: loss)
        return try trainer.run(resume: resume)
    }

    /// An optimizer, with its state spread over the ranks where that is wanted.
    /// - Throws: `ConfigurationError` for settings out of their range.
    public func optimizer(_ groups: [ParameterGroup], _ configuration: OptimizerConfiguration) throws -> any Optimizer {
        shardsState ? try sharded(groups, configuration.rule) : try configuration.makeOptimizer(groups: groups)
    }

    private func sharded<Rule: UpdateRule>(_ groups: [ParameterGroup], _ rule: Rule) throws -> any Optimizer {
        try ZeroRedundancyOptimizer(groups: groups, configuration: rule, group: group)
    }
}
