import NN
import Torch

/// The attention to the last tokens that a linearised layer keeps beside its recurrence.
struct WindowBranch {
    let rotary: RotaryEmbedding?
    /// Tokens that are seen, the current one included.
    let window: Int

    /// Queries or keys `[B, T, H, K]` with their positions.
    func placed(_ heads: Tensor, from offset: Int) -> Tensor { rotary.map { $0(heads, offset: offset) } ?? heads }

    /// Causal softmax attention of `[B, T, HQ, K]` to `[B, T, H, K]` and the tokens that the state has kept; the state's offset stays.
    func callAsFunction(_ q: Tensor, _ k: Tensor, _ v: Tensor, mask: Tensor?, state: inout MixerState?) -> Tensor {
        let offset: Int = state?.offset ?? 0
        let (output, cache): (Tensor, KVRing) = cachedAttention(
            placed(q, from: offset), keys: placed(k, from: offset), values: v, cache: state?.kv ?? KVRing(capacity: window), mask: mask)
        state?.kv = cache
        return output
    }
}

extension Tensor {
    /// Heads `[B, T, H, D]`, each repeated for the query heads that share it.
    func repeatedHeads(for attention: AttentionConfiguration) -> Tensor {
        let groups: Int = attention.heads / attention.keyValueHeads
        return groups == 1 ? self : repeated(groups, axis: 2)
    }
}
