import Torch

/// A causal convolution over the last few steps of each channel, with an optional activation; see
/// ``shortConvolution(_:weight:bias:state:lengths:activation:)``.
public final class ShortConvolution: Module, UnaryLayer {
    /// `[C, 1, W]`
    public let weight: Tensor
    /// `[C]`
    public let bias: Tensor?
    public let activation: Activation

    /// Weights and bias start uniform in `±1/√W`.
    /// - Parameters:
    ///   - channels: C of input and output.
    ///   - width: steps that one output sees, its own included.
    ///   - bias: whether there is one.
    ///   - activation: `.silu` for the linear-time mixers that ask for it.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        _ channels: Int, width: Int = 4, bias: Bool = false, activation: Activation = .identity, generator: RandomGenerator? = nil
    ) {
        let bound: Double = 1 / Double(width).squareRoot()
        weight = .uniform([channels, 1, width], low: -bound, high: bound, generator: generator)
        self.bias = bias ? .uniform([channels], low: -bound, high: bound, generator: generator) : nil
        self.activation = activation
        super.init()
    }

    public var channels: Int { weight.dim(0) }
    public var width: Int { weight.dim(2) }

    /// A whole sequence `[B, T, C]` from the beginning.
    public func callAsFunction(_ x: Tensor) -> Tensor { callAsFunction(x, state: nil).output }

    /// A piece `[B, T, C]` of a sequence that continues from `state` `[B, W − 1, C]` (nil at the beginning), and the state after it; where
    /// `lengths` `[B]` are given, after as many steps of each row.
    public func callAsFunction(_ x: Tensor, state: Tensor?, lengths: Tensor? = nil) -> (output: Tensor, state: Tensor) {
        shortConvolution(x, weight: weight, bias: bias, state: state, lengths: lengths, activation: activation)
    }

    /// The next step: `[B, C]` to `[B, C]`.
    public func step(_ x: Tensor, state: Tensor?) -> (output: Tensor, state: Tensor) {
        let (output, next) = callAsFunction(x.expandedDimensions(axis: 1), state: state)
        return (output.squeezed(axis: 1), next)
    }

    /// Zeros `[B, W − 1, C]`.
    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> Tensor {
        .zeros([batch, width - 1, channels], dtype: dtype, device: device)
    }
}
