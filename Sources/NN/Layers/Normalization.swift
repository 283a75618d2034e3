import Torch

/// Root mean square normalisation of the last axis: `weight · x / √(mean(x²) + eps)`, for `[..., D]`.
public final class RMSNorm: Module, UnaryLayer {
    /// `[D]`, ones at the start; nil where the layer has none.
    public let weight: Tensor?
    public let eps: Double

    public init(_ dimensions: Int, eps: Double = 1e-5, affine: Bool = true) {
        weight = affine ? .ones([dimensions]) : nil
        self.eps = eps
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.rmsNormalized(weight: weight, eps: eps) }
}

/// ``RMSNorm`` followed by a gate: `RMSNorm(x) · silu(gate)`. For heads, `[B, T, H, V]`, all heads share one weight `[V]`.
public final class GatedRMSNorm: Module {
    /// `[D]`, ones at the start; nil where the layer has none.
    public let weight: Tensor?
    public let eps: Double

    public init(_ dimensions: Int, eps: Double = 1e-5, affine: Bool = true) {
        weight = affine ? .ones([dimensions]) : nil
        self.eps = eps
        super.init()
    }

    /// `x` and `gate` are `[..., D]`.
    public func callAsFunction(_ x: Tensor, gate: Tensor) -> Tensor { x.gatedRMSNormalized(gate: gate, weight: weight, eps: eps) }
}

/// Mean 0 and variance 1 over the last axis of `[..., D]`, then scaled and shifted (arXiv 1607.06450).
public final class LayerNorm: Module, UnaryLayer {
    /// `[D]`, ones at the start.
    public let weight: Tensor?
    /// `[D]`, zeros at the start.
    public let bias: Tensor?
    public let dimensions: Int
    public let eps: Double

    /// - Parameters:
    ///   - dimensions: D, the last axis of the input.
    ///   - eps: added to the variance.
    ///   - affine: whether the result is scaled.
    ///   - bias: whether it is shifted too; without `affine` there is none.
    public init(_ dimensions: Int, eps: Double = 1e-5, affine: Bool = true, bias: Bool = true) {
        weight = affine ? .ones([dimensions]) : nil
        self.bias = affine && bias ? .zeros([dimensions]) : nil
        self.dimensions = dimensions
        self.eps = eps
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        layerNorm(x, normalizedShape: [dimensions], weight: weight, bias: bias, epsilon: eps)
    }
}

/// Mean 0 and variance 1 over each group of channels of `[B, C, ...]`, then scaled and shifted by channel (arXiv 1803.08494).
public final class GroupNorm: Module, UnaryLayer {
    /// `[C]`, ones at the start.
    public let weight: Tensor?
    /// `[C]`, zeros at the start.
    public let bias: Tensor?
    public let groupCount: Int
    public let eps: Double

    /// Traps unless the channels divide into the groups.
    public init(groupCount: Int, _ channels: Int, eps: Double = 1e-5, affine: Bool = true) {
        precondition(groupCount > 0 && channels % groupCount == 0, "\(channels) channels do not divide into \(groupCount) groups")
        weight = affine ? .ones([channels]) : nil
        bias = affine ? .zeros([channels]) : nil
        self.groupCount = groupCount
        self.eps = eps
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { groupNorm(x, groups: groupCount, weight: weight, bias: bias, epsilon: eps) }
}
