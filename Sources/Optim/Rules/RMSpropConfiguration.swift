import Torch

/// RMSprop (Hinton's lecture 6e; centred as in Graves 2013, equation 38 on), as torch defines it: `g += weightDecay · p`,
/// `v = alpha · v + (1 - alpha) · g²`, the step is `g / (sqrt(v) + epsilon)`, or with momentum a buffer `b = momentum · b + step`.
/// Centred, `v - a²` takes the place of `v`, where `a` is the moving average of `g`.
public struct RMSpropConfiguration: UpdateRule {
    public var learningRate: Double
    /// Decay of the moving averages.
    public var alpha: Double
    /// Added outside the root.
    public var epsilon: Double
    public var momentum: Double
    public var centered: Bool
    public var weightDecay: Double

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(
        learningRate: Double = 1e-2, alpha: Double = 0.99, epsilon: Double = 1e-8, momentum: Double = 0, centered: Bool = false,
        weightDecay: Double = 0
    ) throws {
        self.learningRate = learningRate
        self.alpha = alpha
        self.epsilon = epsilon
        self.momentum = momentum
        self.centered = centered
        self.weightDecay = weightDecay
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("RMSprop")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.decay(alpha, "alpha")
        try requirement.nonNegative(epsilon, "epsilon")
        try requirement.nonNegative(momentum, "momentum")
        try requirement.nonNegative(weightDecay, "weightDecay")
    }

    public var worksOnPieces: Bool { true }

    public func stateNames(shape: [Int]) -> [String] {
        ["square_avg"] + (momentum > 0 ? ["momentum_buffer"] : []) + (centered ? ["grad_avg"] : [])
    }

    public func update(_ batch: UpdateBatch) {
        let gradients: [Tensor] = batch.penalizedGradients()
        let squares: [Tensor] = batch.state[0]
        TensorList.multiply_(squares, by: alpha)
        TensorList.addProduct_(squares, gradients, gradients, scale: 1 - alpha)
        let scale: [Tensor] = TensorList.sqrt(centered ? variance(of: gradients, squares, averages: batch.state.last!) : squares)
        TensorList.add_(scale, epsilon)
        if momentum > 0 {
            let buffers: [Tensor] = batch.state[1]
            TensorList.multiply_(buffers, by: momentum)
            TensorList.addQuotient_(buffers, gradients, scale)
            TensorList.add_(batch.parameters, buffers, scale: -batch.learningRate)
        } else {
            TensorList.addQuotient_(batch.parameters, gradients, scale, scale: -batch.learningRate)
        }
    }

    private func variance(of gradients: [Tensor], _ squares: [Tensor], averages: [Tensor]) -> [Tensor] {
        TensorList.interpolate_(averages, to: gradients, weight: 1 - alpha)
        return TensorList.addProduct(squares, averages, averages, scale: -1)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, alpha, epsilon, momentum, centered, weightDecay
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "RMSprop")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.alpha, into: &alpha)
        try fields.read(.epsilon, into: &epsilon)
        try fields.read(.momentum, into: &momentum)
        try fields.read(.centered, into: &centered)
        try fields.read(.weightDecay, into: &weightDecay)
        try validate()
    }
}
