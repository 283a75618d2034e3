import NN
import Torch

/// The feed-forward of a vision transformer, with the tanh approximation of GELU. Checkpoint names: `fc1`, `fc2`.
public final class DiTFeedForward: Module, UnaryLayer {
    @ModuleInfo(key: "fc1") public var up: Linear
    @ModuleInfo(key: "fc2") public var down: Linear

    public init(_ dimensions: Int, _ hiddenDimensions: Int, generator: RandomGenerator? = nil) {
        super.init()
        up = Linear(dimensions, hiddenDimensions, generator: generator)
        down = Linear(hiddenDimensions, dimensions, generator: generator)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { down(up(x).gelu(approximate: true)) }
}

/// Shifts, scales and gates from a condition, `Linear(silu(c))`, which starts as zero (adaLN-Zero). Checkpoint name of the layer: `1`.
public final class AdaptiveModulation: Module {
    @ModuleInfo(key: "1") public var linear: Linear
    let count: Int

    /// - Parameters:
    ///   - dimensions: D.
    ///   - count: vectors that it gives.
    public init(_ dimensions: Int, count: Int) {
        self.count = count
        super.init()
        linear = Linear(dimensions, count * dimensions)
        zero(linear)
    }

    /// `[B, D]` to `count` vectors that broadcast over the tokens, `[B, 1, D]` each.
    public func callAsFunction(_ condition: Tensor) -> [Tensor] {
        linear(condition.silu()).expandedDimensions(axis: 1).split(size: condition.dim(1), axis: 2)
    }
}

/// A block of ``DiT``: `x += g₁ · attention(LN(x)(1 + s₁) + b₁); x += g₂ · mlp(LN(x)(1 + s₂) + b₂)`, where a condition gives shift b, scale s
/// and gate g of both. All six start as zero, so that the block starts as the identity.
///
/// Source: DiT (arXiv 2212.09748), section 3.2. Checkpoint names: `attn`, `mlp`, `adaLN_modulation.1`.
public final class DiTBlock: Module {
    @ModuleInfo(key: "attn") public var attention: any NonCausalMixer
    @ModuleInfo(key: "mlp") public var feedForward: DiTFeedForward
    @ModuleInfo(key: "adaLN_modulation") public var modulation: AdaptiveModulation
    private let norm: LayerNorm

    public init(dimensions: Int, hiddenDimensions: Int, attention: any NonCausalMixer, generator: RandomGenerator? = nil) {
        norm = LayerNorm(dimensions, eps: 1e-6, affine: false)
        super.init()
        self.attention = attention
        feedForward = DiTFeedForward(dimensions, hiddenDimensions, generator: generator)
        modulation = AdaptiveModulation(dimensions, count: 6)
    }

    /// - Parameters:
    ///   - x: tokens `[B, T, D]`.
    ///   - condition: `[B, D]`.
    ///   - mode: of the attention; see ``SimplifiedLinearAttention``.
    public func callAsFunction(_ x: Tensor, condition: Tensor, mode: MixerMode? = nil) -> Tensor {
        let m: [Tensor] = modulation(condition)
        let mixed: Tensor = x + m[2] * attention(modulated(norm(x), shift: m[0], scale: m[1]), mode: mode)
        return mixed + m[5] * feedForward(modulated(norm(mixed), shift: m[3], scale: m[4]))
    }
}

/// The head of ``DiT``: modulated norm, then a projection of each token to a patch, which starts as zero. Checkpoint names: `linear`,
/// `adaLN_modulation.1`.
public final class DiTFinalLayer: Module {
    @ModuleInfo(key: "linear") public var linear: Linear
    @ModuleInfo(key: "adaLN_modulation") public var modulation: AdaptiveModulation
    private let norm: LayerNorm

    public init(dimensions: Int, outputDimensions: Int) {
        norm = LayerNorm(dimensions, eps: 1e-6, affine: false)
        super.init()
        linear = Linear(dimensions, outputDimensions)
        zero(linear)
        modulation = AdaptiveModulation(dimensions, count: 2)
    }

    /// Tokens `[B, T, D]` to `[B, T, outputDimensions]`.
    public func callAsFunction(_ x: Tensor, condition: Tensor) -> Tensor {
        let m: [Tensor] = modulation(condition)
        return linear(modulated(norm(x), shift: m[0], scale: m[1]))
    }
}

private func modulated(_ x: Tensor, shift: Tensor, scale: Tensor) -> Tensor { x * (scale + 1) + shift }

/// Sets weight and bias to zero.
private func zero(_ layer: Linear) {
    for (_, parameter) in layer.namedParameters() { Initializer.zeros.fill(parameter) }
}
