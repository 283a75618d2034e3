import Torch

/// Kar (arXiv 2401.17948, section 4): several sign steps on one gradient, along the gradient and along its moving averages.
/// `p -= learningRate · (sign(g) + Σ sign(mᵢ))`, then `mᵢ = βᵢ · mᵢ + (1 - βᵢ) · g`.
///
/// With two averages it is the paper's Kar3 (the default), with one its Kar2; the number counts the steps that one gradient makes. The averages
/// begin at 0, so the first step is `learningRate · sign(g)`.
public struct KarConfiguration: UpdateRule {
    public var learningRate: Double
    /// Decays of the moving averages, one for each.
    public var betas: [Double]
    /// Decoupled; the paper has none.
    public var weightDecay: Double

    /// - Throws: `ConfigurationError` for a setting out of its range, or without a moving average.
    public init(learningRate: Double = 1.2e-3, betas: [Double] = [0.5, 0.95], weightDecay: Double = 0) throws {
        self.learningRate = learningRate
        self.betas = betas
        self.weightDecay = weightDecay
        try validate()
    }

    /// Kar with one moving average.
    public static func kar2(learningRate: Double = 1.2e-3, beta: Double = 0.95) throws -> KarConfiguration {
        try KarConfiguration(learningRate: learningRate, betas: [beta])
    }

    /// Kar with two moving averages.
    public static func kar3(learningRate: Double = 1.2e-3, betas: (Double, Double) = (0.5, 0.95)) throws -> KarConfiguration {
        try KarConfiguration(learningRate: learningRate, betas: [betas.0, betas.1])
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("Kar")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.check(!betas.isEmpty, "betas", betas, "needs at least one decay")
        for (index, beta) in betas.enumerated() { try requirement.decay(beta, "betas[\(index)]") }
        try requirement.nonNegative(weightDecay, "weightDecay")
    }

    public var worksOnPieces: Bool { true }

    public func stateNames(shape: [Int]) -> [String] { betas.indices.map { "exp_avg_\($0)" } }

    public func update(_ batch: UpdateBatch) {
        batch.decayParameters()
        TensorList.add_(batch.parameters, TensorList.sign(batch.gradients), scale: -batch.learningRate)
        for (average, beta) in zip(batch.state, betas) {
            TensorList.add_(batch.parameters, TensorList.sign(average), scale: -batch.learningRate)
            TensorList.interpolate_(average, to: batch.gradients, weight: 1 - beta)
        }
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, betas, weightDecay
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "Kar")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.betas, into: &betas)
        try fields.read(.weightDecay, into: &weightDecay)
        try validate()
    }
}
