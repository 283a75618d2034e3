import Foundation
import NN
import Torch

/// One layer of a ``BertModel``: self-attention and feed-forward, each followed by a norm of the residual sum (post-norm).
public final class BertLayer: Module {
    @ModuleInfo(key: "attention.self.query") public var queryProjection: any LinearMap
    @ModuleInfo(key: "attention.self.key") public var keyProjection: any LinearMap
    @ModuleInfo(key: "attention.self.value") public var valueProjection: any LinearMap
    @ModuleInfo(key: "attention.output.dense") public var outputProjection: any LinearMap
    @ModuleInfo(key: "attention.output.LayerNorm") public var attentionNorm: LayerNorm
    @ModuleInfo(key: "intermediate.dense") public var expansion: any LinearMap
    @ModuleInfo(key: "output.dense") public var contraction: any LinearMap
    @ModuleInfo(key: "output.LayerNorm") public var feedForwardNorm: LayerNorm
    let heads: Int
    let activation: Activation

    init(_ c: BertConfiguration) {
        heads = c.heads
        activation = c.activation
        super.init()
        queryProjection = Linear(c.dimensions, c.dimensions)
        keyProjection = Linear(c.dimensions, c.dimensions)
        valueProjection = Linear(c.dimensions, c.dimensions)
        outputProjection = Linear(c.dimensions, c.dimensions)
        attentionNorm = LayerNorm(c.dimensions, eps: c.normEpsilon)
        expansion = Linear(c.dimensions, c.hiddenDimensions)
        contraction = Linear(c.hiddenDimensions, c.dimensions)
        feedForwardNorm = LayerNorm(c.dimensions, eps: c.normEpsilon)
    }

    /// - Parameters:
    ///   - x: `[B, T, D]`.
    ///   - visible: `[B, 1, 1, T]` (bool), which tokens are seen.
    public func callAsFunction(_ x: Tensor, visible: Tensor? = nil) -> Tensor {
        let attended: Tensor = softmaxAttention(
            queryProjection(x).splitHeads(heads), keyProjection(x).splitHeads(heads), valueProjection(x).splitHeads(heads), mask: visible)
        let mixed: Tensor = attentionNorm(x + outputProjection(attended.joinedHeads()))
        return feedForwardNorm(mixed + contraction(activation(expansion(mixed))))
    }
}

/// The encoder BERT as Hugging Face's `BertModel` computes it, under the names of its checkpoints (Devlin et al., 2018, arXiv 1810.04805).
public final class BertModel: Module {
    public let configuration: BertConfiguration
    @ModuleInfo(key: "embeddings.word_embeddings") public var embedding: Embedding
    @ModuleInfo(key: "embeddings.position_embeddings") public var positions: Embedding
    @ModuleInfo(key: "embeddings.token_type_embeddings") public var segments: Embedding
    @ModuleInfo(key: "embeddings.LayerNorm") public var embeddingNorm: LayerNorm
    @ModuleInfo(key: "encoder.layer") public var layers: [BertLayer]
    @ModuleInfo(key: "pooler.dense") public var pooler: Linear?

    /// What the encoder makes of a batch of texts.
    public struct Output {
        /// The normed embedding, then the stream after each layer: `layers + 1` of `[B, T, D]`.
        public let hiddenStates: [Tensor]
        /// The first token's state through a layer with tanh, `[B, D]`; nil without a pooler.
        public let pooled: Tensor?
        /// The mean of the real tokens' last states, `[B, D]`.
        public let meanPooled: Tensor
    }

    /// Weights start from N(0, 0.02²), biases at 0.
    /// - Parameters:
    ///   - configuration: sizes of the model.
    ///   - hasPooler: whether the first token is pooled.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(_ configuration: BertConfiguration, hasPooler: Bool = true, generator: RandomGenerator? = nil) {
        let c: BertConfiguration = configuration
        self.configuration = c
        super.init()
        embedding = Embedding(c.vocabularySize, c.dimensions)
        positions = Embedding(c.maximumContext, c.dimensions)
        segments = Embedding(c.segments, c.dimensions)
        embeddingNorm = LayerNorm(c.dimensions, eps: c.normEpsilon)
        layers = (0..<c.layers).map { _ in BertLayer(c) }
        pooler = hasPooler ? Linear(c.dimensions, c.dimensions) : nil
        initializeNormal(generator: generator)
    }

    /// Traps for more tokens than there are positions.
    /// - Parameters:
    ///   - tokens: `[B, T]`, int64.
    ///   - mask: `[B, T]`, 1 for real tokens; nil when all are.
    ///   - segment: `[B, T]`, int64, which part of the text a token belongs to; zeros unless given.
    public func callAsFunction(_ tokens: Tensor, mask: Tensor? = nil, segment: Tensor? = nil) -> Output {
        precondition(
            tokens.dim(1) <= configuration.maximumContext,
            "BertModel: \(tokens.dim(1)) tokens, \(configuration.maximumContext) positions")
        let places: Tensor = .arange(tokens.dim(1), device: tokens.device)
        var states: [Tensor] = [embeddingNorm(embedding(tokens) + segments(segment ?? tokens.zerosLike()) + positions(places))]
        let visible: Tensor? = mask.map { ($0 .!= 0).reshaped($0.dim(0), 1, 1, $0.dim(1)) }
        var x: Tensor = states[0]
        for layer in layers {
            x = layer(x, visible: visible)
            states.append(x)
        }
        return Output(
            hiddenStates: states, pooled: pooler.map { $0(x.selected(axis: 1, index: 0)).tanh() },
            meanPooled: Self.mean(x, over: mask))
    }

    private static func mean(_ x: Tensor, over mask: Tensor?) -> Tensor {
        guard let mask else { return x.mean(axis: 1) }
        let counts: Tensor = mask.asType(x.dtype).sum(axis: 1, keepDims: true).clamped(1, nil)
        return x.masked(by: mask).sum(axis: 1) / counts
    }
}

extension BertModel {
    /// Reads a folder with `config.json` and `model.safetensors` (or shards); a prefix `bert.` and the heads of other architectures are
    /// passed over.
    /// - Throws: an error naming the file that is missing, broken, or does not fit.
    public static func load(from folder: URL) throws -> BertModel { try load(from: folder, reshape: nil) }

    /// As ``load(from:)``, where some layers are not those that the configuration alone describes.
    /// - Parameters:
    ///   - folder: with tensors for the layers as they are after `reshape`.
    ///   - reshape: puts layers without values in the places of others, before the tensors are loaded.
    /// - Throws: an error naming the file that is missing, broken, or does not fit, and what `reshape` throws.
    public static func load(from folder: URL, reshape: ((Module) throws -> Void)?) throws -> BertModel {
        let files: HuggingFaceFolder = HuggingFaceFolder(folder, reshape: reshape)
        let configuration: BertConfiguration = try files.configuration(BertConfiguration.self, modelType: "bert")
        let stored: [String: Tensor] = try loadTensors(folder)
        let prefixed: Bool = stored.keys.contains { $0.hasPrefix("bert.") }
        let tensors: [String: Tensor] = Dictionary(
            uniqueKeysWithValues: stored.compactMap { name, tensor in
                if prefixed { return name.hasPrefix("bert.") ? (String(name.dropFirst(5)), tensor) : nil }
                return (name, tensor)
            }
        ).filter { !$0.key.hasSuffix(".position_ids") }
        return try files.model(tensors, parameterCount: configuration.parameterCount) {
            BertModel(configuration, hasPooler: tensors["pooler.dense.weight"] != nil)
        }
    }
}
