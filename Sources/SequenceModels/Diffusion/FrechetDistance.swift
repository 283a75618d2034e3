import Torch

/// The Fréchet distance between two sets of features, taken as normals: `‖μ₁ − μ₂‖² + Tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½)`.
///
/// It grows with fewer samples, so only sets of the same size compare.
///
/// Source: Heusel et al., 2017 (arXiv 1706.08500), equation 6.
/// - Parameters:
///   - first: `[N, D]`, N at least 2.
///   - second: `[M, D]`, M at least 2.
public func frechetDistance(_ first: Tensor, _ second: Tensor) -> Double {
    precondition(
        first.ndim == 2 && second.ndim == 2 && first.dim(1) == second.dim(1) && first.dim(0) > 1 && second.dim(0) > 1,
        "frechetDistance needs [N, D] and [M, D] with two rows or more; shapes are \(first.shape), \(second.shape)")
    return noGrad {
        let (left, right): (FeatureMoments, FeatureMoments) = (FeatureMoments(first), FeatureMoments(second))
        let root: Tensor = squareRoot(left.covariance)
        let cross: Tensor = root.matmul(right.covariance).matmul(root)
        let overlap: Tensor = ((cross + cross.mT) * 0.5).eigenvaluesHermitian().clamped(0, nil).sqrt().sum()
        let distance: Tensor = (left.mean - right.mean).square().sum()
        return (distance + left.covariance.trace() + right.covariance.trace() - overlap * 2).item(Double.self)
    }
}

/// Mean `[D]` and covariance `[D, D]` of rows, in float64.
private struct FeatureMoments {
    let mean: Tensor
    let covariance: Tensor

    init(_ features: Tensor) {
        let values: Tensor = features.asType(.float64)
        mean = values.mean(axis: 0)
        let centred: Tensor = values - mean
        covariance = centred.mT.matmul(centred) / Double(values.dim(0) - 1)
    }
}

/// The symmetric square root of a positive semi-definite matrix.
private func squareRoot(_ matrix: Tensor) -> Tensor {
    let (values, vectors): (Tensor, Tensor) = matrix.eigh()
    return (vectors * values.clamped(0, nil).sqrt()).matmul(vectors.mT)
}
