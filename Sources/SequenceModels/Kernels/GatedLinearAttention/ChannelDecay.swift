import Torch

/// A decay for each key channel. The decay between two steps is a vector, so scores are a matrix product only where it splits into a
/// factor of the later step and one of the earlier; neither may overflow.
///
/// A chunk is halved until the pieces are at most `subchunk` steps long. At each halving the later half attends to the earlier one:
/// with `r` the first step of the later half, `exp(b_i − b_j) = exp(b_i − b_r) · exp(b_r − b_j)` for `i ≥ r > j`, and both exponents
/// are at most 0. Inside the last pieces scores are formed element by element. This is the secondary chunking of Yang et al.
/// (2023, section 4.3) with fewer factors: each step takes part once at each level.
struct ChannelDecay: ChunkDecay {
    let sinceStart: Tensor?
    let untilEnd: Tensor?
    /// b, `[M, C, K]`.
    private let sums: Tensor
    private let subchunk: Int

    /// - Parameters:
    ///   - logDecay: `[M, C, K]` with C from ``chunk(atLeast:gate:)``.
    ///   - subchunk: steps in a piece that is not halved any more, at most.
    init(_ logDecay: Tensor, subchunk: Int) {
        (sums, sinceStart, untilEnd) = cumulativeDecays(logDecay)
        self.subchunk = subchunk
    }

    /// The shortest chunk of at least `length` steps that can be halved down to the gate's subchunk; `length` itself for other gates.
    static func chunk(atLeast length: Int, gate: Gate) -> Int {
        guard case .channels(_, let subchunk) = gate else { return length }
        var (piece, pieces): (Int, Int) = (length, 1)
        while piece > subchunk { (piece, pieces) = ((piece + 1) / 2, pieces * 2) }
        return piece * pieces
    }

    /// Lengths of the halves at each level, and of the last pieces.
    private var levels: (halves: [Int], piece: Int) {
        var (halves, length): ([Int], Int) = ([], sums.dim(1))
        while length > subchunk {
            length /= 2
            halves.append(length)
        }
        return (halves, length)
    }

    func addAttention(q: Tensor, k: Tensor, v: Tensor, to output: Tensor) -> Tensor {
        let (halves, piece): ([Int], Int) = levels
        for half in halves {
            let pairs: HalvedChunks = HalvedChunks(sums, half: half)
            let scores: Tensor = pairs.queries(q).bmm(pairs.keys(k).mT)
            pairs.later(output).add_(scores.bmm(pairs.earlier(v)))
        }
        let pieces: ChunkPieces = ChunkPieces(sums, length: piece)
        pieces.cut(output).add_(pieces.scores(q: q, k: k).bmm(pieces.cut(v)))
        return output
    }

    func gradients(q: Tensor, k: Tensor, v: Tensor, output: Tensor) -> (q: Tensor, k: Tensor, v: Tensor) {
        let (halves, piece): ([Int], Int) = levels
        let gradients: (q: Tensor, k: Tensor, v: Tensor) =
            ChunkPieces(sums, length: piece).gradients(q: q, k: k, v: v, output: output)
        for half in halves {
            let pairs: HalvedChunks = HalvedChunks(sums, half: half)
            let (queries, keys): (Tensor, Tensor) = (pairs.queries(q), pairs.keys(k))
            let laterOutput: Tensor = pairs.later(output)
            let scores: Tensor = laterOutput.bmm(pairs.earlier(v).mT)
            pairs.later(gradients.q).add_(scores.bmm(keys) * pairs.sinceReference)
            pairs.earlier(gradients.k).add_(scores.mT.bmm(queries) * pairs.untilReference)
            pairs.earlier(gradients.v).add_(keys.bmm(queries.mT).bmm(laterOutput))
        }
        return gradients
    }
}

/// Chunks, or pieces of them, seen as pairs of an earlier and a later half.
private struct HalvedChunks {
    let half: Int
    /// `exp(b_i − b_r)` for i in the later half, whose first step is r: `[pairs, half, K]`.
    let sinceReference: Tensor
    /// `exp(b_r − b_j)` for j in the earlier half.
    let untilReference: Tensor

    init(_ sums: Tensor, half: Int) {
        self.half = half
        let pairs: Tensor = Self.paired(sums, half)
        let later: Tensor = pairs.selected(axis: 1, index: 1)
        let reference: Tensor = later.narrowed(axis: 1, start: 0, length: 1)
        sinceReference = (later - reference).exp()
        untilReference = (reference - pairs.selected(axis: 1, index: 0)).exp()
    }

    private static func paired(_ tensor: Tensor, _ half: Int) -> Tensor { tensor.reshaped(-1, 2, half, tensor.dim(2)) }

    /// Views of the halves, `[pairs, half, D]`.
    func earlier(_ tensor: Tensor) -> Tensor { Self.paired(tensor, half).selected(axis: 1, index: 0) }
    func later(_ tensor: Tensor) -> Tensor { Self.paired(tensor, half).selected(axis: 1, index: 1) }

    func queries(_ q: Tensor) -> Tensor { later(q) * sinceReference }
    func keys(_ k: Tensor) -> Tensor { earlier(k) * untilReference }
}

/// The pieces at the end of the halving, `P` of them with `c` steps, whose scores are formed element by element.
private struct ChunkPieces {
    let length: Int
    /// `exp(b_i − b_j)` for j ≤ i, else 0: `[P, c, c, K]`.
    private let between: Tensor

    init(_ sums: Tensor, length: Int) {
        self.length = length
        let pieces: Tensor = sums.reshaped(-1, length, sums.dim(2))
        // Minus infinity at j > i, so that exp gives 0 there whatever the gates are.
        let future: Tensor = Tensor.full([length, length], -Double.infinity, dtype: sums.dtype, device: sums.device)
            .upperTriangle(diagonal: 1).expandedDimensions(axis: 2)
        between = (pieces.expandedDimensions(axis: 2) - pieces.expandedDimensions(axis: 1) + future).exp()
    }

    /// A view as `[P, c, D]`.
    func cut(_ tensor: Tensor) -> Tensor { tensor.reshaped(-1, length, tensor.dim(2)) }

    /// `exp(b_i − b_j) ⊙ k_j`, one `[c, K]` matrix for each step i.
    private func decayed(_ k: Tensor) -> Tensor { (between * cut(k).expandedDimensions(axis: 1)).flattened(from: 0, to: 1) }

    func scores(q: Tensor, k: Tensor) -> Tensor { scores(q: q, decayedKeys: decayed(k)) }

    private func scores(q: Tensor, decayedKeys: Tensor) -> Tensor {
        decayedKeys.bmm(q.reshaped(-1, q.dim(2), 1)).reshaped(-1, length, length)
    }

    func gradients(q: Tensor, k: Tensor, v: Tensor, output: Tensor) -> (q: Tensor, k: Tensor, v: Tensor) {
        let keys: Tensor = decayed(k)
        let scoresGradient: Tensor = cut(output).bmm(cut(v).mT)
        let toQueries: Tensor = scoresGradient.reshaped(-1, 1, length).bmm(keys)
        let decayedQueries: Tensor = between * cut(q).expandedDimensions(axis: 2)
        let toKeys: Tensor = (scoresGradient.expandedDimensions(axis: 3) * decayedQueries).sum(axis: 1)
        let toValues: Tensor = scores(q: q, decayedKeys: keys).mT.bmm(cut(output))
        return (toQueries.reshaped(q.shape), toKeys.reshaped(k.shape), toValues.reshaped(v.shape))
    }
}
