import Torch

// Losses of vectors against vectors. Those of numbers and classes (crossEntropy, meanSquaredError, …) are functions of Torch.

/// `1 - cos(left, right)` where the target is 1, `max(0, cos(left, right) - margin)` where it is -1.
/// - Parameters:
///   - left: `[N, D]`, as `right`.
///   - right: `[N, D]`.
///   - targets: `[N]` of 1 and -1.
///   - margin: cosine up to which different pairs cost nothing.
///   - reduction: of the N losses.
public func cosineEmbeddingLoss(
    _ left: Tensor, _ right: Tensor, _ targets: Tensor, margin: Double = 0, reduction: LossReduction = .mean
) -> Tensor {
    cosineEmbeddingOp(left, right, targets, margin, reduction)
}

/// `1 - cos(left, right)` along the last axis.
public func cosineDistance(_ left: Tensor, _ right: Tensor, reduction: LossReduction = .mean) -> Tensor {
    reduced(1 - cosineSimilarity(left, right), reduction)
}

/// `max(0, ‖anchor - positive‖ - ‖anchor - negative‖ + margin)` for rows `[N, D]`, by the norm of the given order (arXiv 1503.03832).
public func tripletMarginLoss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: Double = 1, order: Double = 2, reduction: LossReduction = .mean
) -> Tensor {
    tripletMarginOp(anchor, positive, negative, margin, order, 1e-6, false, reduction)
}

/// Pairs of points `[N, D]` (Hadsell, Chopra and LeCun, 2006): squared distance where `same` is 1, `max(0, margin - distance)²` where it is 0.
public func contrastiveLoss(
    _ left: Tensor, _ right: Tensor, same: Tensor, margin: Double = 1, reduction: LossReduction = .mean
) -> Tensor {
    let squared: Tensor = (left - right).square().sum(axis: -1)
    // The gradient of a root at 0 is infinite, and equal points of different classes have to be driven apart.
    let distance: Tensor = (squared + 1e-12).sqrt()
    let alike: Tensor = same.asType(squared.dtype)
    return reduced(alike * squared + (1 - alike) * (margin - distance).relu().square(), reduction)
}

/// InfoNCE (arXiv 1807.03748): each query's cross entropy of finding its own key among all keys by cosine similarity.
/// - Parameters:
///   - queries: `[N, D]`, of any length; normalised here.
///   - keys: `[M, D]` with M at least N; row i is the positive of query i and a negative of the others.
///   - temperature: divides the similarities.
///   - symmetric: the mean with the same loss from keys to queries, as in CLIP (arXiv 2103.00020); needs M = N.
public func infoNCELoss(_ queries: Tensor, _ keys: Tensor, temperature: Double = 0.07, symmetric: Bool = false) -> Tensor {
    precondition(
        queries.ndim == 2 && keys.ndim == 2 && (symmetric ? keys.dim(0) == queries.dim(0) : keys.dim(0) >= queries.dim(0)),
        "InfoNCE of queries \(queries.shape) and keys \(keys.shape)")
    let scores: Tensor = l2Unit(queries).matmul(l2Unit(keys).mT) / temperature
    let own: Tensor = .arange(queries.dim(0), device: queries.device)
    let forward: Tensor = crossEntropy(scores, own)
    return symmetric ? (forward + crossEntropy(scores.mT, own)) / 2 : forward
}

private func l2Unit(_ x: Tensor) -> Tensor { x.l2Normalized(eps: 1e-12) }

private func reduced(_ losses: Tensor, _ reduction: LossReduction) -> Tensor {
    switch reduction {
    case .none: losses
    case .mean: losses.mean()
    case .sum: losses.sum()
    }
}

private let cosineEmbeddingOp: Operator = Operator("cosine_embedding_loss")
private let tripletMarginOp: Operator = Operator("triplet_margin_loss")
