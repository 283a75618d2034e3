import Torch

/// How a stored tensor is divided among the ranks that share a model.
public struct ShardSpec: Codable, Sendable, Equatable {
    /// The axis of the stored tensor that is cut; nil where every rank holds all of it.
    public var axis: Int?
    /// Blocks that are fused along the axis, such as queries, keys and values: each of them is cut, and a rank holds a piece of each.
    public var parts: Int
    /// Whether a rank holds the transpose of its piece (a layer stored `[in, out]` that is computed by one that holds `[out, in]`).
    public var isTransposed: Bool

    public init(axis: Int?, parts: Int = 1, isTransposed: Bool = false) {
        self.axis = axis
        self.parts = parts
        self.isTransposed = isTransposed
    }

    /// Every rank holds the whole tensor.
    public static let replicated: ShardSpec = ShardSpec(axis: nil)

    /// The piece of a rank, contiguous and without a graph.
    /// - Parameters:
    ///   - full: the stored tensor.
    ///   - rank: whose piece.
    ///   - shards: number of ranks; has to divide the axis. Traps where it does not.
    public func piece(of full: Tensor, rank: Int, shards: Int) -> Tensor {
        noGrad {
            guard let axis else { return (isTransposed ? full.mT : full).detached().cloned().contiguous() }
            let size: Int = full.dim(axis) / (parts * shards)
            precondition(size * parts * shards == full.dim(axis), "\(shards) ranks cannot share axis \(axis) of \(full.shape)")
            let pieces: [Tensor] = (0..<parts).map { full.narrowed(axis: axis, start: ($0 * shards + rank) * size, length: size) }
            let joined: Tensor = concatenated(pieces, axis: axis)
            return (isTransposed ? joined.mT : joined).detached().contiguous()
        }
    }

    /// Whether a rank's piece can have this shape.
    func fits(_ piece: [Int]) -> Bool {
        guard parts > 0, !isTransposed || piece.count == 2 else { return false }
        guard let axis else { return true }
        let stored: [Int] = isTransposed ? piece.reversed() : piece
        return stored.indices.contains(axis) && stored[axis] % parts == 0
    }

    /// The stored tensor again.
    /// - Parameter pieces: of all ranks, in their order.
    public func assembled(_ pieces: [Tensor]) -> Tensor {
        let stored: [Tensor] = isTransposed ? pieces.map(\.mT) : pieces
        guard let axis else { return stored[0].contiguous() }
        return Self.joined(stored, axis: axis, parts: parts)
    }

    /// Pieces along an axis joined so that the fused blocks are whole again.
    static func joined(_ pieces: [Tensor], axis: Int, parts: Int) -> Tensor {
        let size: Int = pieces[0].dim(axis) / parts
        let blocks: [Tensor] = (0..<parts).flatMap { part in pieces.map { $0.narrowed(axis: axis, start: part * size, length: size) } }
        return concatenated(blocks, axis: axis)
    }
}
