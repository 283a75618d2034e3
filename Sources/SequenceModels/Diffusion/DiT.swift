import NN
import Torch

/// What a diffusion model says about a noisy image.
public struct NoisePrediction {
    /// The noise ε in it, `[B, C, H, W]`.
    public var noise: Tensor
    /// v, which places the logarithm of the reverse step's variance between its bounds, `[B, C, H, W]`; see
    /// ``GaussianDiffusion/logVariance(_:steps:)``.
    public var variance: Tensor

    public init(noise: Tensor, variance: Tensor) {
        self.noise = noise
        self.variance = variance
    }
}

/// A diffusion transformer: patches of a noisy image as tokens, blocks that step and label modulate, and for every pixel the noise and the
/// variance of the reverse step. Its attention is softmax (DiT) or linear (LiT); everything else is the same.
///
/// Checkpoint names are the public DiT's (`x_embedder.proj`, `t_embedder.mlp.0`, `y_embedder.embedding_table`, `pos_embed`,
/// `blocks.0.attn.qkv`, `final_layer.linear`), so that its state dict loads by name.
///
/// Sources: DiT (arXiv 2212.09748); LiT (arXiv 2501.12976).
public final class DiT: Module {
    public let configuration: DiTConfiguration
    @ModuleInfo(key: "x_embedder") public var patchEmbedding: PatchEmbedding
    @ModuleInfo(key: "t_embedder") public var timeEmbedding: TimestepEmbedding
    @ModuleInfo(key: "y_embedder") public var labelEmbedding: LabelEmbedding
    @Buffer(key: "pos_embed") public var positions: Tensor
    @ModuleInfo public var blocks: [DiTBlock]
    @ModuleInfo(key: "final_layer") public var finalLayer: DiTFinalLayer

    /// Weights of the blocks start as Xavier-uniform, biases as 0; modulations and the last layer as 0, so that the model gives 0.
    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(_ configuration: DiTConfiguration, generator: RandomGenerator? = nil) throws {
        try configuration.validate()
        let c: DiTConfiguration = configuration
        self.configuration = c
        super.init()
        positions = sinusoidalGrid(side: c.gridSize, dimensions: c.dimensions)
        patchEmbedding = PatchEmbedding(channels: c.channels, dimensions: c.dimensions, patchSize: c.patchSize, generator: generator)
        timeEmbedding = TimestepEmbedding(dimensions: c.dimensions, generator: generator)
        labelEmbedding = LabelEmbedding(classes: c.classes, dimensions: c.dimensions, generator: generator)
        blocks = (0..<c.depth).map { _ in
            DiTBlock(
                dimensions: c.dimensions, hiddenDimensions: c.feedForwardRatio * c.dimensions,
                attention: Self.attention(c, generator: generator), generator: generator)
        }
        for block in blocks { Self.start(block, generator: generator) }
        finalLayer = DiTFinalLayer(dimensions: c.dimensions, outputDimensions: c.patchSize * c.patchSize * 2 * c.channels)
    }

    private static func attention(_ c: DiTConfiguration, generator: RandomGenerator?) -> any NonCausalMixer {
        switch c.attention {
        case .softmax: FullSoftmaxAttention(dimensions: c.dimensions, heads: c.heads, generator: generator)
        case .linear:
            SimplifiedLinearAttention(
                dimensions: c.dimensions, heads: c.heads, grid: Pair(c.gridSize), kernel: c.kernel.map { Pair($0) }, generator: generator)
        }
    }

    private static func start(_ block: DiTBlock, generator: RandomGenerator?) {
        for part in [block.attention as Module, block.feedForward as Module] {
            part.initialize(generator: generator) { module, name in
                guard module is Linear else { return nil }
                return name == "bias" ? .zeros : .xavierUniform()
            }
        }
    }

    public var device: Device { positions.device }

    /// - Parameters:
    ///   - noisy: images `[B, C, H, W]`.
    ///   - steps: of the diffusion, `[B]`, in 0 ..< T.
    ///   - labels: `[B]`, the null class included.
    ///   - mode: of the attention; see ``SimplifiedLinearAttention``.
    public func callAsFunction(_ noisy: Tensor, steps: Tensor, labels: Tensor, mode: MixerMode? = nil) -> NoisePrediction {
        let expected: [Int] = [configuration.channels, configuration.imageSize, configuration.imageSize]
        precondition(Array(noisy.shape.dropFirst()) == expected, "DiT: images of shape \(noisy.shape) where [B] + \(expected) is needed")
        var x: Tensor = patchEmbedding(noisy) + positions
        let condition: Tensor = timeEmbedding(steps, dtype: x.dtype) + labelEmbedding(labels)
        for block in blocks { x = block(x, condition: condition, mode: mode) }
        let parts: [Tensor] = images(finalLayer(x, condition: condition)).split(size: configuration.channels, axis: 1)
        return NoisePrediction(noise: parts[0], variance: parts[1])
    }

    /// Tokens `[B, T, p · p · 2C]` laid out as images `[B, 2C, H, W]`.
    private func images(_ tokens: Tensor) -> Tensor {
        let (side, patch): (Int, Int) = (configuration.gridSize, configuration.patchSize)
        let channels: Int = 2 * configuration.channels
        return tokens.reshaped(tokens.dim(0), side, side, patch, patch, channels).transposed(0, 5, 1, 3, 2, 4)
            .reshaped(tokens.dim(0), channels, side * patch, side * patch)
    }

    /// Labels `[B]` with a share of them, ``DiTConfiguration/labelDropout``, replaced by the null class.
    public func droppingLabels(_ labels: Tensor, generator: RandomGenerator? = nil) -> Tensor {
        let dropped: Tensor = Tensor.uniform(labels.shape, device: labels.device, generator: generator) .< configuration.labelDropout
        return labels.maskedFill(dropped, configuration.nullClass)
    }
}
