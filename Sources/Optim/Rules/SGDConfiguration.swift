import Torch

private let fusedSGDOp: Operator = Operator("_fused_sgd_")

/// Stochastic gradient descent with momentum, as torch defines it:
/// `g += weightDecay · p`; `b = g` at the first step, later `b = momentum · b + (1 - dampening) · g`; the step is `b`, or
/// `g + momentum · b` with Nesterov's momentum; `p -= learningRate · step`.
public struct SGDConfiguration: UpdateRule {
    public var learningRate: Double
    public var momentum: Double
    public var dampening: Double
    public var nesterov: Bool
    public var weightDecay: Double

    /// - Throws: `ConfigurationError` for a setting out of its range, or Nesterov's momentum without momentum or with dampening.
    public init(
        learningRate: Double = 1e-2, momentum: Double = 0, dampening: Double = 0, nesterov: Bool = false, weightDecay: Double = 0
    ) throws {
        self.init(
            unchecked: learningRate, momentum: momentum, dampening: dampening, nesterov: nesterov, weightDecay: weightDecay)
        try validate()
    }

    /// For settings that were checked as those of a rule whose fallback this is.
    init(unchecked learningRate: Double, momentum: Double, dampening: Double, nesterov: Bool = false, weightDecay: Double) {
        self.learningRate = learningRate
        self.momentum = momentum
        self.dampening = dampening
        self.nesterov = nesterov
        self.weightDecay = weightDecay
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("SGD")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.nonNegative(momentum, "momentum")
        try requirement.fraction(dampening, "dampening")
        try requirement.nonNegative(weightDecay, "weightDecay")
        try requirement.check(
            !nesterov || (momentum > 0 && dampening == 0), "nesterov", nesterov, "needs momentum above 0 and dampening 0")
    }

    public var worksOnPieces: Bool { true }

    public func stateNames(shape: [Int]) -> [String] { momentum == 0 ? [] : ["momentum_buffer"] }

    public func update(_ batch: UpdateBatch) {
        fusedSGDOp.perform(
            batch.parameters, batch.gradients, batch.state.first ?? [], batch.weightDecay, momentum, batch.learningRate, dampening,
            nesterov, false, batch.step == 1)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, momentum, dampening, nesterov, weightDecay
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` as ``init(learningRate:momentum:dampening:nesterov:weightDecay:)``, and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "SGD")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.momentum, into: &momentum)
        try fields.read(.dampening, into: &dampening)
        try fields.read(.nesterov, into: &nesterov)
        try fields.read(.weightDecay, into: &weightDecay)
        try validate()
    }
}
