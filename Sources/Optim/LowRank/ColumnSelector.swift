import Torch

/// Chooses the r columns of a transformed gradient that say most about it.
public struct ColumnSelector: Sendable, Equatable {
    /// What a column is scored by.
    public enum Norm: String, Codable, Sendable, CaseIterable {
        /// The sum of absolute values.
        case l1
        /// The sum of squares, which leaves the least error in the Frobenius norm that any r columns of the basis can leave.
        case l2
    }

    public let rank: Int
    public let norm: Norm

    public init(rank: Int, norm: Norm = .l1) {
        precondition(rank >= 1, "ColumnSelector: a rank of \(rank)")
        self.rank = rank
        self.norm = norm
    }

    /// The chosen columns, rising, int32 `[r]`. Of columns with one score the lower index comes first.
    /// - Parameter transformed: S = G Q, `[m, n]`, n at least r.
    public func callAsFunction(_ transformed: Tensor) -> Tensor {
        precondition(transformed.dim(1) >= rank, "ColumnSelector: \(rank) columns of \(transformed.shape)")
        let scores: Tensor = (norm == .l1 ? transformed.abs() : transformed.square()).sum(axis: 0)
        // The sort is stable, so that ties are decided alike everywhere.
        let best: Tensor = scores.argSort(descending: true).narrowed(axis: 0, start: 0, length: rank)
        return best.sorted().values.asType(.int32)
    }
}
