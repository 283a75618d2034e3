import Foundation
import NN
import Torch

/// What a ``SelectiveSSM`` is made of.
public struct SelectiveSSMConfiguration: Codable, Sendable, Hashable {
    /// Channels of the residual stream, D.
    public var dimensions: Int
    /// States of each inner channel, N.
    public var state: Int
    /// Steps that the short convolution sees, its own included.
    public var convolutionWidth: Int
    /// Inner channels over D.
    public var expand: Double
    /// Rank of the step widths' projection; ⌈D / 16⌉ unless given.
    public var timeStepRank: Int

    public init(dimensions: Int, state: Int = 16, convolutionWidth: Int = 4, expand: Double = 2, timeStepRank: Int? = nil) {
        self.dimensions = dimensions
        self.state = state
        self.convolutionWidth = convolutionWidth
        self.expand = expand
        self.timeStepRank = timeStepRank ?? (dimensions + 15) / 16
    }

    /// Inner channels.
    public var innerDimensions: Int { Int(Double(dimensions) * expand) }
}

/// The Mamba block: a gated selective state space behind a short convolution (Gu and Dao, 2023). See
/// ``selectiveScan(u:delta:A:B:C:D:z:deltaBias:initialState:mask:mode:)``.
///
///     [u, z] = W_in x;  u ← silu(conv(u));  [δ, B, C] = W_x u;  Δ = softplus(W_Δ δ + b_Δ)
///     out = W_out scan(u, Δ, −exp(A_log), B, C, D, z)
///
/// Checkpoint names are Mamba's: `in_proj`, `conv1d`, `x_proj`, `dt_proj`, `A_log`, `D`, `out_proj`.
public final class SelectiveSSM: Module, SequenceMixer {
    @ModuleInfo(key: "in_proj") public var inputProjection: any LinearMap
    @ModuleInfo(key: "conv1d") public var convolution: ShortConvolution
    @ModuleInfo(key: "x_proj") public var parameterProjection: any LinearMap
    @ModuleInfo(key: "dt_proj") public var timeStepProjection: TimeStepProjection
    /// `[inner, N]`
    @ParameterInfo(key: "A_log") public var decayLogarithm: Tensor
    /// `[inner]`
    @ParameterInfo(key: "D") public var skip: Tensor
    @ModuleInfo(key: "out_proj") public var outputProjection: any LinearMap
    public let configuration: SelectiveSSMConfiguration

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { false }

    /// The projections start as `Linear` does, `A_log` as log(1 … N) in every row, `D` at 1. Traps for sizes below 1.
    public init(_ configuration: SelectiveSSMConfiguration, generator: RandomGenerator? = nil) {
        let c: SelectiveSSMConfiguration = configuration
        let inner: Int = c.innerDimensions
        precondition(
            inner > 0 && c.state > 0 && c.convolutionWidth > 0 && c.timeStepRank > 0,
            "SelectiveSSM: \(inner) inner channels, \(c.state) states, a convolution of \(c.convolutionWidth), rank \(c.timeStepRank)")
        self.configuration = c
        super.init()
        inputProjection = Linear(c.dimensions, 2 * inner, bias: false, generator: generator)
        convolution = ShortConvolution(inner, width: c.convolutionWidth, bias: true, activation: .silu, generator: generator)
        parameterProjection = Linear(inner, c.timeStepRank + 2 * c.state, bias: false, generator: generator)
        timeStepProjection = TimeStepProjection(rank: c.timeStepRank, channels: inner, generator: generator)
        decayLogarithm = Tensor.arange(1, c.state + 1, step: 1, dtype: .float32).log().expanded(to: [inner, c.state]).contiguous()
        skip = .ones([inner])
        outputProjection = Linear(inner, c.dimensions, bias: false, generator: generator)
    }

    public convenience init(
        dim: Int, state: Int = 16, conv: Int = 4, expand: Double = 2, dtRank: Int? = nil, generator: RandomGenerator? = nil
    ) {
        self.init(
            SelectiveSSMConfiguration(dimensions: dim, state: state, convolutionWidth: conv, expand: expand, timeStepRank: dtRank),
            generator: generator)
    }

    /// `"h": [B, inner, N]` in float32 (float64 for float64 activations), and the convolution's tail.
    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let shape: [Int] = [batch, configuration.innerDimensions, configuration.state]
        return MixerState(
            recurrent: ["h": .zeros(shape, dtype: dtype.accumulator, device: device)],
            conv: [convolution.initialState(batch: batch, dtype: dtype, device: device)])
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let c: SelectiveSSMConfiguration = configuration
        let branches: [Tensor] = inputProjection(x).split(size: c.innerDimensions, axis: -1)
        let (u, tail): (Tensor, Tensor) = convolution(branches[0], state: state?.conv.first, mask: mask)
        let parameters: [Tensor] = parameterProjection(u).split(sizes: [c.timeStepRank, c.state, c.state], axis: -1)
        let (output, memory): (Tensor, Tensor) = selectiveScan(
            u: u, delta: timeStepProjection(parameters[0]), A: -decayLogarithm.exp(), B: parameters[1], C: parameters[2], D: skip,
            z: branches[1], deltaBias: timeStepProjection.bias, initialState: state?.recurrent["h"], mask: mask, mode: mode)
        if var next = state {
            next.recurrent["h"] = memory
            next.conv = [tail]
            next.offset += x.dim(1)
            state = next.handedOver()
        }
        return outputProjection(output)
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        float32Bytes(batch * configuration.innerDimensions * (configuration.state + configuration.convolutionWidth - 1))
    }
}

/// The map from low-rank step widths to channels. A type of its own, so that a model which starts all its `Linear`s anew leaves alone the
/// bias, which sets the time scales that the channels begin with.
public final class TimeStepProjection: Module {
    /// `[channels, rank]`
    public let weight: Tensor
    /// `[channels]`; the scan adds it.
    public let bias: Tensor

    /// Weights start uniform in `±rank^(−½)`, biases such that their softplus is log-uniform from 1e-3 to 0.1 (and at least 1e-4).
    public init(rank: Int, channels: Int, generator: RandomGenerator? = nil) {
        let bound: Double = 1 / Double(rank).squareRoot()
        weight = .uniform([channels, rank], low: -bound, high: bound, generator: generator)
        let steps: Tensor = Tensor.uniform([channels], low: log(1e-3), high: log(0.1), generator: generator).exp().clamped(1e-4)
        // The inverse of softplus.
        bias = steps + (-(-steps).expm1()).log()
        super.init()
    }

    /// `[..., rank]` to `[..., channels]`, without the bias.
    public func callAsFunction(_ x: Tensor) -> Tensor { linear(x, weight: weight) }
}
