import NN
import SequenceModels
import Torch

/// How the gradients of a model's matrices behave while it is trained: how few directions they have, and whether those stay the same. WeLore's
/// observation is that matrices whose gradients settle in a subspace early end as matrices of low rank (arXiv 2407.11239, section 3).
///
///     let probe = GradientSubspaceProbe(rank: 8)
///     probe.record(model, step: step) { model.loss(batch) }
///     print(probe.rankCorrelation(of: .overlap, with: plan))
public final class GradientSubspaceProbe {
    /// One matrix' gradient at one step.
    public struct Snapshot {
        public let step: Int
        /// First singular vectors as columns, `[m, rank]`.
        public let left: Tensor
        /// First singular vectors as rows, `[rank, n]`.
        public let right: Tensor
        /// `‖G‖_F² / ‖G‖₂²`: 1 for a matrix of rank 1, the smaller side where all singular values are equal.
        public let stableRank: Double
        /// G over its norm, `[m, n]`.
        public let direction: Tensor
    }

    /// On which side the subspaces are compared.
    public enum Side: Sendable {
        case left
        case right
    }

    /// A number for each matrix.
    public enum Measure: Sendable, CaseIterable {
        /// Mean ``overlap(of:between:and:side:)`` of neighbouring snapshots, over both sides.
        case overlap
        /// Mean cosine of neighbouring snapshots' gradients.
        case similarity
        /// Mean stable rank.
        case stableRank
    }

    /// Singular vectors that are kept of a gradient; fewer where a matrix has fewer.
    public let rank: Int
    /// By path, in the order of recording. The gradients themselves are kept: as much memory as the matrices, for each snapshot.
    public private(set) var snapshots: [String: [Snapshot]] = [:]

    public init(rank: Int) {
        precondition(rank > 0, "GradientSubspaceProbe: a rank of \(rank)")
        self.rank = rank
    }

    /// Takes a snapshot of every dense matrix that is compressed, see ``WeLore/singularSpectra(_:)``.
    /// - Parameters:
    ///   - model: of which `loss` is.
    ///   - step: of the training.
    ///   - loss: a scalar.
    public func record(_ model: Module, step: Int, loss: () throws -> Tensor) rethrows {
        let layers: [(path: String, weight: Tensor, isTransposed: Bool)] = model.denseMatrices.compactMap { path, layer in
            switch layer {
            case let layer as Linear: (path, layer.weight, false)
            case let layer as TransposedLinear: (path, layer.weight, true)
            default: nil
            }
        }
        let found: [Tensor] = try valueAndGrad(of: layers.map(\.weight), loss).gradients
        for (layer, gradient) in zip(layers, found) { record(layer.path, step: step, layer.isTransposed ? gradient.mT : gradient) }
    }

    /// Takes a snapshot of one matrix' gradient `[m, n]`.
    public func record(_ path: String, step: Int, _ gradient: Tensor) {
        noGrad {
            let matrix: Tensor = decomposable(gradient)
            let (u, s, vh): (Tensor, Tensor, Tensor) = matrix.svd()
            let kept: Int = min(rank, s.count)
            let squares: [Double] = s.asType(.float64).square().array()
            let total: Double = squares.reduce(0, +)
            snapshots[path, default: []].append(
                Snapshot(
                    step: step, left: u.narrowed(axis: 1, start: 0, length: kept).cloned(),
                    right: vh.narrowed(axis: 0, start: 0, length: kept).cloned(),
                    stableRank: total > 0 ? total / squares[0] : 0, direction: total > 0 ? matrix / total.squareRoot() : matrix))
        }
    }

    /// `‖Uᵀ U'‖_F² / r` of the singular vectors at two steps: 1 for the same subspace, about `r / m` for random ones.
    /// - Parameters:
    ///   - path: of the matrix.
    ///   - first: number of a snapshot.
    ///   - second: number of another.
    ///   - side: whose vectors.
    public func overlap(of path: String, between first: Int, and second: Int, side: Side = .left) -> Double {
        let (one, other): (Snapshot, Snapshot) = (snapshot(path, first), snapshot(path, second))
        let product: Tensor = side == .left ? one.left.mT.matmul(other.left) : one.right.matmul(other.right.mT)
        return product.square().sum().item(Double.self) / Double(one.left.dim(1))
    }

    /// Cosine of the angle between the gradients at two snapshots.
    public func similarity(of path: String, between first: Int, and second: Int) -> Double {
        (snapshot(path, first).direction * snapshot(path, second).direction).sum().item(Double.self)
    }

    /// The measure of a matrix over all its snapshots; NaN where it takes two and there is one.
    public func mean(_ measure: Measure, of path: String) -> Double {
        let found: [Snapshot] = snapshots[path] ?? []
        let pairs: Range<Int> = 0..<Swift.max(found.count - 1, 0)
        let values: [Double] =
            switch measure {
            case .overlap:
                pairs.flatMap { pair in
                    [Side.left, .right].map { overlap(of: path, between: pair, and: pair + 1, side: $0) }
                }
            case .similarity: pairs.map { similarity(of: path, between: $0, and: $0 + 1) }
            case .stableRank: found.map(\.stableRank)
            }
        return values.reduce(0, +) / Double(values.count)
    }

    /// Spearman's rank correlation, over the matrices, between a measure and the share of the rank that a plan drops.
    public func rankCorrelation(of measure: Measure, with plan: RankPlan) -> Double {
        let known: [RankPlan.Layer] = plan.layers.filter { snapshots[$0.path] != nil }
        return spearmanCorrelation(known.map { mean(measure, of: $0.path) }, known.map(\.prunedShare))
    }

    private func snapshot(_ path: String, _ number: Int) -> Snapshot {
        guard let found = snapshots[path], found.indices.contains(number) else {
            preconditionFailure("GradientSubspaceProbe: no snapshot \(number) of \(path)")
        }
        return found[number]
    }
}
