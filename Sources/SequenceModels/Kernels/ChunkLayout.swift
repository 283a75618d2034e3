import Torch

/// Sequences cut into chunks of equal length, so that the work inside all of them is one batched matrix product.
///
/// `[B, T, H, D]` becomes `[M, C, D]` with `M = B·H·n` and `n = ⌈T / C⌉`. The steps that fill the last chunk are zeros, which for
/// every operator here means neither decay nor write, so padding is exact.
struct ChunkLayout {
    let shape: AttentionShape
    /// Steps in a chunk, C.
    let chunk: Int

    /// Chunks in a sequence, n.
    var chunks: Int { (shape.length + chunk - 1) / chunk }

    private var padding: Int { chunks * chunk - shape.length }

    /// `[B, T, H, D]` or `[B, T, H]` (D = 1) as chunks `[M, C, D]` in the accumulator's type.
    func split(_ tensor: Tensor) -> Tensor {
        let headsFirst: Tensor = (tensor.ndim == 3 ? tensor.expandedDimensions(axis: 3) : tensor).swappedAxes(1, 2)
        let full: Tensor = padding == 0 ? headsFirst : headsFirst.padded([(0, 0), (0, padding)])
        return full.asType(shape.accumulator).contiguous().reshaped(shape.rows * chunks, chunk, -1)
    }

    /// Chunks `[M, C, D]` as `[B, T, H, D]`.
    func join(_ tensor: Tensor, dtype: DType) -> Tensor {
        let sequence: Tensor = tensor.reshaped(shape.batch, shape.heads, chunks * chunk, -1)
        let real: Tensor = padding == 0 ? sequence : sequence.narrowed(axis: 2, start: 0, length: shape.length)
        return real.swappedAxes(1, 2).asType(dtype)
    }

    /// The gradient of log-decays from that of their sums b since the sequence's start: `dg_t = Σ_{s ≥ t} db_s`.
    /// - Parameters:
    ///   - sums: db through outputs, chunks `[M, C, D]`.
    ///   - final: db at the last step through the final state, `[B·H, D]`.
    ///   - dtype: of the result, `[B, T, H, D]`.
    func logDecayGradient(sums: Tensor, final: Tensor, dtype: DType) -> Tensor {
        let sequence: Tensor = sums.reshaped(shape.rows, chunks * chunk, -1)
        return join(sequence.reverseCumulativeSum(axis: 1) + final.expandedDimensions(axis: 1), dtype: dtype)
    }

    /// One matrix for each chunk, `[M, …]`, as `n × [B·H, …]` in order of time.
    private func inOrder(_ tensor: Tensor) -> [Tensor] {
        tensor.reshaped([shape.rows, chunks] + tensor.shape.dropFirst()).unbound(axis: 1)
    }

    /// The recurrence `S ← transition(S) + update` over chunks.
    /// - Parameters:
    ///   - initial: `[B·H, K, V]`.
    ///   - updates: `[M, K, V]`.
    ///   - transitions: whatever `advance` takes for one chunk, stacked over `[M, …]`.
    ///   - reversed: from the last chunk to the first, as gradients flow.
    /// - Returns: the state that enters each chunk, `[M, K, V]`, and the one that leaves the last, `[B·H, K, V]`.
    func scan(
        from initial: Tensor, updates: Tensor, transitions: Tensor, reversed: Bool = false,
        advance: (_ state: Tensor, _ transition: Tensor, _ update: Tensor) -> Tensor
    ) -> (entering: Tensor, leaving: Tensor) {
        let (steps, factors): ([Tensor], [Tensor]) = (inOrder(updates), inOrder(transitions))
        var state: Tensor = initial
        var entering: [Tensor] = []
        for index in reversed ? Array(steps.indices.reversed()) : Array(steps.indices) {
            entering.append(state)
            state = advance(state, factors[index], steps[index])
        }
        return (stacked(reversed ? entering.reversed() : entering, axis: 1).flattened(from: 0, to: 1), state)
    }
}
