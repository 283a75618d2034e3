import NN
import Torch

/// A trained softmax attention imitated by normalised linear attention with learned feature maps, beside attention to a short window: the
/// two-stage linearisation of Zhang et al. (2024, *LoLCATs: On Low-Rank Linearizing of Large Language Models*) in a reduced form, as a baseline of
/// ``LigerAttention``. The two branches are averaged instead of sharing one denominator.
///
/// For each head `φ(x) = [softmax(x W), softmax(−x W)]`, of queries and keys with rotary positions; W starts as the identity.
///
/// Names in checkpoints: `q_proj`, `k_proj`, `v_proj`, `o_proj`, `feature_map_q`, `feature_map_k`.
public final class LearnedFeatureAttention: Module, SequenceMixer {
    @ModuleInfo(key: "q_proj") public var queryProjection: Linear
    @ModuleInfo(key: "k_proj") public var keyProjection: Linear
    @ModuleInfo(key: "v_proj") public var valueProjection: Linear
    @ModuleInfo(key: "o_proj") public var outputProjection: Linear
    /// `[HQ, K, K]`
    @ParameterInfo(key: "feature_map_q") public var queryMap: Tensor
    /// `[H, K, K]`
    @ParameterInfo(key: "feature_map_k") public var keyMap: Tensor
    /// Heads, positions and sizes of the attention that this layer was made from.
    public let attention: AttentionConfiguration
    /// Share of the window attention in the output.
    public let mix: Double
    private let branch: WindowBranch

    public var isCausal: Bool { true }

    /// A layer that shares the projections of an attention. Traps for one that is not causal.
    public init(_ source: MultiHeadAttention, window: Int, mix: Double = 0.5) {
        precondition(source.configuration.causal, "LearnedFeatureAttention: the attention is not causal")
        let c: AttentionConfiguration = source.configuration
        attention = c
        self.mix = mix
        branch = WindowBranch(rotary: source.rotary, window: window)
        super.init()
        queryProjection = source.queryProjection
        keyProjection = source.keyProjection
        valueProjection = source.valueProjection
        outputProjection = source.outputProjection
        let weight: Tensor = source.keyProjection.weight
        let identity: Tensor = .eye(c.headDimensions, dtype: weight.dtype, device: weight.device)
        queryMap = identity.expandedDimensions(axis: 0).tiled([c.heads, 1, 1])
        keyMap = identity.expandedDimensions(axis: 0).tiled([c.keyValueHeads, 1, 1])
    }

    private var features: Int { 2 * attention.headDimensions }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let type: DType = dtype == .float64 ? .float64 : .float32
        func zeros(_ shape: [Int]) -> Tensor { .zeros([batch] + shape, dtype: type, device: device) }
        return MixerState(
            recurrent: ["S": zeros([attention.heads, features, attention.headDimensions]), "z": zeros([1, attention.heads, features])],
            kv: KVRing(capacity: branch.window))
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let offset: Int = state?.offset ?? 0
        let q: Tensor = queryProjection(x).splitHeads(attention.heads)
        let k: Tensor = keyProjection(x).splitHeads(attention.keyValueHeads)
        let v: Tensor = valueProjection(x).splitHeads(attention.keyValueHeads)
        let (linear, memory, normalizer): (Tensor, Tensor, Tensor) = normalizedLinearAttention(
            q: mapped(branch.placed(q, from: offset), queryMap),
            k: mapped(branch.placed(k, from: offset), keyMap).repeatedHeads(for: attention), v: v.repeatedHeads(for: attention), scale: 1,
            initialState: state?.memory, initialNormalizer: state?.recurrent["z"], mask: mask, mode: mode)
        var next: MixerState? = state
        let window: Tensor = branch(q, k, v, mask: mask, state: &next)
        next?.recurrent["z"] = normalizer
        next?.advance(memory: memory, by: x.dim(1))
        state = next
        return outputProjection((linear * (1 - mix) + window * mix).joinedHeads())
    }

    /// `[B, T, H, K]` to `[B, T, H, 2K]`.
    private func mapped(_ heads: Tensor, _ map: Tensor) -> Tensor {
        let logits: Tensor = einsum("bthk,hkf->bthf", heads, map)
        return concatenated([logits.softmax(), (-logits).softmax()], axis: 3)
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let recurrent: Int = attention.heads * features * (attention.headDimensions + 1)
        let tokens: Int = min(length, branch.window)
        return float32Bytes(batch * (recurrent + tokens * 2 * attention.keyValueHeads * attention.headDimensions))
    }
}
