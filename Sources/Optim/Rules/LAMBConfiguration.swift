import Foundation
import Torch

/// LAMB (You et al. 2020, algorithm 2): Adam's update, weight decay included, scaled to the norm of each parameter.
/// `u = m̂ / (sqrt(v̂) + epsilon) + weightDecay · x`, `x -= learningRate · φ(‖x‖) / ‖u‖ · u` with φ(z) = min(max(z, lowestNorm), highestNorm).
///
/// A layer is a parameter as given: queries, keys and values in one tensor share one ratio. Biases and gains, which are vectors, are left to Adam without
/// decay, and so is what ``exclude`` names.
public struct LAMBConfiguration: UpdateRule {
    public var learningRate: Double
    public var beta1: Double
    public var beta2: Double
    /// Added outside the root.
    public var epsilon: Double
    /// Inside the update, before its norm is taken.
    public var weightDecay: Double
    /// γₗ; nil does not bind.
    public var lowestNorm: Double?
    /// γᵤ; nil does not bind.
    public var highestNorm: Double?
    /// Whether the moments are corrected for their start at 0.
    public var biasCorrection: Bool
    public var excludesVectors: Bool
    /// Words that one of the dotted parts of a parameter's name begins or ends with where Adam is to update it.
    public var exclude: [String]

    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(
        learningRate: Double = 1e-3, beta1: Double = 0.9, beta2: Double = 0.999, epsilon: Double = 1e-6, weightDecay: Double = 1e-2,
        lowestNorm: Double? = nil, highestNorm: Double? = nil, biasCorrection: Bool = true, excludesVectors: Bool = true,
        exclude: [String] = []
    ) throws {
        self.learningRate = learningRate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weightDecay = weightDecay
        self.lowestNorm = lowestNorm
        self.highestNorm = highestNorm
        self.biasCorrection = biasCorrection
        self.excludesVectors = excludesVectors
        self.exclude = exclude
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("LAMB")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.decay(beta1, "beta1")
        try requirement.decay(beta2, "beta2")
        try requirement.nonNegative(epsilon, "epsilon")
        try requirement.nonNegative(weightDecay, "weightDecay")
        try requirement.nonNegative(lowestNorm ?? 0, "lowestNorm")
        try requirement.positive(highestNorm ?? 1, "highestNorm")
        try requirement.check(
            (lowestNorm ?? 0) <= (highestNorm ?? .infinity), "lowestNorm", lowestNorm ?? 0, "has to be at most highestNorm")
    }

    public func applies(to name: String, shape: [Int]) -> Bool {
        (shape.count >= 2 || !excludesVectors) && !ExcludedNames.contains(name, among: exclude)
    }

    public var fallback: any UpdateRule {
        AdamWConfiguration(unchecked: learningRate, beta1: beta1, beta2: beta2, epsilon: epsilon, weightDecay: 0)
    }

    public var worksOnPieces: Bool { true }

    public func stateNames(shape: [Int]) -> [String] { ["exp_avg", "exp_avg_sq", "trust_ratio"] }

    public func initialState(_ name: String, of parameter: Tensor) -> Tensor {
        name == "trust_ratio" ? .ones([], dtype: parameter.dtype, device: parameter.device) : parameter.zerosLike()
    }

    public func update(_ batch: UpdateBatch) {
        let averages: [Tensor] = batch.state[0], squares: [Tensor] = batch.state[1]
        TensorList.interpolate_(averages, to: batch.gradients, weight: 1 - beta1)
        TensorList.multiply_(squares, by: beta2)
        TensorList.addProduct_(squares, batch.gradients, batch.gradients, scale: 1 - beta2)
        let roots: [Tensor] = TensorList.sqrt(squares)
        let count: Double = Double(batch.step)
        if biasCorrection { TensorList.multiply_(roots, by: 1 / (1 - pow(beta2, count)).squareRoot()) }
        TensorList.add_(roots, epsilon)
        let updates: [Tensor] = TensorList.divide(averages, by: roots)
        if biasCorrection { TensorList.multiply_(updates, by: 1 / (1 - pow(beta1, count))) }
        if batch.weightDecay != 0 { TensorList.add_(updates, batch.parameters, scale: batch.weightDecay) }
        batch.takeAdaptedSteps(updates, ratios: TrustRatio(lowest: lowestNorm, highest: highestNorm)(batch, updates))
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, beta1, beta2, epsilon, weightDecay, lowestNorm, highestNorm, biasCorrection, excludesVectors, exclude
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "LAMB")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.beta1, into: &beta1)
        try fields.read(.beta2, into: &beta2)
        try fields.read(.epsilon, into: &epsilon)
        try fields.read(.weightDecay, into: &weightDecay)
        try fields.read(.lowestNorm, into: &lowestNorm)
        try fields.read(.highestNorm, into: &highestNorm)
        try fields.read(.biasCorrection, into: &biasCorrection)
        try fields.read(.excludesVectors, into: &excludesVectors)
        try fields.read(.exclude, into: &exclude)
        try validate()
    }
}
