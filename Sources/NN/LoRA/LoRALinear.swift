import Torch

/// A frozen ``Linear`` with a trained correction of low rank, `y = x Wᵀ + b + (α / r) (x Aᵀ) Bᵀ` (Hu et al., 2021, arXiv 2106.09685).
///
/// B starts at zero, so a new layer computes what the one it was made from computes. It shares that layer's tensors.
public final class LoRALinear: Linear {
    /// A, `[rank, inputDimensions]`.
    @ParameterInfo(key: "lora_A") public var down: Tensor
    /// B, `[outputDimensions, rank]`.
    @ParameterInfo(key: "lora_B") public var up: Tensor
    public let alpha: Double
    /// W + (α / r) B A while merged.
    private var mergedWeight: Tensor?

    /// Freezes the layer's weight and bias. Traps where it has an adapter already.
    /// - Parameters:
    ///   - base: the layer that is adapted; its tensors are shared.
    ///   - rank: r.
    ///   - alpha: α; the correction is scaled by α / r.
    ///   - generator: of A, which starts uniform in `±1/√inputDimensions`; nil takes the shared one.
    public init(_ base: Linear, rank: Int = 8, alpha: Double = 8, generator: RandomGenerator? = nil) {
        precondition(!(base is LoRALinear), "LoRALinear: the layer has an adapter already; merge it first")
        precondition(rank > 0, "LoRALinear: a correction of rank \(rank)")
        self.alpha = alpha
        super.init(weight: base.weight, bias: base.bias)
        let bound: Double = 1 / Double(max(inputDimensions, 1)).squareRoot()
        let (dtype, device): (DType, Device) = (weight.dtype, weight.device)
        down = .uniform([rank, inputDimensions], low: -bound, high: bound, dtype: dtype, device: device, generator: generator)
        up = .zeros([outputDimensions, rank], dtype: dtype, device: device)
        weight.requiringGrad(false)
        bias?.requiringGrad(false)
    }

    public var rank: Int { down.dim(0) }

    /// Whether the correction is folded into one weight.
    public var isMerged: Bool { mergedWeight != nil }

    public override func callAsFunction(_ x: Tensor) -> Tensor {
        if let mergedWeight { return linear(x, weight: mergedWeight, bias: bias) }
        return super.callAsFunction(x) + linear(linear(x, weight: down), weight: up) * (alpha / Double(rank))
    }

    private var correctedWeight: Tensor { noGrad { weight + up.matmul(down) * (alpha / Double(rank)) } }

    /// Folds the correction into a weight of this layer's own, so that a call costs one product; neither factor is trained meanwhile.
    /// Until ``unmerge()`` the layer keeps its dtype and device.
    public func merge() { mergedWeight = correctedWeight }

    /// Undoes ``merge()`` exactly: the shared weight was never touched.
    public func unmerge() { mergedWeight = nil }

    /// Whether a parameter of this name is an adapter's.
    public static func isAdapter(_ name: String) -> Bool { name.hasSuffix(".lora_A") || name.hasSuffix(".lora_B") }

    /// A plain layer that computes the same, with a weight of its own.
    public func fused() -> Linear { Linear(weight: correctedWeight, bias: bias) }
}
