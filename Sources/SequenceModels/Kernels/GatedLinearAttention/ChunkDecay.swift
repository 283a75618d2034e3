import Torch

/// The decays inside chunks of `C` steps, of which there are `M`, and the attention they define among a chunk's own steps.
///
/// `b` stands for the sum of the log-decays from the chunk's first step on, that step included.
protocol ChunkDecay {
    /// `exp(b_i)`, the decay from before the chunk to step i; nil where nothing decays. `[M, C, K or 1]`.
    var sinceStart: Tensor? { get }
    /// `exp(b_C − b_i)`, the decay from step i to the chunk's end. `[M, C, K or 1]`.
    var untilEnd: Tensor? { get }
    /// `exp(b_C)`, the decay over the chunk, for the rows of a state. `[M, K or 1, 1]`.
    var overall: Tensor? { get }

    /// `o_i = Σ_{j ≤ i} (q_i · exp(b_i − b_j) ⊙ k_j) v_j`, added to `output`. Shapes `[M, C, K]`, and `[M, C, V]` for v and output.
    func addAttention(q: Tensor, k: Tensor, v: Tensor, to output: Tensor) -> Tensor

    /// Gradients of q, k and v through that sum, from the output's.
    func gradients(q: Tensor, k: Tensor, v: Tensor, output: Tensor) -> (q: Tensor, k: Tensor, v: Tensor)
}

extension ChunkDecay {
    var overall: Tensor? { sinceStart.map { $0.narrowed(axis: 1, start: $0.dim(1) - 1, length: 1).mT } }
}

/// The log-decays of chunks `[M, C, D]` summed from each chunk's start: to every step, and from every step to the end.
func cumulativeDecays(_ logDecay: Tensor) -> (sums: Tensor, sinceStart: Tensor, untilEnd: Tensor) {
    let sums: Tensor = logDecay.cumulativeSum(axis: 1)
    let total: Tensor = sums.narrowed(axis: 1, start: sums.dim(1) - 1, length: 1)
    return (sums, sums.exp(), (total - sums).exp())
}

extension Tensor {
    /// Times a weight, where there is one.
    func weighted(by weight: Tensor?) -> Tensor { weight.map { self * $0 } ?? self }
}
