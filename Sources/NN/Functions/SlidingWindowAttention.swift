import Torch

/// Causal attention to the last W positions in O(T W) time and memory: queries in blocks of W, each against its own block of keys and the one
/// before. Queries and keys are the same positions; shapes as in ``softmaxAttention(_:_:_:causal:window:mask:scale:dropout:)``.
func blockwiseWindowAttention(
    _ query: Tensor, _ key: Tensor, _ value: Tensor, window: Int, scale: Double?, dropout: Double
) -> Tensor {
    let (batch, length): (Int, Int) = (query.dim(0), query.dim(1))
    let blocks: Int = (length + window - 1) / window
    let missing: Int = blocks * window - length
    let queries: Tensor = query.padded([(0, 0), (0, 0), (0, missing)]).reshaped([batch * blocks, window] + query.shape[2...])
    let visible: Tensor = windowMask(blocks, window, device: query.device)
        .expandedDimensions(axis: 1).tiled([batch, 1, 1, 1])
    let result: Tensor = softmaxAttention(
        queries, pairedBlocks(key, window, blocks), pairedBlocks(value, window, blocks), mask: visible, scale: scale, dropout: dropout)
    return result.reshaped([batch, blocks * window] + result.shape[2...]).narrowed(axis: 1, start: 0, length: length)
}

/// Each block of W positions behind the one before it (zeros before the first): `[B, T, H, D]` to `[B · blocks, 2W, H, D]`.
private func pairedBlocks(_ x: Tensor, _ window: Int, _ blocks: Int) -> Tensor {
    let padded: Tensor = x.padded([(0, 0), (0, 0), (window, blocks * window - x.dim(1))])
    let pairs: Tensor = padded.windows(axis: 1, size: 2 * window, step: window)
    return pairs.transposed(0, 1, 4, 2, 3).reshaped([x.dim(0) * blocks, 2 * window] + x.shape[2...])
}

/// Which of the 2W keys of its pair of blocks each query of a block sees, `[blocks, W, 2W]`; the first block has none before it.
private func windowMask(_ blocks: Int, _ window: Int, device: Device) -> Tensor {
    let key: Tensor = .arange(2 * window, device: device)
    let age: Tensor = .arange(window, 2 * window, step: 1, dtype: .int64, device: device).expandedDimensions(axis: 1) - key
    let exists: Tensor = (.arange(blocks, device: device).reshaped(blocks, 1, 1) .> 0) .|| (key .>= window)
    return (age .>= 0) .&& (age .< window) .&& exists
}
