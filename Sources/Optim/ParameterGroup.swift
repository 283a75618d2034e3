import Torch

/// Parameters that are updated with the same settings.
public struct ParameterGroup {
    public let parameters: [Tensor]
    /// One name for each parameter, unique in the optimizer; they key its saved state. Nil takes their positions among all parameters.
    public let names: [String]?
    /// Replaces the optimizer's learning rate for this group; nil follows the optimizer.
    public var learningRate: Double?
    /// Factor on the learning rate, whichever it is.
    public var learningRateMultiplier: Double
    /// Replaces the configuration's weight decay for this group; nil follows the configuration.
    public var weightDecay: Double?

    public init(
        parameters: [Tensor], names: [String]? = nil, learningRate: Double? = nil, learningRateMultiplier: Double = 1,
        weightDecay: Double? = nil
    ) {
        precondition(names == nil || names?.count == parameters.count, "one name for each parameter")
        self.parameters = parameters
        self.names = names
        self.learningRate = learningRate
        self.learningRateMultiplier = learningRateMultiplier
        self.weightDecay = weightDecay
    }

    /// - Throws: `ConfigurationError` for a negative or infinite setting.
    func validate(number: Int) throws {
        let requirement: Requirement = Requirement("parameter group \(number)")
        try requirement.nonNegative(learningRate ?? 0, "learningRate")
        try requirement.nonNegative(learningRateMultiplier, "learningRateMultiplier")
        try requirement.nonNegative(weightDecay ?? 0, "weightDecay")
    }
}

extension [ParameterGroup] {
    /// Matrices and higher in one group with the configuration's weight decay, vectors and scalars (biases, gains) in another without.
    public static func decayingMatricesOnly(_ named: [(name: String, tensor: Tensor)]) -> [ParameterGroup] {
        let matrices = named.filter { $0.tensor.ndim >= 2 }
        let vectors = named.filter { $0.tensor.ndim < 2 }
        return [
            ParameterGroup(parameters: matrices.map(\.tensor), names: matrices.map(\.name)),
            ParameterGroup(parameters: vectors.map(\.tensor), names: vectors.map(\.name), weightDecay: 0),
        ]
    }
}
