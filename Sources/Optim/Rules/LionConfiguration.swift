import Torch

/// Lion (Chen et al. 2023, algorithm 2): the sign of an average of momentum and gradient, with decoupled weight decay.
/// `p *= 1 - learningRate · weightDecay`, `p -= learningRate · sign(beta1 · m + (1 - beta1) · g)`, `m = beta2 · m + (1 - beta2) · g`.
///
/// One state tensor a parameter. Every element moves by the learning rate, which therefore is three to ten times smaller than AdamW's,
/// with a weight decay as much larger (the paper's section 5).
public struct LionConfiguration: UpdateRule {
    public var learningRate: Double
    /// Weight of the momentum in the step's direction.
    public var beta1: Double
    /// Decay of the momentum.
    public var beta2: Double
    public var weightDecay: Double

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(learningRate: Double = 1e-4, beta1: Double = 0.9, beta2: Double = 0.99, weightDecay: Double = 0) throws {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.weightDecay = weightDecay
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("Lion")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.decay(beta1, "beta1")
        try requirement.decay(beta2, "beta2")
        try requirement.nonNegative(weightDecay, "weightDecay")
    }

    public var worksOnPieces: Bool { true }

    public func stateNames(shape: [Int]) -> [String] { ["exp_avg"] }

    public func update(_ batch: UpdateBatch) {
        let momentum: [Tensor] = batch.state[0]
        let direction: [Tensor] = TensorList.interpolate(momentum, to: batch.gradients, weight: 1 - beta1)
        TensorList.sign_(direction)
        batch.decayParameters()
        TensorList.add_(batch.parameters, direction, scale: -batch.learningRate)
        TensorList.interpolate_(momentum, to: batch.gradients, weight: 1 - beta2)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, beta1, beta2, weightDecay
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "Lion")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.beta1, into: &beta1)
        try fields.read(.beta2, into: &beta2)
        try fields.read(.weightDecay, into: &weightDecay)
        try validate()
    }
}
