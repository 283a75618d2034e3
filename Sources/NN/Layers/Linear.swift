import Torch

/// `y = x Wᵀ + b`, from `[..., inputDimensions]` to `[..., outputDimensions]`.
open class Linear: Module, UnaryLayer {
    /// `[outputDimensions, inputDimensions]`
    public let weight: Tensor
    /// `[outputDimensions]`
    public let bias: Tensor?

    /// Weights and bias start uniform in `±1/√inputDimensions`.
    public init(_ inputDimensions: Int, _ outputDimensions: Int, bias: Bool = true, generator: RandomGenerator? = nil) {
        let bound: Double = 1 / Double(max(inputDimensions, 1)).squareRoot()
        weight = .uniform([outputDimensions, inputDimensions], low: -bound, high: bound, generator: generator)
        self.bias = bias ? .uniform([outputDimensions], low: -bound, high: bound, generator: generator) : nil
        super.init()
    }

    /// A layer over tensors that exist already and stay shared with whoever holds them. Traps unless the weight is a matrix that fits the bias.
    public init(weight: Tensor, bias: Tensor? = nil) {
        precondition(
            weight.ndim == 2 && (bias.map { $0.shape == [weight.dim(0)] } ?? true),
            "Linear: a weight of shape \(weight.shape) with a bias of shape \(bias?.shape ?? [])")
        self.weight = weight
        self.bias = bias
        super.init()
    }

    public var inputDimensions: Int { weight.dim(1) }
    public var outputDimensions: Int { weight.dim(0) }

    open func callAsFunction(_ x: Tensor) -> Tensor { linear(x, weight: weight, bias: bias) }
}
