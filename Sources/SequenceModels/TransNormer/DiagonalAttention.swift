import Torch

/// What ``diagonalAttention(q:k:v:block:activation:scale:)`` makes of a block's scores.
public enum BlockActivation: String, Codable, Sendable, CaseIterable {
    /// `relu(s)`; hidden steps count 0.
    case relu
    /// `softmax(s)` over the steps that are seen.
    case softmax

    /// Weights from scores, over the last axis; `visible` broadcasts to the scores.
    func callAsFunction(_ scores: Tensor, visible: Tensor) -> Tensor {
        switch self {
        case .relu: scores.relu() * visible.asType(scores.dtype)
        case .softmax: scores.maskedFill(visible.logicalNot(), -1e8).softmax()
        }
    }
}

/// Causal attention inside blocks that do not overlap: step i reads the steps j ≤ i of its own block, so that T steps cost O(T w).
///
/// Source: arXiv 2210.10340, section 4.2 (DiagAttention).
/// - Parameters:
///   - q: queries `[B, T, H, K]`.
///   - k: keys `[B, T, H, K]`.
///   - v: values `[B, T, H, V]`.
///   - block: w; the last block may be shorter.
///   - activation: of the scores.
///   - scale: factor on `q`, K^-1/2 unless given.
/// - Returns: `[B, T, H, V]`.
public func diagonalAttention(
    q: Tensor, k: Tensor, v: Tensor, block: Int, activation: BlockActivation, scale: Double? = nil
) -> Tensor {
    let shape: AttentionShape = AttentionShape("diagonalAttention", q: q, k: k, v: v)
    precondition(block > 0, "diagonalAttention: a block needs at least one step, not \(block)")
    let blocks: Int = (shape.length + block - 1) / block
    // Zeros behind the last step are later than every step, hence hidden from it.
    func split(_ x: Tensor) -> Tensor {
        x.padded([(0, 0), (0, 0), (0, blocks * block - shape.length)]).reshaped([shape.batch * blocks, block] + x.shape[2...]).swappedAxes(
            1, 2)
    }
    let scores: Tensor = (split(q) * shape.scale(scale)).matmul(split(k).mT)
    let step: Tensor = .arange(block, device: shape.device)
    let weights: Tensor = activation(scores, visible: step.expandedDimensions(axis: 1) .>= step)
    let output: Tensor = weights.matmul(split(v)).swappedAxes(1, 2)
    return output.reshaped([shape.batch, blocks * block] + v.shape[2...]).narrowed(axis: 1, start: 0, length: shape.length)
}
