import Torch

/// Softmax attention over heads, `softmax(q kᵀ · scale + mask) v`, with time before the heads.
///
/// Query head j reads key and value head ⌊j H / HQ⌋, so that several query heads may share one (grouped queries). The queries are the
/// last T of the S positions: with `causal`, query i sees the keys up to position S − T + i, and with a `window` of W the last W of
/// those, its own position included; whole sequences then cost O(T W), unless they have a mask. A query that sees no key at all gives zeros.
/// - Parameters:
///   - query: `[B, T, HQ, K]`.
///   - key: `[B, S, H, K]`.
///   - value: `[B, S, H, V]`.
///   - window: W; needs `causal`. Nil is no limit.
///   - mask: broadcasts to `[B, HQ, T, S]`; `.bool` (true sees) or numbers that are added to the scores.
///   - scale: `1/√K` unless given.
///   - dropout: probability of dropping a weight.
/// - Returns: `[B, T, HQ, V]`.
public func softmaxAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, causal: Bool = false, window: Int? = nil, mask: Tensor? = nil, scale: Double? = nil,
    dropout: Double = 0
) -> Tensor {
    checkHeads(query, key, value)
    precondition(window == nil || causal, "a sliding window needs causal attention")
    precondition(window ?? 1 > 0, "a sliding window of \(window ?? 0) keys")
    let (queries, keys): (Int, Int) = (query.dim(1), key.dim(1))
    let limit: Int? = window.flatMap { $0 < keys ? $0 : nil }
    precondition(!causal || queries <= keys, "causal attention of \(queries) queries to \(keys) keys")
    if let limit, queries == keys, queries > 2 * limit, mask == nil {
        return blockwiseWindowAttention(query, key, value, window: limit, scale: scale, dropout: dropout)
    }
    // libtorch's own causal flag aligns queries with the first keys and does not go with a mask.
    let plain: Bool = causal && queries == keys && limit == nil && mask == nil && queries > 1
    let visible: Tensor? = causal && !plain ? causalMask(queries, keys, window: limit, device: query.device) : nil
    let result: Tensor = scaledDotProductAttention(
        query: query.swappedAxes(1, 2), key: key.swappedAxes(1, 2), value: value.swappedAxes(1, 2),
        mask: combined(visible, mask), causal: plain, scale: scale, groupedHeads: query.dim(2) != key.dim(2), dropout: dropout)
    return result.swappedAxes(1, 2)
}

/// Which of S keys each of the last T positions sees, `[T, S]` (bool): itself and the earlier ones, with a `window` the last W of them.
/// Nil where all see all.
public func causalMask(_ queries: Int, _ keys: Int, window: Int? = nil, device: Device = .default) -> Tensor? {
    if queries == 1, window ?? keys >= keys { return nil }
    let first: Int = keys - queries
    let query: Tensor = .arange(first, keys, step: 1, dtype: .int64, device: device).expandedDimensions(axis: 1)
    let age: Tensor = query - .arange(keys, device: device)
    guard let window else { return age .>= 0 }
    return (age .>= 0) .&& (age .< window)
}

private func combined(_ visible: Tensor?, _ mask: Tensor?) -> Tensor? {
    guard let visible, let mask else { return visible ?? mask }
    if mask.dtype == .bool { return mask .&& visible }
    return which(visible, mask, -Double.infinity)
}

private func checkHeads(_ query: Tensor, _ key: Tensor, _ value: Tensor) {
    precondition(
        query.ndim == 4 && key.ndim == 4 && value.ndim == 4,
        "attention needs [B, T, H, D]; shapes are \(query.shape), \(key.shape), \(value.shape)")
    precondition(
        key.dim(2) == value.dim(2) && query.dim(2) % key.dim(2) == 0,
        "\(query.dim(2)) query heads cannot share \(key.dim(2)) key and \(value.dim(2)) value heads")
}
