import NN
import SequenceModels
import Torch

/// A ``MatryoshkaKVAttention`` for inference: the values' bases are folded into the projections of values and output, and of the keys' bases there are the
/// kept columns alone.
///
/// Names in checkpoints: `q_proj`, `k_proj`, `v_proj`, `o_proj`, `key_basis`.
public final class FoldedKVAttention: Module, SequenceMixer, CompressedLayer {
    public static let kind: String = "kv_projection"

    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    /// To the kept channels of all key-value heads, side by side.
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    /// From the kept channels of all query heads, side by side.
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
    /// The kept columns of U^K of all heads, `[D, Σ r_K]`.
    @ParameterInfo(key: "key_basis") public var keyBasis: Tensor
    /// The kept channels of each head.
    public let configuration: KVRanks
    /// Heads, positions and sizes of the attention that this layer was made from.
    public let attention: AttentionConfiguration
    private let rotary: RotaryEmbedding?

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { rotary != nil }

    init(_ source: MultiHeadAttention, _ projection: KVProjection, _ ranks: KVRanks) {
        configuration = ranks
        attention = source.configuration
        rotary = source.rotary
        super.init()
        queryProjection = source.queryProjection
        keyProjection = source.keyProjection
        valueProjection = projection.folded(values: source.valueProjection, ranks: ranks.values)
        outputProjection = projection.fold(into: source.outputProjection, ranks: ranks.values)
        let columns: Tensor = noGrad { projection.key.matrix().swappedAxes(0, 1).expandedDimensions(axis: 0) }
        keyBasis = noGrad { CompressedKVCache.packed(columns, ranks: ranks.keys).squeezed(axis: 0).contiguous() }
    }

    public static func empty(_ ranks: KVRanks, replacing dense: Module) throws -> FoldedKVAttention {
        let separate: SoftmaxAttention? = (dense as? SoftmaxAttention) ?? (dense as? GPT2Attention)?.separated()
        guard let attention = separate?.attention else {
            throw ConfigurationError("a \(type(of: dense)) has no cache of keys and values of its own")
        }
        let c: AttentionConfiguration = attention.configuration
        for list in [ranks.keys, ranks.values] where list.count != c.keyValueHeads || !list.allSatisfy((1...c.headDimensions).contains) {
            throw ConfigurationError("ranks \(list) for \(c.keyValueHeads) heads of \(c.headDimensions) channels")
        }
        let projection: KVProjection = KVProjection(heads: c.keyValueHeads, headDimensions: c.headDimensions)
        let weight: Tensor = attention.keyProjection.denseWeight()
        projection.to(dtype: weight.dtype, device: weight.device)
        return FoldedKVAttention(attention, projection, ranks)
    }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        MixerState(kv: KVRing(capacity: attention.window))
    }

    /// The mode makes no difference: attention has one form.
    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let (c, ranks): (AttentionConfiguration, KVRanks) = (attention, configuration)
        let offset: Int = state?.offset ?? 0
        // [H, D, r], zeros where a head keeps less.
        let basis: Tensor = CompressedKVCache.unpacked(keyBasis.expandedDimensions(axis: 0), ranks: ranks.keys)
            .squeezed(axis: 0).swappedAxes(0, 1)
        let keys: Tensor = einsum("bthd,hdr->bthr", turned(keyProjection(x), c.keyValueHeads, offset), basis)
        let queries: Tensor = turned(queryProjection(x), c.heads, offset).turned(by: basis, perHead: c.heads / c.keyValueHeads)
        let mixed: Tensor = compressedAttention(
            queries, keys: CompressedKVCache.packed(keys, ranks: ranks.keys), values: valueProjection(x), ranks, mask: mask,
            state: &state, c)
        let queryRanks: [Int] = ranks.values.flatMap { Array(repeating: $0, count: c.heads / c.keyValueHeads) }
        return outputProjection(CompressedKVCache.packed(mixed, ranks: queryRanks))
    }

    private func turned(_ projected: Tensor, _ heads: Int, _ offset: Int) -> Tensor {
        let split: Tensor = projected.reshaped(projected.dim(0), projected.dim(1), heads, -1)
        return rotary.map { $0(split, offset: offset) } ?? split
    }

    public func stateBytes(batch: Int, length: Int) -> Int { configuration.cacheBytes(batch: batch, length: length, attention) }
}
