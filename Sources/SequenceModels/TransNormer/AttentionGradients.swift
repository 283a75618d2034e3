import Torch

/// How the weights of attention answer to its scores: why a denominator makes gradients explode and a norm does not.
///
/// Source: arXiv 2210.10340, section 3.1.
public enum AttentionGradients {
    /// `∂p_j / ∂s_k = (δ_jk − p_j) / Σ_l s_l` for `p = s / Σ s`, the scaling of linear attention: without bound as the sum nears 0.
    /// Scores `[..., N]` to `[..., N, N]`.
    public static func ofSumScaling(_ scores: Tensor) -> Tensor {
        let sum: Tensor = scores.sum(axis: -1, keepDims: true).expandedDimensions(axis: -1)
        return (identity(like: scores) - scores.expandedDimensions(axis: -1) / sum) / sum
    }

    /// `∂p_j / ∂s_k = p_j (δ_jk − p_k)` for `p = softmax(s)`: at most ¼ in size. Scores `[..., N]` to `[..., N, N]`.
    public static func ofSoftmax(_ scores: Tensor) -> Tensor {
        let p: Tensor = scores.softmax()
        return p.expandedDimensions(axis: -1) * (identity(like: scores) - p.expandedDimensions(axis: -2))
    }

    /// `∂y_c / ∂s_k` for `y = o / (‖o‖ / √D + eps)` with `o = Σ_k s_k v_k`, the output of ``NormAttention`` before its projection.
    /// - Parameters:
    ///   - scores: `[..., N]`.
    ///   - values: `[..., N, D]`.
    ///   - eps: of the norm.
    /// - Returns: `[..., D, N]`.
    public static func ofNorm(_ scores: Tensor, values: Tensor, eps: Double = 1e-8) -> Tensor {
        let o: Tensor = scores.expandedDimensions(axis: -2).matmul(values).squeezed(axis: -2)
        let root: Tensor = o.norm(axes: [-1], keepDims: true) / Double(values.dim(-1)).squareRoot()
        let rootGradient: Tensor =
            values.matmul(o.expandedDimensions(axis: -1)).mT / (root * Double(values.dim(-1))).expandedDimensions(axis: -1)
        let divisor: Tensor = (root + eps).expandedDimensions(axis: -1)
        return values.mT / divisor - o.expandedDimensions(axis: -1) * rootGradient / divisor.square()
    }

    private static func identity(like scores: Tensor) -> Tensor {
        .eye(scores.dim(-1), dtype: scores.dtype, device: scores.device)
    }
}
