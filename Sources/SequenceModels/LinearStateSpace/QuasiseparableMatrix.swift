import NN
import Torch

/// A trainable state matrix `A = -P(D_c + T⁻¹)Q` with P, Q, D_c diagonal and T tridiagonal, and an input vector `B = p ⊙ b`.
///
/// Every HiPPO matrix is of this form (arXiv 2110.13985, theorem 2), and multiplying by `I + δA` or by `(I - δA)⁻¹` takes O(N).
/// Parameters are `[N]` (one matrix), or `[H, N]` (one for each feature); `dl` and `du` have N-1 entries.
public final class QuasiseparableMatrix: Module {
    /// Diagonal of P, scales the rows and the input vector.
    public let p: Tensor
    /// Diagonal of Q, scales the columns; has to stay away from zero.
    public let q: Tensor
    /// Diagonal of D_c.
    public let c: Tensor
    /// Diagonal of T.
    public let d: Tensor
    /// Below the diagonal of T.
    public let dl: Tensor
    /// Above the diagonal of T.
    public let du: Tensor
    /// The input vector over `p`.
    public let b: Tensor

    /// What the products are made of, in float32 at least: pivots of 16 bits would be noise.
    private var wide: (p: Tensor, q: Tensor, c: Tensor, d: Tensor, dl: Tensor, du: Tensor) {
        let type: DType = p.dtype.accumulator
        return (p.asType(type), q.asType(type), c.asType(type), d.asType(type), dl.asType(type), du.asType(type))
    }

    /// The exact form of a HiPPO matrix.
    /// - Parameters:
    ///   - measure: which HiPPO matrix.
    ///   - order: N ≥ 2.
    ///   - features: number of separately trained copies; nil for a single matrix.
    ///   - dtype: of the parameters.
    ///   - device: of the parameters.
    ///   - window: θ of LegT, as in ``HiPPO/matrices(order:dtype:device:window:)``.
    public init(
        measure: HiPPO, order: Int, features: Int? = nil, dtype: DType = .float32, device: Device = .default,
        window: Double = HiPPO.defaultWindow
    ) {
        precondition(order >= 2, "a tridiagonal matrix needs order 2 or more, not \(order)")
        func parameter(_ count: Int, _ value: (Int) -> Double) -> Tensor {
            let row: Tensor = Tensor((0..<count).map(value), dtype: dtype, device: device)
            return features.map { row.tiled([$0, 1]) } ?? row
        }
        func norm(_ index: Int) -> Double { measure == .lagt ? 1 : Double(2 * index + 1).squareRoot() }
        let scale: Double = measure.scale(window: window)
        p = parameter(order) { norm($0) / scale }
        q = parameter(order, norm)
        b = parameter(order) { _ in 1 }
        switch measure {
        case .legs, .lagt:
            // T⁻¹ is the lower triangle of ones; c corrects the diagonal.
            c = parameter(order) { measure == .lagt ? -0.5 : -Double($0) / Double(2 * $0 + 1) }
            d = parameter(order) { _ in 1 }
            dl = parameter(order - 1) { _ in -1 }
            du = parameter(order - 1) { _ in 0 }
        case .legt:
            c = parameter(order) { _ in 0 }
            // Without both corners T would be singular for odd orders.
            d = parameter(order) { $0 == 0 || $0 == order - 1 ? 0.5 : 0 }
            dl = parameter(order - 1) { _ in -0.5 }
            du = parameter(order - 1) { _ in 0.5 }
        }
        super.init()
    }

    public var order: Int { p.dim(-1) }

    /// B, `[N]` or `[H, N]`.
    public var input: Tensor { p.asType(p.dtype.accumulator) * b }

    /// `(I + δA)v` in O(N).
    /// - Parameters:
    ///   - vector: `[..., N]`, or `[..., H, N]` for per-feature parameters or steps.
    ///   - step: δ, `[]` or `[H]`.
    public func forwardMultiply(_ vector: Tensor, step: Tensor) -> Tensor {
        let (p, q, c, d, dl, du): (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor) = wide
        let scaled: Tensor = q * vector
        let mixed: Tensor = c * scaled + solveTridiagonal(lower: dl, diagonal: d, upper: du, right: scaled)
        return vector - step.expandedDimensions(axis: -1) * p * mixed
    }

    /// `(I - δA)⁻¹x` in O(N); shapes as in ``forwardMultiply(_:step:)``.
    ///
    /// With `w = T⁻¹Qz` the system `(I + δP(D_c + T⁻¹)Q)z = x` becomes tridiagonal in w: `(diag((1 + δpcq)/q)·T + δ·diag(p))w = x`.
    public func inverseMultiply(_ vector: Tensor, step: Tensor) -> Tensor {
        let (p, q, c, d, dl, du): (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor) = wide
        let step: Tensor = step.expandedDimensions(axis: -1)
        let rows: Tensor = (step * p * c * q + 1) / q
        let inner: Int = order - 1
        let solution: Tensor = solveTridiagonal(
            lower: rows.narrowed(axis: -1, start: 1, length: inner) * dl,
            diagonal: rows * d + step * p,
            upper: rows.narrowed(axis: -1, start: 0, length: inner) * du,
            right: vector)
        return tridiagonalMultiply(lower: dl, diagonal: d, upper: du, vector: solution) / q
    }

    /// A as a dense matrix, `[N, N]` or `[H, N, N]`.
    public func dense() -> Tensor {
        let one: Tensor = Tensor(1.0, dtype: p.dtype.accumulator, device: p.device)
        let identity: Tensor = Tensor.eye(order, dtype: p.dtype.accumulator, device: p.device)
        return columns(perFeature: p.ndim == 2) { forwardMultiply($0, step: one) } - identity
    }

    /// The generalised bilinear transform, as ``generalizedBilinear(A:B:dt:alpha:)-(_,_,Tensor,_)`` of the dense matrices, in O(N²).
    /// - Parameters:
    ///   - dt: `[H]`, or `[]` for a single system.
    ///   - alpha: 0 forward Euler, ½ bilinear, 1 backward Euler.
    /// - Returns: `Ā: [H, N, N]` and `B̄: [H, N]` (without H for a single matrix and step).
    public func discretized(dt: Tensor, alpha: Double = 0.5) -> (A: Tensor, B: Tensor) {
        precondition((0...1).contains(alpha), "alpha of the bilinear transform lies in 0...1, not \(alpha)")
        let transition: Tensor = columns(perFeature: p.ndim == 2 || dt.ndim == 1) {
            inverseMultiply(forwardMultiply($0, step: dt * (1 - alpha)), step: dt * alpha)
        }
        return (transition, inverseMultiply(dt.expandedDimensions(axis: -1) * input, step: dt * alpha))
    }

    /// The matrix of a linear map, or one for each feature, from the images of the unit vectors.
    private func columns(perFeature: Bool, of map: (Tensor) -> Tensor) -> Tensor {
        let identity: Tensor = Tensor.eye(order, dtype: p.dtype.accumulator, device: p.device)
        return map(perFeature ? identity.expandedDimensions(axis: 1) : identity).movedAxis(source: 0, destination: -1)
    }
}
