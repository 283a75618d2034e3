import NN
import Torch

/// The shape of a ``PlainTransformer``.
public struct PlainTransformerConfiguration: Codable, Sendable, Equatable {
    public var vocabularySize: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    public var layers: Int
    public var heads: Int
    /// Width inside the feed-forward.
    public var hiddenDimensions: Int
    /// Longest text where positions are learned.
    public var maximumContext: Int
    /// Rotary positions in place of learned ones.
    public var rotary: Bool
    /// The embedding's weight for the head too.
    public var tiedHead: Bool
    /// Multiplies the logits.
    public var logitScale: Double

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        vocabularySize: Int, dimensions: Int, layers: Int, heads: Int, hiddenDimensions: Int? = nil, maximumContext: Int = 64,
        rotary: Bool = false, tiedHead: Bool = false, logitScale: Double = 1
    ) throws {
        self.vocabularySize = vocabularySize
        self.dimensions = dimensions
        self.layers = layers
        self.heads = heads
        self.hiddenDimensions = hiddenDimensions ?? 4 * Swift.min(dimensions, TransformerLimits.width)
        self.maximumContext = maximumContext
        self.rotary = rotary
        self.tiedHead = tiedHead
        self.logitScale = logitScale
        try TransformerLimits.check([
            ("vocabularySize", vocabularySize, TransformerLimits.vocabulary), ("dimensions", dimensions, TransformerLimits.width),
            ("layers", layers, TransformerLimits.layers), ("heads", heads, TransformerLimits.heads),
            ("hiddenDimensions", self.hiddenDimensions, 4 * TransformerLimits.width),
            ("maximumContext", maximumContext, TransformerLimits.vocabulary),
        ])
        if dimensions % heads != 0 { throw ConfigurationError("dimensions is \(dimensions); heads, \(heads), has to divide it") }
        if !(logitScale > 0 && logitScale.isFinite) { throw ConfigurationError("logitScale is \(logitScale); it has to be above 0") }
    }
}

/// A feed-forward `contraction(expansion(x).gelu())` without biases, `[..., D]` to the same.
public final class PlainFeedForward: Module, UnaryLayer, PartitionableLayer {
    @ModuleInfo public var expansion: any LinearMap
    @ModuleInfo public var contraction: any LinearMap

    public init(_ dimensions: Int, _ hiddenDimensions: Int) {
        super.init()
        expansion = Linear(dimensions, hiddenDimensions, bias: false)
        contraction = Linear(hiddenDimensions, dimensions, bias: false)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { contraction(expansion(x).gelu()) }
}

/// A block of a ``PlainTransformer``: `x += attention(norm(x)); x += feedForward(norm(x))`. Either part may be replaced.
public final class PlainTransformerBlock: Module, PreNormBlock {
    @ModuleInfo(key: "attention_norm") public var attentionNorm: LayerNorm
    @ModuleInfo(key: "attention") public var mixer: any SequenceMixer
    @ModuleInfo(key: "feed_forward_norm") public var feedForwardNorm: LayerNorm
    @ModuleInfo(key: "feed_forward") public var feedForward: any UnaryLayer

    init(_ c: PlainTransformerConfiguration) {
        super.init()
        attentionNorm = LayerNorm(c.dimensions)
        mixer = SoftmaxAttention(dimensions: c.dimensions, heads: c.heads, rotaryTheta: c.rotary ? 10_000 : nil)
        feedForwardNorm = LayerNorm(c.dimensions)
        feedForward = PlainFeedForward(c.dimensions, c.hiddenDimensions)
    }
}

/// The decoder that the methods on dense transformers are compared on: pre-norm, softmax attention with a matrix for each of queries, keys, values
/// and output, GELU, learned or rotary positions, no biases in its matrices, a head of its own or
/// the embedding's.
public final class PlainTransformer: Module, LayeredLanguageModel {
    public let configuration: PlainTransformerConfiguration
    @ModuleInfo public var embedding: Embedding
    /// Nil with rotary positions.
    @ModuleInfo public var positions: Embedding?
    @ModuleInfo public var blocks: [PlainTransformerBlock]
    @ModuleInfo public var norm: LayerNorm
    /// Nil where the head shares the embedding's weight.
    @ModuleInfo public var head: (any LinearMap)?

    /// Weights start from N(0, 0.02²).
    public init(_ configuration: PlainTransformerConfiguration, generator: RandomGenerator? = nil) {
        let c: PlainTransformerConfiguration = configuration
        self.configuration = c
        super.init()
        embedding = Embedding(c.vocabularySize, c.dimensions)
        positions = c.rotary ? nil : Embedding(c.maximumContext, c.dimensions)
        blocks = (0..<c.layers).map { _ in PlainTransformerBlock(c) }
        norm = LayerNorm(c.dimensions)
        head = c.tiedHead ? nil : Linear(c.dimensions, c.vocabularySize, bias: false)
        initializeNormal(generator: generator)
    }

    public var vocabularySize: Int { configuration.vocabularySize }
    public var device: Device { embedding.weight.device }
    public var contextLimit: Int? { configuration.rotary ? nil : configuration.maximumContext }
    public var blockPaths: [String] { blocks.indices.map { "blocks.\($0)" } }

    /// Traps for more tokens than there are learned positions. A mask hides tokens from the others and does not move positions.
    public func callAsFunction(_ tokens: Tensor, mask: Tensor?, state: inout LanguageModelState?, mode: MixerMode?) -> Tensor {
        let x: Tensor = embedded(tokens, from: state?.layers.first?.offset ?? 0)
        return logits(blocks(x, mask: mask, state: &state, mode: mode))
    }

    /// Logits `[..., V]` of the stream `[..., D]` after the last block.
    public func logits(_ stream: Tensor) -> Tensor {
        let hidden: Tensor = norm(stream)
        let raw: Tensor = head?(hidden) ?? embedding.asLinear(hidden)
        return configuration.logitScale == 1 ? raw : raw * configuration.logitScale
    }

    public func residualStream(_ tokens: Tensor, mask: Tensor? = nil) -> [Tensor] {
        blocks.residualStream(embedded(tokens, from: 0), mask: mask)
    }

    public func step(_ token: Tensor, state: inout LanguageModelState) -> Tensor {
        let x: Tensor = embedded(token.expandedDimensions(axis: 1), from: state.layers.first?.offset ?? 0).squeezed(axis: 1)
        return logits(blocks.step(x, state: &state))
    }

    /// The stream `[B, T, D]` before the first block, of tokens whose first one is at position `offset`.
    public func embedded(_ tokens: Tensor, from offset: Int = 0) -> Tensor {
        guard let positions else { return embedding(tokens) }
        let end: Int = offset + tokens.dim(1)
        precondition(
            end <= configuration.maximumContext, "PlainTransformer: \(end) tokens, \(configuration.maximumContext) positions")
        return embedding(tokens) + positions(.arange(offset, end, step: 1, dtype: .int64, device: device))
    }

    public func initialState(batch: Int) -> LanguageModelState { blocks.initialState(batch: batch, like: embedding.weight) }

    public func stateBytes(batch: Int, length: Int) -> Int { blocks.stateBytes(batch: batch, length: length) }
}
