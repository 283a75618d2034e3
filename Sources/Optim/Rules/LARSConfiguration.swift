import Torch

/// LARS, momentum whose step is scaled to the norm of each parameter, in two forms.
///
/// Without ``trustCoefficient`` that of You et al. 2020 (algorithm 1): `m = β m + (1 - β)(g + weightDecay · x)`,
/// `x -= learningRate · φ(‖x‖) / ‖m‖ · m`. With it that of You et al. 2017: `r = trustCoefficient · ‖x‖ / (‖g‖ + weightDecay · ‖x‖)`,
/// `v = β v + learningRate · r · (g + weightDecay · x)`, `x -= v`. Ratios are 1 where a norm is 0. Vectors (biases and gains) follow plain momentum without decay.
public struct LARSConfiguration: UpdateRule {
    public var learningRate: Double
    /// β.
    public var momentum: Double
    public var weightDecay: Double
    /// Chooses the form of 2017, where 0.001 is usual.
    public var trustCoefficient: Double?
    public var excludesVectors: Bool

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(
        learningRate: Double = 1e-2, momentum: Double = 0.9, weightDecay: Double = 0, trustCoefficient: Double? = nil,
        excludesVectors: Bool = true
    ) throws {
        self.learningRate = learningRate
        self.momentum = momentum
        self.weightDecay = weightDecay
        self.trustCoefficient = trustCoefficient
        self.excludesVectors = excludesVectors
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("LARS")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.decay(momentum, "momentum")
        try requirement.nonNegative(weightDecay, "weightDecay")
        try requirement.positive(trustCoefficient ?? 1, "trustCoefficient")
    }

    public func applies(to name: String, shape: [Int]) -> Bool { shape.count >= 2 || !excludesVectors }

    public var fallback: any UpdateRule {
        SGDConfiguration(
            unchecked: learningRate, momentum: momentum, dampening: trustCoefficient == nil ? momentum : 0, weightDecay: 0)
    }

    public var worksOnPieces: Bool { true }

    public func stateNames(shape: [Int]) -> [String] { [trustCoefficient == nil ? "exp_avg" : "velocity", "trust_ratio"] }

    public func initialState(_ name: String, of parameter: Tensor) -> Tensor {
        name == "trust_ratio" ? .ones([], dtype: parameter.dtype, device: parameter.device) : parameter.zerosLike()
    }

    public func update(_ batch: UpdateBatch) {
        if let trustCoefficient { return updateVelocity(batch, trustCoefficient) }
        TensorList.interpolate_(batch.state[0], to: batch.penalizedGradients(), weight: 1 - momentum)
        let updates: [Tensor] = batch.state[0].map { $0.cloned() }
        batch.takeAdaptedSteps(updates, ratios: TrustRatio(lowest: nil, highest: nil)(batch, updates))
    }

    /// The form of 2017: the learning rate is inside the velocity.
    private func updateVelocity(_ batch: UpdateBatch, _ trustCoefficient: Double) {
        let (sizes, slopes): (Tensor, Tensor) = (batch.norms(batch.parameters), batch.norms(batch.gradients))
        let raw: Tensor = sizes * trustCoefficient / (slopes + sizes * batch.weightDecay)
        let ratios: Tensor = which((sizes .> 0) .&& (slopes .> 0), raw, sizes.onesLike())
        let gradients: [Tensor] = batch.penalizedGradients()
        TensorList.multiply_(batch.state[0], by: momentum)
        for (index, ratio) in ratios.unbound().enumerated() {
            batch.state[0][index].add_(gradients[index] * (ratio * batch.learningRate))
            batch.state[1][index].copy_(from: ratio)
        }
        TensorList.add_(batch.parameters, batch.state[0], scale: -1)
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, momentum, weightDecay, trustCoefficient, excludesVectors
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "LARS")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.momentum, into: &momentum)
        try fields.read(.weightDecay, into: &weightDecay)
        try fields.read(.trustCoefficient, into: &trustCoefficient)
        try fields.read(.excludesVectors, into: &excludesVectors)
        try validate()
    }
}
