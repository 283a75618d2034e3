import NN
import Torch

/// A linear layer whose weight is stored `[in, out]`, as GPT-2's checkpoints have it (there `Conv1D`).
public final class TransposedLinear: Module, LinearMap {
    /// `[inputDimensions, outputDimensions]`
    public let weight: Tensor
    /// `[outputDimensions]`
    public let bias: Tensor?

    /// Starts as N(0, 0.02²), the bias at 0.
    public init(_ inputDimensions: Int, _ outputDimensions: Int, generator: RandomGenerator? = nil) {
        weight = .normal([inputDimensions, outputDimensions], standardDeviation: 0.02, generator: generator)
        bias = .zeros([outputDimensions])
        super.init()
    }

    /// A layer over tensors that exist already. Traps unless the weight is a matrix that fits the bias.
    public init(weight: Tensor, bias: Tensor? = nil) {
        precondition(
            weight.ndim == 2 && (bias.map { $0.shape == [weight.dim(1)] } ?? true),
            "TransposedLinear: a weight of shape \(weight.shape) with a bias of shape \(bias?.shape ?? [])")
        self.weight = weight
        self.bias = bias
        super.init()
    }

    public var inputDimensions: Int { weight.dim(0) }
    public var outputDimensions: Int { weight.dim(1) }

    public func denseWeight() -> Tensor { weight.mT }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        let product: Tensor = x.matmul(weight)
        return bias.map { product + $0 } ?? product
    }
}

/// GPT-2's causal attention: queries, keys and values from one product, no positions of its own. Names: `c_attn`, `c_proj`.
public final class GPT2Attention: Module, SequenceMixer, PartitionableLayer {
    @ModuleInfo(key: "c_attn") public var projection: any LinearMap
    @ModuleInfo(key: "c_proj") public var outputProjection: any LinearMap
    public let heads: Int
    private let headDimensions: Int
    /// Factor on the scores; nil is 1/√(D / heads).
    public let scale: Double?

    public var isCausal: Bool { true }

    /// Traps unless the heads divide the channels.
    public init(dimensions: Int, heads: Int, scale: Double? = nil, generator: RandomGenerator? = nil) {
        precondition(heads > 0 && dimensions % heads == 0, "GPT2Attention: \(heads) heads do not divide \(dimensions) channels")
        self.heads = heads
        headDimensions = dimensions / heads
        self.scale = scale
        super.init()
        projection = TransposedLinear(dimensions, 3 * dimensions, generator: generator)
        outputProjection = TransposedLinear(dimensions, dimensions, generator: generator)
    }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        MixerState(kv: KVRing(capacity: nil))
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let fused: Tensor = projection(x)
        let width: Int = fused.dim(2) / 3
        let parts: [Tensor] = fused.split(size: width, axis: 2).map { $0.splitHeads(width / headDimensions) }
        let (output, cache): (Tensor, KVRing) = cachedAttention(
            parts[0], keys: parts[1], values: parts[2], cache: state?.kv ?? KVRing(capacity: nil), mask: mask, scale: scale)
        state?.advance(cache: cache, by: x.dim(1))
        return outputProjection(output.joinedHeads())
    }

    public func stateBytes(batch: Int, length: Int) -> Int { float32Bytes(batch * length * 2 * projection.outputDimensions / 3) }

    public func channelsKeptTogether(by child: String) -> Int { headDimensions }
}

/// A block of a ``GPT2Model``: `x += attn(ln_1(x)); x += c_proj(gelu(c_fc(ln_2(x))))`.
public final class GPT2Block: Module, PartitionableLayer {
    @ModuleInfo(key: "ln_1") public var attentionNorm: LayerNorm
    @ModuleInfo(key: "attn") public var attention: any SequenceMixer
    @ModuleInfo(key: "ln_2") public var feedForwardNorm: LayerNorm
    @ModuleInfo(key: "mlp.c_fc") public var expansion: any LinearMap
    @ModuleInfo(key: "mlp.c_proj") public var contraction: any LinearMap
    let activation: Activation

    init(_ c: GPT2Configuration, generator: RandomGenerator?) {
        activation = c.activation
        super.init()
        attentionNorm = LayerNorm(c.dimensions, eps: c.normEpsilon)
        attention = GPT2Attention(dimensions: c.dimensions, heads: c.heads, scale: c.scalesScores ? nil : 1, generator: generator)
        feedForwardNorm = LayerNorm(c.dimensions, eps: c.normEpsilon)
        expansion = TransposedLinear(c.dimensions, c.hiddenDimensions, generator: generator)
        contraction = TransposedLinear(c.hiddenDimensions, c.dimensions, generator: generator)
    }

    /// `[B, T, D]` to the same, continuing from and updating `state` where there is one.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, state: inout MixerState?) -> Tensor {
        let mixed: Tensor = x + attention(attentionNorm(x), mask: mask, state: &state, mode: nil)
        return mixed + contraction(activation(expansion(feedForwardNorm(mixed))))
    }
}

/// GPT-2 as Hugging Face's `GPT2LMHeadModel` computes it, under the names of its checkpoints (Radford et al., 2019).
///
/// Positions are learned, so a text has at most ``GPT2Configuration/maximumContext`` tokens: more trap. Masked tokens count for no position.
public final class GPT2Model: Module, CausalLanguageModel {
    public let configuration: GPT2Configuration
    @ModuleInfo(key: "transformer.wte") public var embedding: Embedding
    @ModuleInfo(key: "transformer.wpe") public var positions: Embedding
    @ModuleInfo(key: "transformer.h") public var blocks: [GPT2Block]
    @ModuleInfo(key: "transformer.ln_f") public var norm: LayerNorm
    /// Nil where the head shares the embedding's weight.
    @ModuleInfo(key: "lm_head") public var head: Linear?

    /// Weights start from N(0, 0.02²), biases at 0.
    public init(_ configuration: GPT2Configuration, generator: RandomGenerator? = nil) {
        let c: GPT2Configuration = configuration
        self.configuration = c
        super.init()
        embedding = Embedding(c.vocabularySize, c.dimensions)
        positions = Embedding(c.maximumContext, c.dimensions)
        blocks = (0..<c.layers).map { _ in GPT2Block(c, generator: generator) }
        norm = LayerNorm(c.dimensions, eps: c.normEpsilon)
        head = c.tiedHead ? nil : Linear(c.dimensions, c.vocabularySize, bias: false)
        initializeNormal(generator: generator)
    }

    public var vocabularySize: Int { configuration.vocabularySize }
    public var device: Device { embedding.weight.device }
    public var contextLimit: Int? { configuration.maximumContext }

    public func callAsFunction(_ tokens: Tensor, mask: Tensor?, state: inout LanguageModelState?, mode: MixerMode?) -> Tensor {
        logits(norm(stream(tokens, mask: mask, state: &state) { _ in }))
    }

    /// The embedded tokens, then the stream after each block, the last one after the final norm: `layers + 1` of `[B, T, D]`.
    public func hiddenStates(_ tokens: Tensor, mask: Tensor? = nil) -> [Tensor] {
        let states: [Tensor] = residualStream(tokens, mask: mask)
        return states.dropLast() + [norm(states[states.count - 1])]
    }

    public func residualStream(_ tokens: Tensor, mask: Tensor? = nil) -> [Tensor] {
        var states: [Tensor] = []
        var none: LanguageModelState? = nil
        let last: Tensor = stream(tokens, mask: mask, state: &none) { states.append($0) }
        return states + [last]
    }

    private func stream(_ tokens: Tensor, mask: Tensor?, state: inout LanguageModelState?, seen: (Tensor) -> Void) -> Tensor {
        var x: Tensor = embedding(tokens) + positions(places(of: tokens, mask: mask, after: state?.layers.first))
        for (index, block) in blocks.enumerated() {
            seen(x)
            var layerState: MixerState? = state?.layers[index]
            x = block(x, mask: mask, state: &layerState)
            if let layerState { state?.layers[index] = layerState }
        }
        return x
    }

    /// Positions `[T]`, or `[B, T]` where masked tokens are passed over in counting.
    private func places(of tokens: Tensor, mask: Tensor?, after state: MixerState?) -> Tensor {
        let (offset, length): (Int, Int) = (state?.offset ?? 0, tokens.dim(1))
        precondition(
            offset + length <= configuration.maximumContext,
            "GPT2Model: \(offset + length) tokens, \(configuration.maximumContext) positions")
        guard mask != nil || state?.kv?.mask != nil else {
            return .arange(offset, offset + length, step: 1, dtype: .int64, device: device)
        }
        let real: Tensor = mask?.asType(.int64) ?? .ones(tokens.shape, dtype: .int64, device: device)
        let before: Tensor = .full([tokens.dim(0), 1], offset, dtype: .int64, device: device)
        let seen: Tensor = state?.kv?.mask?.asType(.int64).sum(axis: 1, keepDims: true) ?? before
        // Masked tokens before the first real one have no position; whichever they get leaves no trace.
        return maximum(real.cumulativeSum(axis: 1) + seen - 1, before.zerosLike())
    }

    public func step(_ token: Tensor, state: inout LanguageModelState) -> Tensor {
        var optional: LanguageModelState? = state
        let result: Tensor = callAsFunction(token.expandedDimensions(axis: 1), mask: nil, state: &optional, mode: nil)
        if let optional { state = optional }
        return result.squeezed(axis: 1)
    }

    private func logits(_ hidden: Tensor) -> Tensor { head.map { $0(hidden) } ?? embedding.asLinear(hidden) }

    public func initialState(batch: Int) -> LanguageModelState {
        LanguageModelState(layers: blocks.map { $0.attention.initialState(batch: batch, dtype: embedding.weight.dtype, device: device) })
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        blocks.reduce(0) { $0 + $1.attention.stateBytes(batch: batch, length: length) }
    }
}
