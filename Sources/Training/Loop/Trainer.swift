import Foundation
import NN
import Optim
import Torch

/// Trains a model: batches in, optimizer steps out, with validation, checkpoints and a record of what happened.
///
/// The loop is the `while` of ``run(resume:)``; everything else is what one step, one validation and one checkpoint consist of. A run that is
/// resumed from a checkpoint ends with the very numbers of one that was never stopped: model, optimizer, random stream and the position in
/// the data (which is the step) are all restored.
///
/// On several ranks (``ProcessGroup``) each sees its part of the batches, gradients are averaged, and rank 0 writes the checkpoints, from which any number
/// of ranks continues. All ranks stop together: one that is interrupted takes the others with it.
public final class Trainer<Source: BatchSource> {
    public let model: Module
    public let optimizer: any Optimizer
    public let configuration: TrainerConfiguration
    private let source: Source
    private let loss: (Source.Batch) throws -> Tensor
    private let validation: (() throws -> [String: Double])?
    private let store: CheckpointStore?
    private let sink: any MetricSink
    private let progress: ProgressStyle
    private let description: String
    /// The optimizer's parameters in its order, which is that of the gradients.
    private let parameters: [(name: String, tensor: Tensor)]
    private let average: ExponentialMovingAverage?
    private let replicas: TrainingReplicas?
    private let shares: TrainingShares?
    private var state: TrainingState = TrainingState()
    private var lastSaved: Date = Date()
    private var lastCheckpoint: String?

    /// - Parameters:
    ///   - model: whose state the checkpoints hold.
    ///   - optimizer: over the parameters that are trained.
    ///   - source: of the batches.
    ///   - configuration: steps, schedule, clipping, checkpoints.
    ///   - folder: where checkpoints go; nil writes none.
    ///   - group: the ranks among which the work is divided; `source` gives this rank's part.
    ///   - division: of the model among ranks that share each copy, where there are such; `group` are then the ranks that hold the same share.
    ///   - exchange: averages the gradients in place of a plain all-reduce.
    ///   - description: everything that defines the run, as JSON; a checkpoint with another one is refused.
    ///   - sink: receives the metrics.
    ///   - progress: how progress is shown.
    ///   - validation: metrics of the model in evaluation mode without gradients; the one called "loss" decides what is best.
    ///   - loss: a scalar, the mean over the batch.
    /// - Throws: `ConfigurationError` for a moving average that cannot be made, ``DistributedError`` where the ranks do not find together.
    public init(
        model: Module, optimizer: any Optimizer, source: Source, configuration: TrainerConfiguration, folder: URL? = nil,
        group: ProcessGroup = .single, division: (any ModelDivision)? = nil, exchange: (any GradientExchange)? = nil,
        description: String = "{}", sink: any MetricSink = MetricFanOut([]), progress: ProgressStyle = .automatic(),
        validation: (() throws -> [String: Double])? = nil, loss: @escaping (Source.Batch) throws -> Tensor
    ) throws {
        self.model = model
        self.optimizer = optimizer
        self.source = source
        self.configuration = configuration
        self.loss = loss
        self.validation = validation
        self.sink = sink
        self.progress = progress
        self.description = description
        store = folder.map { CheckpointStore($0) }
        parameters = optimizer.parameterGroups.flatMap { group in
            zip(group.names ?? group.parameters.indices.map(String.init), group.parameters).map { ($0, $1) }
        }
        average = try configuration.averageDecay.map { [parameters] decay in
            try ExponentialMovingAverage(parameters.map(\.tensor), names: parameters.map(\.name), decay: decay, biasCorrected: true)
        }
        replicas = try TrainingReplicas(model, parameters: parameters, group: group, hook: exchange, seed: configuration.seed)
        shares = TrainingShares(division, parameters: parameters)
        try shares?.division.prepare(optimizer)
        state.configuration = description
    }

    /// Trains until the last step, an early stop, or an interrupt.
    /// - Parameter resume: continue from the newest checkpoint of the folder, if there is one.
    /// - Throws: ``TrainingFailure``, ``ConfigurationMismatch``, or what reading data and writing files throws. What was checkpointed stays.
    @discardableResult
    public func run(resume: Bool = false) throws -> TrainingResult {
        let restored: [String: Tensor] = resume ? try restore() : [:]
        try replicas?.begin(at: state.step, from: restored)
        try shares?.division.group.agree(onStart: state.step)
        let prefetcher: Prefetcher<Source.Batch, Int>? = makePrefetcher()
        let bar: ProgressBar = ProgressBar(
            "training", total: configuration.steps, start: state.step, unit: source.itemName, style: progress)
        var history: TrainingResult = TrainingResult()
        var sitting: Date = Date()
        lastSaved = sitting
        model.train()
        while state.step < configuration.steps {
            let outcome: StepOutcome = try step(prefetcher)
            try check(outcome)
            state.step += 1
            state.seconds += Date().timeIntervalSince(sitting)
            sitting = Date()
            bar.advance(by: source.itemsPerBatch * configuration.accumulation, metrics: [("loss", outcome.loss)])
            record(outcome, in: &history)
            if isDue(configuration.validateEvery), try validate(&history, bar) { break }
            if isCheckpointDue(outcome) { try saveCheckpoint() }
            if outcome.stops {
                bar.interrupt()
                try saveCheckpoint()
                throw TrainingFailure.interrupted(step: state.step, checkpoint: lastCheckpoint)
            }
        }
        try finish(&history, bar)
        return history
    }

    // MARK: One step

    private struct StepOutcome {
        let loss: Double
        let gradientNorm: Double
        let learningRate: Double
        let gradients: [Tensor?]
        /// Whether the run was asked to stop, or minutes have gone by since the last checkpoint, as all ranks agree.
        let stops: Bool
        let saves: Bool

        var isFinite: Bool { loss.isFinite && gradientNorm.isFinite }
    }

    private func step(_ prefetcher: Prefetcher<Source.Batch, Int>?) throws -> StepOutcome {
        let accumulator: GradientAccumulator = GradientAccumulator()
        var total: Double = 0
        for part in 0..<configuration.accumulation {
            let batch: Source.Batch = try nextBatch(prefetcher, number: state.step * configuration.accumulation + part)
            let (value, found) = try valueAndGradients(of: batch)
            total += value.item(Double.self)
            accumulator.add(found)
        }
        let (agreed, mean) = try together(loss: total / Double(configuration.accumulation), accumulator.takeMean())
        let (gradients, norm) = try limited(mean)
        let factor: Double = configuration.schedule.factor(step: state.step, of: configuration.steps)
        let outcome: StepOutcome = StepOutcome(
            loss: agreed.loss, gradientNorm: norm, learningRate: factor * optimizer.learningRate, gradients: gradients,
            stops: agreed.stops, saves: agreed.saves)
        if outcome.isFinite {
            try exchanging { optimizer.step(gradients, learningRateFactor: factor) }
            try (optimizer as? any ShardedOptimizer)?.synchronize()
            average?.update()
        }
        return outcome
    }

    /// Gradients that are not accumulated are exchanged while they are computed.
    private func valueAndGradients(of batch: Source.Batch) throws -> (value: Tensor, gradients: [Tensor]) {
        if let replicas, configuration.accumulation == 1 {
            return try exchanging { try replicas.parallel.valueAndGradients { try precise(batch) } }
        }
        return try exchanging { try valueAndGrad(of: parameters.map(\.tensor)) { try precise(batch) } }
    }

    /// Tensor work in which the layers of a divided model talk to other ranks.
    private func exchanging<Result>(_ body: () throws -> Result) throws -> Result {
        shares == nil ? try body() : try withCollectiveErrors(body)
    }

    /// The step's mean loss and gradients over all ranks.
    private func together(loss: Double, _ gradients: [Tensor?]) throws -> (TrainingReplicas.Agreement, [Tensor?]) {
        let minutesDue: Bool = isMinutesDue
        let own: TrainingReplicas.Agreement = .init(loss: loss, stops: Interrupt.isRequested, saves: minutesDue)
        var agreed: TrainingReplicas.Agreement = try replicas?.agree(own) ?? own
        agreed = try shares?.agree(agreed) ?? agreed
        guard let replicas, configuration.accumulation > 1 else { return (agreed, gradients) }
        return (agreed, try replicas.parallel.average(gradients))
    }

    private func limited(_ gradients: [Tensor?]) throws -> (gradients: [Tensor?], norm: Double) {
        if let shares { return try shares.limited(gradients, to: configuration.clipNorm) }
        guard let most = configuration.clipNorm else { return (gradients, globalNorm(gradients)) }
        return clipped(gradients, toGlobalNorm: most)
    }

    private func precise(_ batch: Source.Batch) throws -> Tensor {
        guard let type = configuration.autocast else { return try loss(batch) }
        return try autocast(type) { try loss(batch) }
    }

    private func nextBatch(_ prefetcher: Prefetcher<Source.Batch, Int>?, number: Int) throws -> Source.Batch {
        if let batch = try prefetcher?.next() { return batch }
        return try source.batch(number)
    }

    private func makePrefetcher() -> Prefetcher<Source.Batch, Int>? {
        guard configuration.prefetch > 0 else { return nil }
        let source: Source = source
        return Prefetcher(from: state.step * configuration.accumulation, depth: configuration.prefetch) { number in
            defer { number += 1 }
            return try source.batch(number)
        }
    }

    /// Stops the run before a step with NaN or infinity reaches the parameters, naming where it shows first.
    private func check(_ outcome: StepOutcome) throws {
        if outcome.isFinite { return }
        throw TrainingFailure.notFinite(step: state.step, tensor: firstBroken(outcome), checkpoint: lastCheckpoint)
    }

    private func firstBroken(_ outcome: StepOutcome) -> String {
        if let parameter = parameters.first(where: { !Self.isFinite($0.tensor) }) { return "the parameter \(parameter.name)" }
        if !outcome.loss.isFinite { return "the loss" }
        let gradient = zip(parameters, outcome.gradients).first { $1.map { !Self.isFinite($0) } ?? false }
        return gradient.map { "the gradient of \($0.0.name)" } ?? "the norm of the gradients"
    }

    private static func isFinite(_ tensor: Tensor) -> Bool { tensor.detached().isFinite().all().item(Bool.self) }

    // MARK: Recording, validating, saving

    private func isDue(_ every: Int?) -> Bool { every.map { state.step % $0 == 0 } ?? false }

    private func record(_ outcome: StepOutcome, in history: inout TrainingResult) {
        history.losses.append(outcome.loss)
        guard state.step % configuration.logEvery == 0 || state.step == configuration.steps else { return }
        sink.log(
            step: state.step,
            metrics: ["train/loss": outcome.loss, "train/gradient_norm": outcome.gradientNorm, "train/learning_rate": outcome.learningRate])
    }

    /// Validates and says whether the run should stop early.
    private func validate(_ history: inout TrainingResult, _ bar: ProgressBar) throws -> Bool {
        guard let metrics = try evaluated() else { return false }
        history.validations.append(.init(step: state.step, metrics: metrics))
        sink.log(step: state.step, metrics: Dictionary(uniqueKeysWithValues: metrics.map { ("validation/\($0.key)", $0.value) }))
        if progress != .quiet {
            let shown: [String] = metrics.sorted { $0.key < $1.key }.map { "\($0.key) \(rounded($0.value))" }
            bar.message("step \(state.step): validation " + shown.joined(separator: ", "))
        }
        guard let loss = metrics["loss"] else { return false }
        if loss < state.best ?? .infinity {
            (state.best, state.bestStep, state.stale) = (loss, state.step, 0)
            if store != nil { try saveCheckpoint() }
        } else {
            state.stale += 1
        }
        return configuration.patience.map { state.stale >= $0 } ?? false
    }

    private func evaluated() throws -> [String: Double]? {
        guard let validation else { return nil }
        model.train(false)
        defer { model.train() }
        return try exchanging {
            guard let average else { return try noGrad { try validation() } }
            return try average.withAverage { try noGrad { try validation() } }
        }
    }

    private func finish(_ history: inout TrainingResult, _ bar: ProgressBar) throws {
        if history.validations.last?.step != state.step { _ = try validate(&history, bar) }
        bar.finish()
        if store != nil { try saveCheckpoint() }
        average?.copyToParameters()
        model.train(false)
        history.steps = state.step
        history.seconds = state.seconds
        history.best = state.best
    }

    private func isCheckpointDue(_ outcome: StepOutcome) -> Bool {
        guard store != nil, state.step < configuration.steps else { return false }
        return outcome.saves || isDue(configuration.checkpointEvery)
    }

    private var isMinutesDue: Bool {
        guard store != nil, let minutes = configuration.checkpointMinutes else { return false }
        return Date().timeIntervalSince(lastSaved) >= minutes * 60
    }

    private func saveCheckpoint() throws {
        guard let store else { return }
        try replicas?.parallel.checkReplicas()
        try shares?.checkReplicas(of: model)
        let (tensors, scalars): ([String: Tensor], OptimizerScalars) = try optimizer.wholeState()
        var training: [String: Tensor] = Dictionary(uniqueKeysWithValues: tensors.map { ("optimizer." + $0.key, $0.value) })
        for (name, tensor) in average?.stateTensors() ?? [:] { training["average." + name] = tensor }
        training = try shares?.whole(training) ?? training
        for (name, tensor) in try replicas?.exchangeState() ?? [:] { training["exchange." + name] = tensor }
        for (name, tensor) in try replicas?.randomStates() ?? [:] { training[name] = tensor }
        let weights: [String: Tensor] = try shares?.division.wholeState(of: model) ?? Dictionary(uniqueKeysWithValues: model.stateTensors())
        lastSaved = Date()
        lastCheckpoint = store.url(step: state.step).path
        if replicas?.group.rank ?? 0 > 0 || shares?.division.group.rank ?? 0 > 0 { return }
        state.optimizer = scalars
        state.averageUpdates = average?.updateCount ?? 0
        training["random.shared"] = RandomGenerator.shared(on: .cpu).state()
        try store.save(Checkpoint(model: weights, training: training, state: state))
        store.prune(keeping: configuration.keepCheckpoints, best: state.bestStep)
    }

    /// - Returns: the training state that was read; empty where there is no checkpoint.
    private func restore() throws -> [String: Tensor] {
        guard let store, let checkpoint = try store.latest() else { return [:] }
        let differences: [String] = ConfigurationDifference.between(there: checkpoint.state.configuration, here: description)
        if !differences.isEmpty { throw ConfigurationMismatch(folder: store.folder.path, differences: differences) }
        let training: [String: Tensor] = try shares?.pieces(of: checkpoint) ?? checkpoint.training
        if let shares { try shares.division.load(checkpoint.model, into: model) } else { try model.load(checkpoint.model) }
        if let scalars = checkpoint.state.optimizer { try optimizer.loadState(training.below("optimizer."), scalars: scalars) }
        try average?.loadState(training.below("average."), updateCount: checkpoint.state.averageUpdates)
        try replicas?.loadExchange(training.below("exchange."))
        if let random = checkpoint.training["random.shared"] { try RandomGenerator.shared(on: .cpu).restore(random.cloned()) }
        state = checkpoint.state
        lastCheckpoint = store.url(step: state.step).path
        return training
    }

    private func rounded(_ value: Double) -> String { String(format: "%.4g", value) }
}

/// What a training run leaves behind besides the trained model.
public struct TrainingResult: Sendable {
    public struct Validation: Sendable {
        public let step: Int
        public let metrics: [String: Double]
    }

    /// The loss of each step of this sitting.
    public var losses: [Double] = []
    public var validations: [Validation] = []
    public var steps: Int = 0
    /// Seconds over all sittings.
    public var seconds: Double = 0
    /// Lowest validation loss.
    public var best: Double?

    public init() {}
}
