import Torch

/// Chooses the orthonormal directions that gradients are projected on, and says how they are stored.
///
/// A projector works on the right side: a matrix G `[m, n]` becomes `G B` with B `[n, r]`. For the left side it is given `Gᵀ`.
public protocol LowRankProjector: Sendable {
    /// What is stored of a basis before one was chosen: zeros of its shape and dtype.
    func emptyBasis(of n: Int, rank: Int, like matrix: Tensor) -> Tensor

    /// A basis for a matrix, as it is stored.
    /// - Parameters:
    ///   - matrix: the gradient, `[m, n]`.
    ///   - rank: r, at most n.
    ///   - previous: the stored basis that it takes the place of; nil at the first.
    ///   - seed: for what is random; the same gives the same.
    func basis(for matrix: Tensor, rank: Int, previous: Tensor?, seed: UInt64) -> Tensor

    /// The directions of a stored basis as columns, B `[n, r]`, in the dtype of `matrix`.
    func columns(_ stored: Tensor, of n: Int, like matrix: Tensor) -> Tensor
}

extension LowRankProjector {
    public func emptyBasis(of n: Int, rank: Int, like matrix: Tensor) -> Tensor {
        .zeros([n, rank], dtype: matrix.dtype, device: matrix.device)
    }

    public func columns(_ stored: Tensor, of n: Int, like matrix: Tensor) -> Tensor { stored }
}

/// The leading right singular vectors, as GaLore has them: the least error that any r directions leave, at the price of a decomposition.
public struct SVDProjector: LowRankProjector {
    public init() {}

    public func basis(for matrix: Tensor, rank: Int, previous: Tensor?, seed: UInt64) -> Tensor {
        matrix.svd().vh.narrowed(axis: 0, start: 0, length: rank).transposed().contiguous()
    }
}

/// The columns of the cosine transform that the matrix is most aligned with. Only their numbers are stored, 4 bytes for each direction.
public struct DCTProjector: LowRankProjector {
    public let norm: ColumnSelector.Norm
    public let method: DCTMethod

    public init(norm: ColumnSelector.Norm = .l1, method: DCTMethod = .matmul) {
        self.norm = norm
        self.method = method
    }

    public func emptyBasis(of n: Int, rank: Int, like matrix: Tensor) -> Tensor { .zeros([rank], dtype: .int32, device: matrix.device) }

    public func basis(for matrix: Tensor, rank: Int, previous: Tensor?, seed: UInt64) -> Tensor {
        ColumnSelector(rank: rank, norm: norm)(dct2(matrix, method: method))
    }

    public func columns(_ stored: Tensor, of n: Int, like matrix: Tensor) -> Tensor {
        DCTBasis.shared(n, dtype: matrix.dtype, device: matrix.device).matrix.indexSelect(axis: 0, indices: stored).transposed()
    }
}

/// Random directions, the same for the same seed: the projection that looks at nothing.
public struct RandomOrthogonalProjector: LowRankProjector {
    public init() {}

    public func basis(for matrix: Tensor, rank: Int, previous: Tensor?, seed: UInt64) -> Tensor {
        Tensor.normal(
            [matrix.dim(1), rank], dtype: matrix.dtype, device: matrix.device,
            generator: RandomGenerator(seed: seed, device: matrix.device)
        ).qr().q
    }
}

/// One step of block power iteration from the last basis, `QR(Gᵀ G B)`: follows the singular vectors for the price of two products and a
/// small QR (as LDAdam has it). The first basis is iterated from random directions.
public struct BlockPowerProjector: LowRankProjector {
    public init() {}

    public func basis(for matrix: Tensor, rank: Int, previous: Tensor?, seed: UInt64) -> Tensor {
        let start: Tensor = previous ?? RandomOrthogonalProjector().basis(for: matrix, rank: rank, previous: nil, seed: seed)
        return matrix.transposed().matmul(matrix.matmul(start)).qr().q
    }
}

extension LowRankProjector where Self == SVDProjector {
    public static var svd: SVDProjector { SVDProjector() }
}

extension LowRankProjector where Self == DCTProjector {
    public static var dct: DCTProjector { DCTProjector() }
}

extension LowRankProjector where Self == RandomOrthogonalProjector {
    public static var randomOrthogonal: RandomOrthogonalProjector { RandomOrthogonalProjector() }
}

extension LowRankProjector where Self == BlockPowerProjector {
    public static var blockPower: BlockPowerProjector { BlockPowerProjector() }
}

/// The choice of a ``LowRankProjector`` in a configuration.
public enum ProjectorKind: String, Codable, Sendable, CaseIterable {
    case svd, dct, randomOrthogonal, blockPower

    public var projector: any LowRankProjector {
        switch self {
        case .svd: .svd
        case .dct: .dct
        case .randomOrthogonal: .randomOrthogonal
        case .blockPower: .blockPower
        }
    }
}
