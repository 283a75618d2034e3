import Torch

/// The scores of gated slot attention in chunks of C steps, differentiated through autograd.
///
/// With b the sums of the log-gates from the chunk's first step on, a chunk that is entered with keys S gives
/// `e^{b_i} ⊙ (S q_i) + Σ_{j ≤ i} (q_i · k_j) e^{b_i − b_j} ⊙ s_j`. As in ``ChannelDecay``, the sum over a chunk's own steps halves the chunk
/// again and again: the later half sees the earlier through its first step r, `e^{b_i − b_r} · e^{b_r − b_j}` with exponents of at most 0, and
/// pieces of at most two steps are formed element by element.
struct SlotChunks {
    private let layout: ChunkLayout
    /// `[M, C, K]`.
    private let q: Tensor
    private let k: Tensor
    /// `[M, C, slots]`.
    private let writes: Tensor
    private let sums: Tensor

    init(q: Tensor, k: Tensor, writes: Tensor, gate: Tensor, layout: ChunkLayout) {
        self.layout = layout
        self.q = layout.split(q)
        self.k = layout.split(k)
        self.writes = layout.split(writes)
        sums = layout.split(gate).cumulativeSum(axis: 1)
    }

    /// - Parameter initial: `[B·H, slots, K]`.
    func scores(from initial: Tensor) -> (scores: Tensor, keys: Tensor) {
        let last: Tensor = sums.narrowed(axis: 1, start: layout.chunk - 1, length: 1)
        let updates: Tensor = (writes * (last - sums).exp()).mT.bmm(k)
        let (entering, leaving): (Tensor, Tensor) = layout.scan(
            from: initial, updates: updates, transitions: last.exp().mT
        ) { $2.addingProduct($1, $0) }
        let scores: Tensor = sums.exp() * q.bmm(entering.mT) + Self.inside(q, k, writes, sums)
        return (layout.join(scores, dtype: writes.dtype), layout.shape.publicState(leaving))
    }

    /// `Σ_{j ≤ i} (q_i · k_j) e^{b_i − b_j} ⊙ s_j` for pieces `[P, L, ·]`.
    private static func inside(_ q: Tensor, _ k: Tensor, _ writes: Tensor, _ sums: Tensor) -> Tensor {
        let length: Int = q.dim(1)
        guard length > 2 else { return elementwise(q, k, writes, sums) }
        let half: Int = length / 2
        func pieces(_ x: Tensor) -> Tensor { x.reshaped(-1, half, x.dim(2)) }
        func later(_ x: Tensor) -> Tensor { x.narrowed(axis: 1, start: half, length: half) }
        func earlier(_ x: Tensor) -> Tensor { x.narrowed(axis: 1, start: 0, length: half) }
        let reference: Tensor = sums.narrowed(axis: 1, start: half, length: 1)
        let across: Tensor =
            (later(sums) - reference).exp() * later(q).bmm(earlier(k).mT).bmm(earlier(writes) * (reference - earlier(sums)).exp())
        let own: Tensor = inside(pieces(q), pieces(k), pieces(writes), pieces(sums)).reshaped(writes.shape)
        return concatenated([earlier(own), later(own) + across], axis: 1)
    }

    private static func elementwise(_ q: Tensor, _ k: Tensor, _ writes: Tensor, _ sums: Tensor) -> Tensor {
        let length: Int = q.dim(1)
        let future: Tensor = Tensor.full([length, length], -Double.infinity, dtype: sums.dtype, device: sums.device)
            .upperTriangle(diagonal: 1).expandedDimensions(axis: 2)
        let between: Tensor = (sums.expandedDimensions(axis: 2) - sums.expandedDimensions(axis: 1) + future).exp()
        let weights: Tensor = q.bmm(k.mT).expandedDimensions(axis: 3) * between
        return (weights * writes.expandedDimensions(axis: 1)).sum(axis: 2)
    }
}
