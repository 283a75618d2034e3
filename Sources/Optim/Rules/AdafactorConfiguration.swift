import Foundation
import Torch

/// Adafactor (Shazeer & Stern 2018, algorithms 4 and 5): second moments of matrices are kept as a row and a column factor.
///
/// The defaults are the paper's section 9 and those of Hugging Face's `Adafactor` with its relative step. They differ in two places from
/// torch's own: epsilon1 is added to the squared gradient (torch limits the estimate from below by it), and the decoupled weight decay
/// uses the whole step size (torch uses the learning rate alone). Without weight decay and with gradients well above epsilon1 the
/// three agree. Tensors of more than two axes are factored over their last two.
public struct AdafactorConfiguration: UpdateRule {
    /// With `relativeStep` the largest relative step size, else the step size itself.
    public var learningRate: Double
    /// Whether the step size is `min(learningRate, 1 / sqrt(t))`.
    public var relativeStep: Bool
    /// With `relativeStep`, start from `1e-6 · t` in place of the learning rate.
    public var warmUp: Bool
    /// Whether the step size is multiplied by the parameter's root mean square, at least `epsilon2`.
    public var scalesByParameter: Bool
    /// Added to squared gradients.
    public var epsilon1: Double
    /// Lowest scale of a parameter.
    public var epsilon2: Double
    /// Largest root mean square of an update before the step size.
    public var clippingThreshold: Double
    /// The second moment's decay at step t is `1 - t^-decayExponent`.
    public var decayExponent: Double
    /// Decay of a moving average of the updates; nil keeps none (and no memory for it).
    public var beta1: Double?
    public var weightDecay: Double

    /// - Throws: `ConfigurationError` for a setting out of its range, or warm-up without the relative step.
    public init(
        learningRate: Double = 1e-2, relativeStep: Bool = true, warmUp: Bool = false, scalesByParameter: Bool = true,
        epsilon1: Double = 1e-30, epsilon2: Double = 1e-3, clippingThreshold: Double = 1, decayExponent: Double = 0.8,
        beta1: Double? = nil, weightDecay: Double = 0
    ) throws {
        self.learningRate = learningRate
        self.relativeStep = relativeStep
        self.warmUp = warmUp
        self.scalesByParameter = scalesByParameter
        self.epsilon1 = epsilon1
        self.epsilon2 = epsilon2
        self.clippingThreshold = clippingThreshold
        self.decayExponent = decayExponent
        self.beta1 = beta1
        self.weightDecay = weightDecay
        try validate()
    }

    public func validate() throws {
        let requirement: Requirement = Requirement("Adafactor")
        try requirement.nonNegative(learningRate, "learningRate")
        try requirement.check(!warmUp || relativeStep, "warmUp", warmUp, "needs relativeStep")
        try requirement.nonNegative(epsilon1, "epsilon1")
        try requirement.nonNegative(epsilon2, "epsilon2")
        try requirement.positive(clippingThreshold, "clippingThreshold")
        try requirement.nonNegative(decayExponent, "decayExponent")
        if let beta1 { try requirement.decay(beta1, "beta1") }
        try requirement.nonNegative(weightDecay, "weightDecay")
    }

    public func stateNames(shape: [Int]) -> [String] {
        (shape.count >= 2 ? ["row_var", "col_var"] : ["variance"]) + (beta1 == nil ? [] : ["exp_avg"])
    }

    public func initialState(_ name: String, of parameter: Tensor) -> Tensor {
        switch name {
        case "row_var": parameter.zerosLike().mean(axis: -1, keepDims: true)
        case "col_var": parameter.zerosLike().mean(axis: -2, keepDims: true)
        default: parameter.zerosLike()
        }
    }

    public func update(_ batch: UpdateBatch) {
        for index in batch.parameters.indices {
            update(batch.parameters[index], batch.gradients[index], state: batch.state.map { $0[index] }, batch)
        }
    }

    enum CodingKeys: String, CodingKey, CaseIterable {
        case learningRate, relativeStep, warmUp, scalesByParameter, epsilon1, epsilon2, clippingThreshold, decayExponent, beta1
        case weightDecay
    }

    /// Fields that are missing keep their defaults.
    /// - Throws: `ConfigurationError` for a setting out of its range and for an unknown field.
    public init(from decoder: any Decoder) throws {
        try self.init()
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: "Adafactor")
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.relativeStep, into: &relativeStep)
        try fields.read(.warmUp, into: &warmUp)
        try fields.read(.scalesByParameter, into: &scalesByParameter)
        try fields.read(.epsilon1, into: &epsilon1)
        try fields.read(.epsilon2, into: &epsilon2)
        try fields.read(.clippingThreshold, into: &clippingThreshold)
        try fields.read(.decayExponent, into: &decayExponent)
        try fields.read(.beta1, into: &beta1)
        try fields.read(.weightDecay, into: &weightDecay)
        try validate()
    }
}

// The update of one parameter. Factors stay on the device: nothing waits for an element.
extension AdafactorConfiguration {
    private func update(_ parameter: Tensor, _ gradient: Tensor, state: [Tensor], _ batch: UpdateBatch) {
        var change: Tensor = gradient * inverseRoot(gradient, state, step: batch.step)
        change.divide_((rootMeanSquare(change) / clippingThreshold).clamped(1))
        let size: Tensor = stepSize(parameter, batch)
        change.multiply_(size)
        if let beta1, let average = state.last {
            average.multiply_(beta1)
            average.add_(change * (1 - beta1))
            change = average
        }
        if batch.weightDecay != 0 { parameter.subtract_(parameter * size * batch.weightDecay) }
        parameter.subtract_(change)
    }

    /// `1 / sqrt(V)` of the second moment estimate after this gradient (algorithm 4, lines 5 to 8; means in the place of sums).
    private func inverseRoot(_ gradient: Tensor, _ state: [Tensor], step: Int) -> Tensor {
        let weight: Double = Foundation.pow(Double(step), -decayExponent)
        let squares: Tensor = gradient.square() + epsilon1
        if gradient.ndim < 2 {
            TensorList.interpolate_([state[0]], to: [squares], weight: weight)
            return state[0].rsqrt()
        }
        let rows: Tensor = state[0], columns: Tensor = state[1]
        let means: [Tensor] = [squares.mean(axis: -1, keepDims: true), squares.mean(axis: -2, keepDims: true)]
        TensorList.interpolate_([rows, columns], to: means, weight: weight)
        return (rows / rows.mean(axis: -2, keepDims: true)).rsqrt() * columns.rsqrt()
    }

    /// Relative step size times the parameter's scale (algorithm 4, lines 2 and 3), of shape `[]`.
    private func stepSize(_ parameter: Tensor, _ batch: UpdateBatch) -> Tensor {
        let count: Double = Double(batch.step)
        let largest: Double = warmUp ? min(batch.learningRate, 1e-6 * count) : batch.learningRate
        let size: Double = relativeStep ? min(largest, 1 / count.squareRoot()) : largest
        if !scalesByParameter { return Tensor.full([], size, dtype: parameter.dtype, device: parameter.device) }
        return rootMeanSquare(parameter).clamped(epsilon2) * size
    }

    private func rootMeanSquare(_ tensor: Tensor) -> Tensor { tensor.square().mean().sqrt() }
}
