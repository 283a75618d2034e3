import Torch

/// One decay for each head and step, or none at all: the decay between two steps is a number, so scores are one product.
struct HeadDecay: ChunkDecay {
    let sinceStart: Tensor?
    let untilEnd: Tensor?
    /// `exp(b_i − b_j)` for j ≤ i, else 0: `[M, C, C]`; nil where nothing decays.
    let between: Tensor?

    /// - Parameter logDecay: `[M, C, 1]`, or nil for no decay.
    init(_ logDecay: Tensor?) {
        guard let logDecay else {
            (sinceStart, untilEnd, between) = (nil, nil, nil)
            return
        }
        let sums: Tensor
        (sums, sinceStart, untilEnd) = cumulativeDecays(logDecay)
        // The future is cut off before exp as well as after: there the exponents are positive.
        between = (sums - sums.mT).lowerTriangle().exp().lowerTriangle()
    }

    /// Scores, or their gradients, limited to the past and decayed.
    func causal(_ scores: Tensor) -> Tensor { between.map { scores * $0 } ?? scores.lowerTriangle() }

    func addAttention(q: Tensor, k: Tensor, v: Tensor, to output: Tensor) -> Tensor {
        output.addingBatchProduct(causal(q.bmm(k.mT)), v)
    }

    func gradients(q: Tensor, k: Tensor, v: Tensor, output: Tensor) -> (q: Tensor, k: Tensor, v: Tensor) {
        let scores: Tensor = causal(output.bmm(v.mT))
        return (scores.bmm(k), scores.mT.bmm(q), causal(q.bmm(k.mT)).mT.bmm(output))
    }
}
