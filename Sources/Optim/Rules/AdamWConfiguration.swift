import Torch

private let fusedAdamWOp: Operator = Operator("_fused_adamw_")

/// Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2): `p *= 1 - learningRate · weightDecay`, then
/// `p -= learningRate / (1 - beta1^t) · m / (sqrt(v) / sqrt(1 - beta2^t) + epsilon)`.
public struct AdamWConfiguration: UpdateRule {
    public var learningRate: Double
    /// Decay of the moving average of gradients.
    public var beta1: Double
    /// Decay of the moving average of squared gradients.
    public var beta2: Double
    public var epsilon: Double
    public var weightDecay: Double
    /// Whether the running maximum of the second moment takes its place (Reddi et al. 2018).
    public var amsgrad: Bool

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(
        learningRate: Double = 1e-3, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 1e-2,
        amsgrad: Bool = false
    ) throws {
        self.init(
            unchecked: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: weightDecay, amsgrad: amsgrad)
        try validate()
    }

    /// For settings that were checked as those of a rule whose fallback this is.
    init(unchecked learningRate: Double, beta1: Double, beta2: Double, epsilon: Double, weightDecay: Double, amsgrad: Bool = false) {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.amsgrad = amsgrad
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("AdamW")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.decay(beta1, "beta1")
        try requirement.decay(beta2, "beta2")
        try requirement.nonNegative(epsilon, "epsilon")
        try requirement.nonNegative(weightDecay, "weightDecay")
    }

    public var worksOnPieces: Bool { true }

    public func stateNames(shape: [Int]) -> [String] { ["exp_avg", "exp_avg_sq"] + (amsgrad ? ["max_exp_avg_sq"] : []) }

    public func update(_ batch: UpdateBatch) {
        fusedAdamWOp.perform(
            batch.parameters, batch.gradients, batch.state[0], batch.state[1], amsgrad ? batch.state[2] : [], batch.fusedStepCounts(),
            batch.learningRate, beta1, beta2, batch.weightDecay, epsilon, amsgrad, false)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, beta1, beta2, epsilon, weightDecay, amsgrad
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "AdamW")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.beta1, into: &beta1)
        try fields.read(.beta2, into: &beta2)
        try fields.read(.epsilon, into: &epsilon)
        try fields.read(.weightDecay, into: &weightDecay)
        try fields.read(.amsgrad, into: &amsgrad)
        try validate()
    }
}
