import NN
import SequenceModels
import Torch

/// Softmax attention whose cached keys and values are cut to the first channels of an orthogonal basis of each head (Lin et al., 2025, *MatryoshkaKV:
/// Adaptive KV Compression via Trainable Orthogonal Projection*).
///
/// After the rotation by the position `k' = (k − μ^K) U^K[:, :r]`, `q' = q U^K[:, :r]` and `v' = (v − μ^V) U^V[:, :r]`;
/// `o = softmax(q' k'ᵀ / √D) v' U^V[:, :r]ᵀ + μ^V`. Only k' and v' are cached. With all D channels it is the attention it was made from. Bases belong to
/// heads of keys and values; the queries that share a head use its basis.
///
/// Names in checkpoints: those of the attention, and `kv_projection`.
public final class MatryoshkaKVAttention: Module, SequenceMixer {
    @ModuleInfo(key: "") public var base: SoftmaxAttention
    @ModuleInfo(key: "kv_projection") public var projection: KVProjection
    /// Kept channels of each head; nil leaves the attention as it was. A state belongs to the ranks that it was made with.
    public var ranks: KVRanks?

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { base.stepUsesPosition }

    /// Shares the weights of an attention.
    /// - Parameters:
    ///   - base: whose cache is compressed.
    ///   - projection: bases of its heads; identities unless given.
    ///   - ranks: kept channels; nil for none cut off.
    public init(base: SoftmaxAttention, projection: KVProjection? = nil, ranks: KVRanks?) {
        let c: AttentionConfiguration = base.attention.configuration
        self.ranks = ranks
        super.init()
        self.base = base
        self.projection = projection ?? KVProjection(heads: c.keyValueHeads, headDimensions: c.headDimensions)
    }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        base.initialState(batch: batch, dtype: dtype, device: device)
    }

    /// The mode makes no difference: attention has one form.
    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        guard let ranks else { return base(x, mask: mask, state: &state, mode: mode) }
        let attention: MultiHeadAttention = base.attention
        let (keyBasis, valueBasis): (Tensor, Tensor) = (projection.key.matrix(), projection.value.matrix())
        let offset: Int = state?.offset ?? 0
        let keys: Tensor = einsum("bthd,hdr->bthr", attention.keys(x, offset: offset) - projection.keyMean, keyBasis)
        let values: Tensor = einsum("bthd,hdr->bthr", attention.values(x) - projection.valueMean, valueBasis)
        let queries: Tensor = attention.queries(x, offset: offset).turned(by: keyBasis, perHead: attention.queriesPerHead)
        let mixed: Tensor
        if isTraining, state == nil {
            mixed = compressedAttention(
                queries, keys: keys * Self.kept(ranks.keys, of: keys), values: values * Self.kept(ranks.values, of: values),
                mask: mask, attention.configuration)
        } else {
            mixed = cached(queries, keys, values, ranks, mask: mask, state: &state)
        }
        let turnedBack: Tensor = mixed.turned(
            by: valueBasis.narrowed(axis: 2, start: 0, length: mixed.dim(3)).mT, perHead: attention.queriesPerHead)
        let means: Tensor = projection.valueMean.repeated(attention.queriesPerHead, axis: 0)
        return attention.outputProjection((turnedBack + means).flattened(from: 2))
    }

    private func cached(
        _ queries: Tensor, _ keys: Tensor, _ values: Tensor, _ ranks: KVRanks, mask: Tensor?, state: inout MixerState?
    ) -> Tensor {
        compressedAttention(
            queries, keys: CompressedKVCache.packed(keys, ranks: ranks.keys),
            values: CompressedKVCache.packed(values, ranks: ranks.values), ranks, mask: mask, state: &state, base.attention.configuration)
    }

    /// 1 for the channels that a head keeps, `[H, D]`.
    private static func kept(_ ranks: [Int], of heads: Tensor) -> Tensor {
        let bounds: Tensor = Tensor(ranks, [ranks.count, 1], device: heads.device)
        return (Tensor.arange(heads.dim(3), device: heads.device) .< bounds).asType(heads.dtype)
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        guard let ranks else { return base.stateBytes(batch: batch, length: length) }
        return ranks.cacheBytes(batch: batch, length: length, base.attention.configuration)
    }

    /// The same attention for inference, with the kept columns of the bases alone. Traps without ranks.
    public func folded() -> FoldedKVAttention {
        guard let ranks else { preconditionFailure("an attention whose cache is not compressed cannot be folded") }
        let attention: MultiHeadAttention = base.attention
        return FoldedKVAttention(attention, projection, ranks)
    }
}

extension KVRanks {
    /// Bytes of a cache of float32 after `length` tokens.
    func cacheBytes(batch: Int, length: Int, _ c: AttentionConfiguration) -> Int {
        batch * min(length, c.window ?? length) * total * DType.float32.byteCount
    }
}

extension Tensor {
    /// Heads `[B, T, HQ, D]` times the bases `[H, D, r]` of the heads of keys and values that they read: `[B, T, HQ, r]`.
    func turned(by bases: Tensor, perHead group: Int) -> Tensor {
        einsum("bthd,hdr->bthr", self, bases.repeated(group, axis: 0))
    }
}

/// Attention in the kept channels: queries `[B, T, HQ, r]`, keys `[B, S, H, r]`, values `[B, S, H, rV]`; the scale is that of whole heads.
func compressedAttention(
    _ queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor?, _ c: AttentionConfiguration
) -> Tensor {
    let visible: Tensor? = mask.map { ($0 .!= 0).reshaped($0.dim(0), 1, 1, $0.dim(1)) }
    return softmaxAttention(
        queries, keys, values, causal: true, window: c.window, mask: visible, scale: 1 / Double(c.headDimensions).squareRoot())
}

/// As above, with keys and values as they are cached, after those of a state, which is continued.
func compressedAttention(
    _ queries: Tensor, keys: Tensor, values: Tensor, _ ranks: KVRanks, mask: Tensor?, state: inout MixerState?,
    _ c: AttentionConfiguration
) -> Tensor {
    let before: KVRing = state?.kv ?? KVRing(capacity: c.window)
    let seen: CompressedKVCache = CompressedKVCache(ranks: ranks, ring: before).extended(keys: keys, values: values, mask: mask)
    guard let allKeys = seen.keys, let allValues = seen.values else { preconditionFailure("an extended cache without keys") }
    let kept: Tensor = queries.narrowed(axis: 3, start: 0, length: allKeys.dim(3))
    let output: Tensor = compressedAttention(kept, keys: allKeys, values: allValues, mask: seen.ring.mask, c)
    if var next = state {
        next.kv = seen.ring.trimmed(compacting: mask != nil)
        next.offset += queries.dim(1)
        state = next.handedOver()
    }
    return output
}
