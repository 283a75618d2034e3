import Synchronization
import Torch

/// The orthogonal cosine transform (DCT-II) of one length n, with what its two ways of computing need.
///
/// Row i of ``matrix`` is the basis vector `sqrt(2/n) · cos(π i (2j + 1) / (2n))`, row 0 divided by `sqrt(2)`. A basis is shared by all who ask for
/// its length, dtype and device, and is never written to.
public final class DCTBasis: @unchecked Sendable {
    /// D `[n, n]`, the basis vectors as rows: `D Dᵀ = 1`.
    public let matrix: Tensor
    /// `Q = Dᵀ` `[n, n]`, the basis vectors as columns; the same storage.
    public let columns: Tensor
    /// Positions of an input in Makhoul's order: even ones rising, then odd ones falling.
    private let order: Tensor
    /// Real and imaginary part of the factors after the Fourier transform, `[n / 2 + 1]` each.
    private let twiddles: (cosine: Tensor, sine: Tensor)

    private init(_ n: Int, _ dtype: DType, _ device: Device) {
        let index: Tensor = .arange(n, dtype: .float64, device: device)
        let scale: Tensor = concatenated([
            .full([1], (1 / Double(n)).squareRoot(), dtype: .float64, device: device),
            .full([n - 1], (2 / Double(n)).squareRoot(), dtype: .float64, device: device),
        ])
        let angles: Tensor = index.expandedDimensions(axis: 1) * (index * 2 + 1) * (Double.pi / Double(2 * n))
        matrix = (angles.cos() * scale.expandedDimensions(axis: 1)).asType(dtype)
        columns = matrix.transposed()
        let even: [Int] = Array(stride(from: 0, to: n, by: 2))
        let odd: [Int] = stride(from: 1, to: n, by: 2).reversed()
        order = Tensor(even + odd, dtype: .int64, device: device)
        let half: Tensor = index.narrowed(axis: 0, start: 0, length: n / 2 + 1) * (Double.pi / Double(2 * n))
        let halfScale: Tensor = scale.narrowed(axis: 0, start: 0, length: n / 2 + 1)
        twiddles = ((half.cos() * halfScale).asType(dtype), (half.sin() * halfScale).asType(dtype))
    }

    /// The basis of length `n`, made at the first call.
    /// - Parameters:
    ///   - n: at least 1.
    ///   - dtype: float32 or float64.
    ///   - device: where the matrix lives.
    public static func shared(_ n: Int, dtype: DType = .float32, device: Device = .default) -> DCTBasis {
        precondition(n >= 1 && (dtype == .float32 || dtype == .float64), "DCTBasis: length \(n) in \(dtype)")
        return made.withLock { bases in
            let key: Key = Key(n: n, dtype: dtype, device: device.description)
            if let found = bases[key] { return found }
            let basis: DCTBasis = noGrad { DCTBasis(n, dtype, device) }
            bases[key] = basis
            return basis
        }
    }

    private struct Key: Hashable {
        let n: Int
        let dtype: DType
        let device: String
    }

    private static let made: Mutex<[Key: DCTBasis]> = Mutex([:])

    /// `x Dᵀ` by a Fourier transform of length n (Makhoul 1980): with `V` the transform of x in the order above, coefficient k is the real part of
    /// `e^(-iπk / 2n) V_k`, and n - k minus its imaginary part, since x is real.
    fileprivate func makhoul(_ x: Tensor) -> Tensor {
        let n: Int = matrix.dim(0)
        let spectrum: Tensor = x.indexSelect(axis: -1, indices: order).rfft()
        let real: Tensor = spectrum.real(), imaginary: Tensor = spectrum.imaginary()
        let low: Tensor = real * twiddles.cosine + imaginary * twiddles.sine
        let mirrored: Tensor = real * twiddles.sine - imaginary * twiddles.cosine
        let high: Tensor = mirrored.narrowed(axis: -1, start: 1, length: (n - 1) / 2).flipped(axes: [-1])
        return concatenated([low, high], axis: -1)
    }
}

/// How ``dct2(_:method:)`` computes.
public enum DCTMethod: String, Codable, Sendable, CaseIterable {
    /// A product with the matrix: n² for each row.
    case matmul
    /// Makhoul's Fourier transform: n log n for each row.
    case makhoul
}

/// The orthogonal DCT-II of the last axis: `x Dᵀ`, for `[..., n]` the same shape, with D of ``DCTBasis``.
/// - Parameters:
///   - x: float32 or float64.
///   - method: both give the same.
public func dct2(_ x: Tensor, method: DCTMethod = .matmul) -> Tensor {
    let basis: DCTBasis = .shared(x.dim(-1), dtype: x.dtype, device: x.device)
    return switch method {
    case .matmul: x.matmul(basis.columns)
    case .makhoul: basis.makhoul(x)
    }
}
