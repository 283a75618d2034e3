import Torch

/// Any rule with layer-wise adaptation: the rule's update u of each parameter is scaled to the parameter's norm,
/// `x -= learningRate · φ(‖x‖) / ‖u‖ · u` (You et al. 2020, section 3, the general strategy).
///
/// What the base does with its learning rate is undone, its weight decay stays inside u. On ``AdamWConfiguration`` this is LAMB.
public struct LayerwiseAdaptive<Base: UpdateRule>: UpdateRule {
    public var base: Base
    /// Whether vectors (biases and gains) are left to the base, unscaled.
    public var excludesVectors: Bool

    public init(base: Base, excludesVectors: Bool = true) {
        self.base = base
        self.excludesVectors = excludesVectors
    }

    public var learningRate: Double { base.learningRate }
    public var weightDecay: Double { base.weightDecay }

    public func validate() throws { try base.validate() }

    public func applies(to name: String, shape: [Int]) -> Bool {
        base.applies(to: name, shape: shape) && (shape.count >= 2 || !excludesVectors)
    }

    public var fallback: any UpdateRule { base }

    public var worksOnPieces: Bool { base.worksOnPieces }

    public func stateNames(shape: [Int]) -> [String] { base.stateNames(shape: shape) + ["trust_ratio"] }

    public func initialState(_ name: String, of parameter: Tensor) -> Tensor {
        name == "trust_ratio" ? .ones([], dtype: parameter.dtype, device: parameter.device) : base.initialState(name, of: parameter)
    }

    public func update(_ batch: UpdateBatch) {
        let moved: [Tensor] = batch.parameters.map { $0.cloned() }
        base.update(
            UpdateBatch(
                names: batch.names, parameters: moved, gradients: batch.gradients, state: Array(batch.state.dropLast()), step: batch.step,
                learningRate: 1, weightDecay: batch.weightDecay, pieceSums: batch.pieceSums))
        let updates: [Tensor] = TensorList.add(batch.parameters, moved, scale: -1)
        batch.takeAdaptedSteps(updates, ratios: TrustRatio(lowest: nil, highest: nil)(batch, updates))
    }
}
