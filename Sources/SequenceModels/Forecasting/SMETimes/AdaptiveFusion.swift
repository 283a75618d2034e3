import NN
import Torch

/// Mixes two embeddings by a learnt weight, `σ(ω) · time + (1 − σ(ω)) · prompt`; ω starts at 0, half of each.
public final class AdaptiveFusion: Module {
    /// ω: `[]`, or `[D]` with a weight for each channel.
    public let logit: Tensor

    /// - Parameter channels: D for a weight a channel; nil is one weight for all.
    public init(channels: Int? = nil) {
        logit = .zeros(channels.map { [$0] } ?? [])
        super.init()
    }

    /// Both `[..., D]`.
    public func callAsFunction(time: Tensor, prompt: Tensor) -> Tensor {
        let weight: Tensor = logit.sigmoid()
        return weight * time + (1 - weight) * prompt
    }
}

/// A mixture of linear experts in which every expert answers: `Σ_k softmax(W_g h + b)_k E_k h`, for `[..., D]`.
public final class DenseMoE: Module {
    @ModuleInfo public var gate: Linear
    /// `[K, D, D]`: expert k is `h E_kᵀ`.
    @ParameterInfo public var experts: Tensor

    /// The experts start as `Linear` without a bias does. Traps for fewer than one.
    public init(_ dimensions: Int, experts count: Int, generator: RandomGenerator? = nil) {
        precondition(count > 0, "a mixture of \(count) experts")
        super.init()
        gate = Linear(dimensions, count, generator: generator)
        let bound: Double = 1 / Double(dimensions).squareRoot()
        experts = .uniform([count, dimensions, dimensions], low: -bound, high: bound, generator: generator)
    }

    /// The mixed answers `[..., D]`, and how much each expert counts, `[..., K]`.
    public func callAsFunction(_ x: Tensor) -> (output: Tensor, weights: Tensor) {
        let weights: Tensor = gate(x).softmax()
        let count: Int = experts.dim(0)
        if count == 1 { return (linear(x, weight: experts.selected(axis: 0, index: 0)), weights) }
        let answers: Tensor = linear(x, weight: experts.flattened(from: 0, to: 1)).reshaped(Array(x.shape.dropLast()) + [count, -1])
        return ((answers * weights.expandedDimensions(axis: -1)).sum(axis: -2), weights)
    }

    /// How unevenly the experts are used: the squared coefficient of variation of their mean weights, 0 where all count the same.
    public static func imbalance(_ weights: Tensor) -> Tensor {
        let count: Int = weights.dim(-1)
        let importance: Tensor = weights.reshaped(-1, count).mean(axis: 0)
        return importance.square().sum() * Double(count) - 1
    }
}
