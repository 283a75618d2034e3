import Torch

/// What a ``MultiHeadAttention`` is made of.
public struct AttentionConfiguration: Codable, Sendable, Hashable {
    /// Channels of the residual stream, D.
    public var dimensions: Int
    public var heads: Int
    /// Heads of keys and values, each shared by `heads / keyValueHeads` query heads.
    public var keyValueHeads: Int
    public var headDimensions: Int
    public var causal: Bool
    /// Keys that a query sees, its own included; nil is all.
    public var window: Int?
    /// Base of the rotary frequencies; nil is no rotary embedding.
    public var rotaryTheta: Double?
    /// Channels of a head that are turned.
    public var rotaryDimensions: Int
    public var rotaryInterleaved: Bool
    /// Slows the rotations for contexts longer than those of the training.
    public var rotaryScaling: RotaryScaling?
    /// Whether the projections of queries, keys and values have a bias.
    public var queryKeyValueBias: Bool
    public var outputBias: Bool
    /// Probability of dropping an attention weight while training.
    public var dropout: Double

    public init(
        dimensions: Int, heads: Int, keyValueHeads: Int? = nil, headDimensions: Int? = nil, causal: Bool = false, window: Int? = nil,
        rotaryTheta: Double? = nil, rotaryDimensions: Int? = nil, rotaryInterleaved: Bool = false,
        rotaryScaling: RotaryScaling? = nil, queryKeyValueBias: Bool = false, outputBias: Bool = false, dropout: Double = 0
    ) {
        self.dimensions = dimensions
        self.heads = heads
        self.keyValueHeads = keyValueHeads ?? heads
        self.headDimensions = headDimensions ?? dimensions / max(heads, 1)
        self.causal = causal
        self.window = window
        self.rotaryTheta = rotaryTheta
        self.rotaryDimensions = rotaryDimensions ?? self.headDimensions
        self.rotaryInterleaved = rotaryInterleaved
        self.rotaryScaling = rotaryScaling
        self.queryKeyValueBias = queryKeyValueBias
        self.outputBias = outputBias
        self.dropout = dropout
    }
}

/// Multi-head softmax attention of `[B, T, D]` (arXiv 1706.03762), with grouped queries, sliding windows, rotary positions and a cache
/// of keys and values; see ``softmaxAttention(_:_:_:causal:window:mask:scale:dropout:)``.
///
/// Checkpoint names are Hugging Face's: `q_proj`, `k_proj`, `v_proj`, `o_proj`.
public final class MultiHeadAttention: Module, UnaryLayer, PartitionableLayer {
    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    public let rotary: RotaryEmbedding?
    public let configuration: AttentionConfiguration

    /// Projections start as ``Linear`` does. Traps unless the query heads divide into the key heads' groups.
    public init(_ configuration: AttentionConfiguration, generator: RandomGenerator? = nil) {
        let c: AttentionConfiguration = configuration
        precondition(
            c.keyValueHeads > 0 && c.heads % c.keyValueHeads == 0, "\(c.heads) query heads cannot share \(c.keyValueHeads) key heads")
        precondition(c.window == nil || c.causal, "a sliding window needs causal attention")
        self.configuration = c
        rotary = c.rotaryTheta.map {
            RotaryEmbedding(c.rotaryDimensions, theta: $0, interleaved: c.rotaryInterleaved, scaling: c.rotaryScaling)
        }
        super.init()
        let inner: Int = c.heads * c.headDimensions
        let shared: Int = c.keyValueHeads * c.headDimensions
        queryProjection = Linear(c.dimensions, inner, bias: c.queryKeyValueBias, generator: generator)
        keyProjection = Linear(c.dimensions, shared, bias: c.queryKeyValueBias, generator: generator)
        valueProjection = Linear(c.dimensions, shared, bias: c.queryKeyValueBias, generator: generator)
        outputProjection = Linear(inner, c.dimensions, bias: c.outputBias, generator: generator)
    }

    public convenience init(_ dimensions: Int, heads: Int, causal: Bool = false, bias: Bool = true, generator: RandomGenerator? = nil) {
        let configuration: AttentionConfiguration = AttentionConfiguration(
            dimensions: dimensions, heads: heads, causal: causal, queryKeyValueBias: bias, outputBias: bias)
        self.init(configuration, generator: generator)
    }

    public func channelsKeptTogether(by child: String) -> Int { configuration.headDimensions }

    /// Self-attention of a whole sequence `[B, T, D]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { callAsFunction(x, mask: nil) }

    /// - Parameters:
    ///   - x: `[B, T, D]`, which the queries come from.
    ///   - context: `[B, S, D]`, which keys and values come from; `x` unless given.
    ///   - mask: broadcasts to `[B, heads, T, S]`; `.bool` (true sees) or numbers that are added to the scores.
    public func callAsFunction(_ x: Tensor, context: Tensor? = nil, mask: Tensor?) -> Tensor {
        let source: Tensor = context ?? x
        let (keys, values): (Tensor, Tensor) = (positioned(keyHeads(source), from: 0), valueHeads(source))
        return attend(positioned(queryHeads(x), from: 0), keys, values, mask: mask)
    }

    /// The tokens `[B, T, D]` that follow those in `cache`, which is extended by them. Needs a causal layer.
    /// - Parameters:
    ///   - x: `[B, T, D]`.
    ///   - cache: keys and values of the tokens before; those of `x` are added.
    ///   - offset: position of the first of these tokens.
    ///   - mask: `[B, T]`, 1 for real tokens; nil when all are.
    public func callAsFunction(_ x: Tensor, cache: inout KVRing, offset: Int, mask: Tensor? = nil) -> Tensor {
        precondition(configuration.causal, "only causal attention continues from a cache")
        let seen: KVRing = cache.extended(keys: positioned(keyHeads(x), from: offset), values: valueHeads(x), mask: mask)
        cache = seen.trimmed(compacting: mask != nil)
        guard let keys = seen.keys, let values = seen.values else { preconditionFailure("an extended cache without keys") }
        let visible: Tensor? = seen.mask.map { ($0 .!= 0).reshaped($0.dim(0), 1, 1, $0.dim(1)) }
        return attend(positioned(queryHeads(x), from: offset), keys, values, mask: visible)
    }

    /// An empty cache: as large as the window, or growing without one.
    public func initialCache() -> KVRing { KVRing(capacity: configuration.window) }

    private func attend(_ query: Tensor, _ key: Tensor, _ value: Tensor, mask: Tensor?) -> Tensor {
        let heads: Tensor = softmaxAttention(
            query, key, value, causal: configuration.causal, window: configuration.window, mask: mask,
            dropout: isTraining ? configuration.dropout : 0)
        return outputProjection(heads.flattened(from: 2))
    }

    private func positioned(_ heads: Tensor, from offset: Int) -> Tensor { rotary.map { $0(heads, offset: offset) } ?? heads }

    private func queryHeads(_ x: Tensor) -> Tensor { split(queryProjection(x)) }
    private func keyHeads(_ x: Tensor) -> Tensor { split(keyProjection(x)) }
    private func valueHeads(_ x: Tensor) -> Tensor { split(valueProjection(x)) }

    /// `[B, T, heads · D]` to `[B, T, heads, D]`: of all heads, or of those that this process holds.
    private func split(_ x: Tensor) -> Tensor {
        x.reshaped(x.dim(0), x.dim(1), x.dim(2) / configuration.headDimensions, configuration.headDimensions)
    }
}
