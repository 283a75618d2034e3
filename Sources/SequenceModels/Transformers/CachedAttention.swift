import NN
import Torch

/// Causal softmax attention of new tokens to those of a cache and to themselves.
/// - Parameters:
///   - queries: `[B, T, HQ, K]`, positions applied.
///   - keys: `[B, T, H, K]`, positions applied.
///   - values: `[B, T, H, V]`.
///   - cache: of the tokens before; its capacity is the window.
///   - mask: `[B, T]`, 1 for real tokens.
///   - scale: 1/√K unless given.
/// - Returns: the output `[B, T, HQ, V]` and the cache for the tokens after.
package func cachedAttention(
    _ queries: Tensor, keys: Tensor, values: Tensor, cache: KVRing, mask: Tensor?, scale: Double? = nil
) -> (output: Tensor, cache: KVRing) {
    let seen: KVRing = cache.extended(keys: keys, values: values, mask: mask)
    guard let allKeys = seen.keys, let allValues = seen.values else { preconditionFailure("an extended cache without keys") }
    let visible: Tensor? = seen.mask.map { ($0 .!= 0).reshaped($0.dim(0), 1, 1, $0.dim(1)) }
    let output: Tensor = softmaxAttention(
        queries, allKeys, allValues, causal: true, window: cache.capacity, mask: visible, scale: scale)
    return (output, seen.trimmed(compacting: mask != nil))
}

extension MixerState {
    /// Takes in the cache after `length` more tokens, as it is handed to the next call.
    package mutating func advance(cache: KVRing, by length: Int) {
        kv = cache
        offset += length
        self = handedOver()
    }
}
