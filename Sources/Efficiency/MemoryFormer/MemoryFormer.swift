import NN
import SequenceModels
import Torch

/// Causal softmax attention whose queries, keys and values are looked up: hashed once, read from tables of their own. There is no output projection.
public final class MemoryAttention: Module, SequenceMixer {
    public let hash: MemoryHash
    @ModuleInfo(key: "query") public var queryTables: MemoryTables
    @ModuleInfo(key: "key") public var keyTables: MemoryTables
    @ModuleInfo(key: "value") public var valueTables: MemoryTables
    public let rotary: RotaryEmbedding?
    let configuration: MemoryFormerConfiguration

    public init(_ configuration: MemoryFormerConfiguration, generator: RandomGenerator? = nil) {
        let c: MemoryFormerConfiguration = configuration
        self.configuration = c
        hash = MemoryHash(
            c.dimensions, bits: c.bits, weighting: c.weighting, temperature: c.temperature, projects: c.projectsBeforeHashing,
            generator: generator)
        rotary = c.rotaryDimensions > 0 ? RotaryEmbedding(c.rotaryDimensions) : nil
        super.init()
        func tables() -> MemoryTables {
            MemoryTables(c.tableCount, c.dimensions, bits: c.bits, standardDeviation: c.smallDeviation, generator: generator)
        }
        queryTables = tables()
        keyTables = tables()
        valueTables = tables()
    }

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { rotary != nil }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        MixerState(kv: KVRing(capacity: nil))
    }

    /// The mode makes no difference: attention has one form.
    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let encoded: MemoryCodes = hash.encode(x)
        let offset: Int = state?.offset ?? 0
        func heads(_ tables: MemoryTables) -> Tensor { tables(encoded).splitHeads(configuration.heads) }
        func positioned(_ x: Tensor) -> Tensor { rotary.map { $0(x, offset: offset) } ?? x }
        let (output, cache): (Tensor, KVRing) = cachedAttention(
            positioned(heads(queryTables)), keys: positioned(heads(keyTables)), values: heads(valueTables),
            cache: state?.kv ?? KVRing(capacity: nil), mask: mask)
        state?.advance(cache: cache, by: x.dim(1))
        return output.joinedHeads()
    }

    public func stateBytes(batch: Int, length: Int) -> Int { float32Bytes(batch * length * 2 * configuration.dimensions) }
}

/// Two lookups with a norm between them, `[..., D]` to the same. Nothing else is nonlinear: hashing is.
public final class MemoryFeedForward: Module, UnaryLayer {
    @ModuleInfo public var expansion: MemoryLayer
    @ModuleInfo public var norm: LayerNorm
    @ModuleInfo public var contraction: MemoryLayer

    public init(_ configuration: MemoryFormerConfiguration, generator: RandomGenerator? = nil) {
        let c: MemoryFormerConfiguration = configuration
        super.init()
        expansion = MemoryLayer(
            c.dimensions, c.hiddenDimensions, bits: c.bits, weighting: c.weighting, temperature: c.temperature, generator: generator)
        norm = LayerNorm(c.hiddenDimensions)
        contraction = MemoryLayer(
            c.hiddenDimensions, c.dimensions, bits: c.bits + c.extraBits, weighting: c.weighting, temperature: c.temperature,
            generator: generator)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { contraction(norm(expansion(x))) }
}

/// A block of a ``MemoryFormer``: `x += attention(norm(x)); x += feedForward(norm(x))` without a fully connected layer.
public final class MemoryBlock: Module, PreNormBlock {
    @ModuleInfo(key: "attention_norm") public var attentionNorm: RMSNorm
    @ModuleInfo(key: "attention") public var mixer: any SequenceMixer
    @ModuleInfo(key: "feed_forward_norm") public var feedForwardNorm: RMSNorm
    @ModuleInfo(key: "feed_forward") public var feedForward: any UnaryLayer

    public init(_ configuration: MemoryFormerConfiguration, generator: RandomGenerator? = nil) {
        super.init()
        attentionNorm = RMSNorm(configuration.dimensions)
        mixer = MemoryAttention(configuration, generator: generator)
        feedForwardNorm = RMSNorm(configuration.dimensions)
        feedForward = MemoryFeedForward(configuration, generator: generator)
    }
}

/// A decoder in which lookups in hash tables stand for all fully connected layers of its blocks (Ding et al., *MemoryFormer*, 2024, arXiv 2411.12992).
///
/// Attention products remain, and an ordinary embedding and head. The paper trains it with AdamW (0.9, 0.95), weight decay 0.1 on the tables too, and
/// about three times a dense model's learning rate: ``MemoryFormerTraining``.
public final class MemoryFormer: Module, LayeredLanguageModel {
    public let configuration: MemoryFormerConfiguration
    @ModuleInfo public var embedding: Embedding
    @ModuleInfo public var blocks: [MemoryBlock]
    @ModuleInfo public var norm: RMSNorm
    @ModuleInfo public var head: any LinearMap

    /// Embedding, head and the tables of queries, keys and values start from N(0, 2/(5 D)), the other tables from N(0, 0.02²).
    public init(_ configuration: MemoryFormerConfiguration, generator: RandomGenerator? = nil) {
        let c: MemoryFormerConfiguration = configuration
        self.configuration = c
        super.init()
        embedding = Embedding(c.vocabularySize, c.dimensions)
        blocks = (0..<c.layers).map { _ in MemoryBlock(c, generator: generator) }
        norm = RMSNorm(c.dimensions)
        head = Linear(c.dimensions, c.vocabularySize, bias: false)
        initializeNormal(standardDeviation: c.smallDeviation, generator: generator)
    }

    public var vocabularySize: Int { configuration.vocabularySize }
    public var device: Device { embedding.weight.device }
    public var blockPaths: [String] { blocks.indices.map { "blocks.\($0)" } }
    public var stepUsesPosition: Bool { blocks.contains { $0.mixer.stepUsesPosition } }

    public func callAsFunction(_ tokens: Tensor, mask: Tensor?, state: inout LanguageModelState?, mode: MixerMode?) -> Tensor {
        head(norm(blocks(embedding(tokens), mask: mask, state: &state, mode: mode)))
    }

    public func residualStream(_ tokens: Tensor, mask: Tensor? = nil) -> [Tensor] {
        blocks.residualStream(embedding(tokens), mask: mask)
    }

    public func step(_ token: Tensor, state: inout LanguageModelState) -> Tensor {
        head(norm(blocks.step(embedding(token), state: &state)))
    }

    public func initialState(batch: Int) -> LanguageModelState { blocks.initialState(batch: batch, like: embedding.weight) }

    public func stateBytes(batch: Int, length: Int) -> Int { blocks.stateBytes(batch: batch, length: length) }
}

extension MemoryFormerConfiguration {
    /// √(2 / (5 D)), the "small init" (Nguyen and Salazar, 2019).
    var smallDeviation: Double { (2 / (5 * Double(dimensions))).squareRoot() }
}
