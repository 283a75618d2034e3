import NN
import Torch

/// A pre-norm block of a ``LlamaModel``. Checkpoint names are Hugging Face's: `input_layernorm`, `self_attn`, `post_attention_layernorm`, `mlp`.
public final class LlamaBlock: Module {
    @ModuleInfo(key: "input_layernorm") public var attentionNorm: RMSNorm
    @ModuleInfo(key: "self_attn") public var attention: any SequenceMixer
    @ModuleInfo(key: "post_attention_layernorm") public var feedForwardNorm: RMSNorm
    @ModuleInfo(key: "mlp") public var feedForward: GatedFeedForward

    /// A block of layers that exist already.
    public init(attentionNorm: RMSNorm, attention: any SequenceMixer, feedForwardNorm: RMSNorm, feedForward: GatedFeedForward) {
        super.init()
        self.attentionNorm = attentionNorm
        self.attention = attention
        self.feedForwardNorm = feedForwardNorm
        self.feedForward = feedForward
    }

    convenience init(_ c: LlamaConfiguration, attention: any SequenceMixer) {
        self.init(
            attentionNorm: RMSNorm(c.dimensions, eps: c.normEpsilon), attention: attention,
            feedForwardNorm: RMSNorm(c.dimensions, eps: c.normEpsilon),
            feedForward: GatedFeedForward(c.dimensions, c.hiddenDimensions, activation: c.activation, bias: c.feedForwardBias))
    }

    /// `[B, T, D]` to the same, continuing from and updating `state` where there is one.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, state: inout MixerState?, mode: MixerMode? = nil) -> Tensor {
        let mixed: Tensor = x + attention(attentionNorm(x), mask: mask, state: &state, mode: mode)
        return mixed + feedForward(feedForwardNorm(mixed))
    }

    /// One token, `[B, D]` to the same.
    public func step(_ x: Tensor, state: inout MixerState) -> Tensor {
        let mixed: Tensor = x + attention.step(attentionNorm(x), state: &state)
        return mixed + feedForward(feedForwardNorm(mixed))
    }
}

/// Embedding, blocks and final norm of a ``LlamaModel``: what Hugging Face's checkpoints have under `model`.
public final class LlamaDecoder: Module {
    @ModuleInfo(key: "embed_tokens") public var embedding: Embedding
    @ModuleInfo(key: "layers") public var blocks: [LlamaBlock]
    @ModuleInfo public var norm: RMSNorm

    public init(embedding: Embedding, blocks: [LlamaBlock], norm: RMSNorm) {
        super.init()
        self.embedding = embedding
        self.blocks = blocks
        self.norm = norm
    }
}

/// A decoder of the Llama family as Hugging Face's `LlamaForCausalLM` computes it: RMS norms, rotary positions, grouped queries and a gated
/// feed-forward. Parameters have the names of its checkpoints.
public class LlamaModel: Module, CausalLanguageModel {
    public let configuration: LlamaConfiguration
    @ModuleInfo(key: "model") public var decoder: LlamaDecoder
    /// Nil where the head shares the embedding's weight.
    @ModuleInfo(key: "lm_head") public var head: Linear?

    /// A model of layers that exist already and stay shared with whoever holds them.
    public init(_ configuration: LlamaConfiguration, decoder: LlamaDecoder, head: Linear?) {
        self.configuration = configuration
        super.init()
        self.decoder = decoder
        self.head = head
    }

    /// Weights start from N(0, 0.02²), biases at 0.
    public convenience init(_ configuration: LlamaConfiguration, generator: RandomGenerator? = nil) {
        let decoder: LlamaDecoder = Self.randomDecoder(configuration) { SoftmaxAttention($0) }
        self.init(configuration, decoder: decoder, head: Self.randomHead(configuration))
        initializeNormal(generator: generator)
    }

    static func randomDecoder(_ c: LlamaConfiguration, attention: (MultiHeadAttention) -> any SequenceMixer) -> LlamaDecoder {
        LlamaDecoder(
            embedding: Embedding(c.vocabularySize, c.dimensions),
            blocks: (0..<c.layers).map { _ in LlamaBlock(c, attention: attention(MultiHeadAttention(c.attention))) },
            norm: RMSNorm(c.dimensions, eps: c.normEpsilon))
    }

    static func randomHead(_ c: LlamaConfiguration) -> Linear? {
        c.tiedHead ? nil : Linear(c.dimensions, c.vocabularySize, bias: false)
    }

    public var vocabularySize: Int { configuration.vocabularySize }
    public var device: Device { decoder.embedding.weight.device }

    public func callAsFunction(_ tokens: Tensor, mask: Tensor?, state: inout LanguageModelState?, mode: MixerMode?) -> Tensor {
        logits(decoder.norm(stream(tokens, mask: mask, state: &state, mode: mode) { _ in }))
    }

    /// The embedded tokens, then the stream after each block, the last one after the final norm: `layers + 1` of `[B, T, D]`.
    public func hiddenStates(_ tokens: Tensor, mask: Tensor? = nil) -> [Tensor] {
        let states: [Tensor] = residualStream(tokens, mask: mask)
        return states.dropLast() + [decoder.norm(states[states.count - 1])]
    }

    public func residualStream(_ tokens: Tensor, mask: Tensor? = nil) -> [Tensor] {
        var states: [Tensor] = []
        var none: LanguageModelState? = nil
        let last: Tensor = stream(tokens, mask: mask, state: &none, mode: nil) { states.append($0) }
        return states + [last]
    }

    /// The stream after the last block; `seen` gets what enters each block.
    private func stream(
        _ tokens: Tensor, mask: Tensor?, state: inout LanguageModelState?, mode: MixerMode?, seen: (Tensor) -> Void
    ) -> Tensor {
        var x: Tensor = decoder.embedding(tokens)
        for (index, block) in decoder.blocks.enumerated() {
            seen(x)
            var layerState: MixerState? = state?.layers[index]
            x = block(x, mask: mask, state: &layerState, mode: mode)
            if let layerState { state?.layers[index] = layerState }
        }
        return x
    }

    public func step(_ token: Tensor, state: inout LanguageModelState) -> Tensor {
        var x: Tensor = decoder.embedding(token)
        for (index, block) in decoder.blocks.enumerated() { x = block.step(x, state: &state.layers[index]) }
        return logits(decoder.norm(x))
    }

    private func logits(_ hidden: Tensor) -> Tensor { head.map { $0(hidden) } ?? decoder.embedding.asLinear(hidden) }

    public func initialState(batch: Int) -> LanguageModelState {
        let weight: Tensor = decoder.embedding.weight
        return LanguageModelState(
            layers: decoder.blocks.map { $0.attention.initialState(batch: batch, dtype: weight.dtype, device: weight.device) })
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        decoder.blocks.reduce(0) { $0 + $1.attention.stateBytes(batch: batch, length: length) }
    }

    /// The softmax attention of every layer, or nil where a layer has another mixer.
    var softmaxLayers: [MultiHeadAttention]? {
        let layers: [MultiHeadAttention] = decoder.blocks.compactMap { ($0.attention as? SoftmaxAttention)?.attention }
        return layers.count == decoder.blocks.count ? layers : nil
    }

    /// A decoder with the same embedding, norms and feed-forwards, not copied, and other mixers in the place of the attention.
    /// Traps where a layer is no softmax attention.
    func decoder(replacingAttention make: (MultiHeadAttention) -> any SequenceMixer) -> LlamaDecoder {
        guard let attentions = softmaxLayers else { preconditionFailure("a layer of the model is no softmax attention") }
        let blocks: [LlamaBlock] = zip(decoder.blocks, attentions).map { block, attention in
            LlamaBlock(
                attentionNorm: block.attentionNorm, attention: make(attention), feedForwardNorm: block.feedForwardNorm,
                feedForward: block.feedForward)
        }
        return LlamaDecoder(embedding: decoder.embedding, blocks: blocks, norm: decoder.norm)
    }
}

extension LlamaConfiguration {
    /// The shape of a ``LanguageModel`` of softmax layers, which computes what a Llama does.
    /// - Parameters:
    ///   - model: without a window or other mixers.
    ///   - context: positions that it is trained for.
    /// - Throws: `ConfigurationError` where a layer has another mixer or a window.
    public init(_ model: LanguageModelConfiguration, context: Int) throws {
        guard model.mixer.kind == .softmax, model.mixer.window == nil, model.mixer.rotary ?? true, model.hybrid == nil else {
            throw ConfigurationError("only softmax attention in every layer, with rotary positions and no window, has the Llama format")
        }
        try self.init(
            vocabularySize: model.vocabularySize, dimensions: model.dimensions, hiddenDimensions: model.hiddenDimensions,
            layers: model.layers, heads: model.mixer.heads)
        normEpsilon = 1e-5
        tiedHead = model.tiedHead
        maximumContext = context
    }
}

extension LlamaModel {
    /// A ``LanguageModel`` of softmax layers under the names of Llama checkpoints. The weights are shared.
    /// - Parameters:
    ///   - model: without a window or other mixers.
    ///   - context: positions that it was trained for.
    /// - Throws: `ConfigurationError` where a layer has another mixer or a window.
    public convenience init(_ model: LanguageModel, context: Int) throws {
        let configuration: LlamaConfiguration = try LlamaConfiguration(model.configuration, context: context)
        let blocks: [LlamaBlock] = model.blocks.map {
            LlamaBlock(attentionNorm: $0.mixerNorm, attention: $0.mixer, feedForwardNorm: $0.feedForwardNorm, feedForward: $0.feedForward)
        }
        self.init(configuration, decoder: LlamaDecoder(embedding: model.embedding, blocks: blocks, norm: model.norm), head: model.head)
    }
}
