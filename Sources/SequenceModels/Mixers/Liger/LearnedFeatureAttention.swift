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
    @ModuleInfo(key: "q_proj") public var queryProjection: any LinearMap
    @ModuleInfo(key: "k_proj") public var keyProjection: any LinearMap
    @ModuleInfo(key: "v_proj") public var valueProjection: any LinearMap
    @ModuleInfo(key: "o_proj") public var outputProjection: any LinearMap
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
        let weight: Tensor = source.keyProjection.denseWeight()
        let identity: Tensor = .eye(c.headDimensions, dtype: weight.dtype, device: weight.device)
        queryMap = identity.expandedDimensions(axis: 0).tiled([c.heads, 1, 1])
        keyMap = identity.expandedDimensions(axis: 0).tiled([c.keyValueHeads, 1, 1])
    }

    private var features: Int { 2 * attention.headDimensions }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        let type: DType = dtype.accumulator
        func zeros(_ shape: [Int]) -> Tensor { .zeros([batch] + shape, dtype: type, device: device) }
        return MixerState(
            recurrent: [
                "S": zeros([attention.heads, features, attention.headDimensions]), "z": zeros([1, attention.heads, features]),
                "places": zeros([]),
            ],
            kv: KVRing(capacity: branch.window))
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let places: Tensor = self.places(of: x, mask: mask, after: state)
        let q: Tensor = queryProjection(x).splitHeads(attention.heads)
        let k: Tensor = keyProjection(x).splitHeads(attention.keyValueHeads)
        let v: Tensor = valueProjection(x).splitHeads(attention.keyValueHeads)
        let (linear, memory, normalizer): (Tensor, Tensor, Tensor) = normalizedLinearAttention(
            q: mapped(q, queryMap, at: places), k: mapped(k, keyMap, at: places).repeatedHeads(for: attention),
            v: v.repeatedHeads(for: attention), scale: 1,
            initialState: state?.memory, initialNormalizer: state?.recurrent["z"], mask: mask, mode: mode)
        var next: MixerState? = state
        let window: Tensor = branch(q, k, v, mask: mask, state: &next)
        next?.recurrent["z"] = normalizer
        next?.recurrent["places"] = places.selected(axis: 1, index: x.dim(1) - 1) + 1
        next?.advance(memory: memory, by: x.dim(1))
        state = next
        return outputProjection((linear * (1 - mix) + window * mix).joinedHeads())
    }

    /// Positions `[B, T]`, masked tokens passed over: a feature of a turned key depends on where it stands, not only on how far from the query.
    private func places(of x: Tensor, mask: Tensor?, after state: MixerState?) -> Tensor {
        let real: Tensor = mask ?? .ones([x.dim(0), x.dim(1)], device: x.device)
        let counts: Tensor = real.asType(x.dtype.accumulator).cumulativeSum(axis: 1)
        return (state?.recurrent["places"].map { counts + $0.expandedDimensions(axis: 1) } ?? counts) - 1
    }

    /// `[B, T, H, K]` to `[B, T, H, 2K]`.
    private func mapped(_ heads: Tensor, _ map: Tensor, at places: Tensor) -> Tensor {
        let heads: Tensor = branch.rotary.map { $0(heads, positions: places) } ?? heads
        let logits: Tensor = einsum("bthk,hkf->bthf", heads, map)
        return concatenated([logits.softmax(), (-logits).softmax()], axis: 3)
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let recurrent: Int = attention.heads * features * (attention.headDimensions + 1) + 1
        let tokens: Int = min(length, branch.window)
        return float32Bytes(batch * (recurrent + tokens * 2 * attention.keyValueHeads * attention.headDimensions))
    }
}
