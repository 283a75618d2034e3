import Torch

/// Adagrad (Duchi et al. 2011): `s += g²`, `p -= learningRate / (1 + (t - 1) · learningRateDecay) · g / (sqrt(s) + epsilon)`.
public struct AdagradConfiguration: UpdateRule {
    public var learningRate: Double
    /// How fast the learning rate falls with the steps, in their inverse.
    public var learningRateDecay: Double
    /// Coupled: added to the gradient as `weightDecay · p`.
    public var weightDecay: Double
    /// What the sum of squares starts from.
    public var initialAccumulator: Double
    public var epsilon: Double

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(
        learningRate: Double = 1e-2, learningRateDecay: Double = 0, weightDecay: Double = 0, initialAccumulator: Double = 0,
        epsilon: Double = 1e-10
    ) throws {
        self.learningRate = learningRate
        self.learningRateDecay = learningRateDecay
        self.weightDecay = weightDecay
        self.initialAccumulator = initialAccumulator
        self.epsilon = epsilon
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("Adagrad")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.nonNegative(learningRateDecay, "learningRateDecay")
        try requirement.nonNegative(weightDecay, "weightDecay")
        try requirement.nonNegative(initialAccumulator, "initialAccumulator")
        try requirement.nonNegative(epsilon, "epsilon")
    }

    public var worksOnPieces: Bool { true }

    public func stateNames(shape: [Int]) -> [String] { ["sum"] }

    public func initialState(_ name: String, of parameter: Tensor) -> Tensor {
        let sum: Tensor = parameter.emptyLike()
        sum.fill_(initialAccumulator)
        return sum
    }

    public func update(_ batch: UpdateBatch) {
        let gradients: [Tensor] = batch.penalizedGradients()
        TensorList.addProduct_(batch.state[0], gradients, gradients)
        let scale: [Tensor] = TensorList.sqrt(batch.state[0])
        TensorList.add_(scale, epsilon)
        let rate: Double = batch.learningRate / (1 + Double(batch.step - 1) * learningRateDecay)
        TensorList.addQuotient_(batch.parameters, gradients, scale, scale: -rate)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, learningRateDecay, weightDecay, initialAccumulator, epsilon
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "Adagrad")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.learningRateDecay, into: &learningRateDecay)
        try fields.read(.weightDecay, into: &weightDecay)
        try fields.read(.initialAccumulator, into: &initialAccumulator)
        try fields.read(.epsilon, into: &epsilon)
        try validate()
    }
}
