import Optim
import Torch

/// How a ``Trainer`` runs; the model, the data and the loss are not its business.
public struct TrainerConfiguration: Codable, Sendable, Equatable {
    /// Optimizer steps in all.
    public var steps: Int
    /// Batches whose gradients are averaged into one step.
    public var accumulation: Int
    /// Largest global norm of the gradients; nil leaves them as they are.
    public var clipNorm: Double?
    /// Learning rate over the steps, as a factor of the optimizer's.
    public var schedule: Schedule
    /// Compute the forward pass in this type (bfloat16); nil keeps the parameters' own.
    public var autocast: DType?
    /// Decay of an exponential moving average of the parameters; validation and the final model use the average.
    public var averageDecay: Double?
    /// Steps between validations; nil validates at the end only.
    public var validateEvery: Int?
    /// Validations without an improvement after which the run stops; nil never stops early.
    public var patience: Int?
    /// Steps between points in the run's record.
    public var logEvery: Int
    /// Steps between checkpoints; nil leaves it to the minutes.
    public var checkpointEvery: Int?
    /// Minutes between checkpoints; nil leaves it to the steps.
    public var checkpointMinutes: Double?
    /// Newest checkpoints that are kept, beside the best.
    public var keepCheckpoints: Int
    /// Batches prepared ahead on another thread.
    public var prefetch: Int
    public var seed: UInt64

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        steps: Int, accumulation: Int = 1, clipNorm: Double? = 1, schedule: Schedule = .constant, autocast: DType? = nil,
        averageDecay: Double? = nil, validateEvery: Int? = nil, patience: Int? = nil, logEvery: Int = 10, checkpointEvery: Int? = nil,
        checkpointMinutes: Double? = 5, keepCheckpoints: Int = 2, prefetch: Int = 2, seed: UInt64 = 0
    ) throws {
        self.steps = steps
        self.accumulation = accumulation
        self.clipNorm = clipNorm
        self.schedule = schedule
        self.autocast = autocast
        self.averageDecay = averageDecay
        self.validateEvery = validateEvery
        self.patience = patience
        self.logEvery = logEvery
        self.checkpointEvery = checkpointEvery
        self.checkpointMinutes = checkpointMinutes
        self.keepCheckpoints = keepCheckpoints
        self.prefetch = prefetch
        self.seed = seed
        try validate()
    }

    private func validate() throws {
        let positive: [(String, Int?)] = [
            ("steps", steps), ("accumulation", accumulation), ("validateEvery", validateEvery), ("patience", patience),
            ("logEvery", logEvery),
            ("checkpointEvery", checkpointEvery), ("keepCheckpoints", keepCheckpoints),
        ]
        for case (let name, let value?) in positive where value < 1 {
            throw ConfigurationError("training.\(name) is \(value); it has to be at least 1")
        }
        if let clipNorm, clipNorm <= 0 { throw ConfigurationError("training.clipNorm is \(clipNorm); it has to be above 0") }
        if let averageDecay, !(0..<1).contains(averageDecay) {
            throw ConfigurationError("training.averageDecay is \(averageDecay); it has to lie in 0 ..< 1")
        }
        if let checkpointMinutes, checkpointMinutes <= 0 {
            throw ConfigurationError("training.checkpointMinutes is \(checkpointMinutes); it has to be above 0")
        }
        if let autocast, autocast != .bfloat16, autocast != .float16 {
            throw ConfigurationError("training.autocast is \(autocast); it has to be bfloat16 or float16")
        }
        try schedule.validate(total: steps)
        if prefetch < 0 { throw ConfigurationError("training.prefetch is \(prefetch); it has to be at least 0") }
    }
}
