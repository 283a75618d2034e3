import Torch

private let fusedAdamOp: Operator = Operator("_fused_adam_")

/// Adam (Kingma & Ba 2015, algorithm 1) with coupled L2 regularisation: `g += weightDecay · p` before the moments, so that
/// the penalty is divided by the second moment too. ``AdamWConfiguration`` decouples it.
public struct AdamConfiguration: UpdateRule {
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
        learningRate: Double = 1e-3, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0,
        amsgrad: Bool = false
    ) throws {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.amsgrad = amsgrad
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("Adam")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.decay(beta1, "beta1")
        try requirement.decay(beta2, "beta2")
        try requirement.nonNegative(epsilon, "epsilon")
        try requirement.nonNegative(weightDecay, "weightDecay")
    }

    public var worksOnPieces: Bool { true }

    public func stateNames(shape: [Int]) -> [String] { ["exp_avg", "exp_avg_sq"] + (amsgrad ? ["max_exp_avg_sq"] : []) }

    public func update(_ batch: UpdateBatch) {
        fusedAdamOp.perform(
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
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "Adam")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.beta1, into: &beta1)
        try fields.read(.beta2, into: &beta2)
        try fields.read(.epsilon, into: &epsilon)
        try fields.read(.weightDecay, into: &weightDecay)
        try fields.read(.amsgrad, into: &amsgrad)
        try validate()
    }
}
