import NN
import Torch

/// Orthogonal matrices that gradient descent cannot leave: `Q = (I − S/2)⁻¹ (I + S/2)` with `S = X − Xᵀ` of a free matrix X (Cayley's transform).
///
/// Every Q has determinant 1 and no eigenvalue −1. The columns of any other orthogonal matrix span the same nested spaces after some of their signs
/// are changed, and so changed it has such an X.
public final class CayleyOrthogonal: Module {
    /// X, `[count, D, D]`.
    @ParameterInfo(key: "skew") public var skew: Tensor

    /// Identities: X starts at 0.
    /// - Parameters:
    ///   - dimensions: D.
    ///   - count: matrices that are held together, such as one for each head.
    public init(dimensions: Int, count: Int = 1) {
        super.init()
        skew = .zeros([count, dimensions, dimensions])
    }

    /// The matrices `[count, D, D]`, but for the signs of columns (see ``columnSigns(of:)``). Kept in their type; traps unless they are square.
    public init(_ orthogonal: Tensor) {
        precondition(
            orthogonal.ndim == 3 && orthogonal.dim(1) == orthogonal.dim(2),
            "CayleyOrthogonal needs [count, D, D]; shape is \(orthogonal.shape)")
        super.init()
        let exact: Tensor = noGrad { orthogonal.detached().asType(.float64) }
        skew = noGrad { Self.parameter(of: exact * Self.columnSigns(of: exact).expandedDimensions(axis: 1)).asType(orthogonal.dtype) }
    }

    public var dimensions: Int { skew.dim(1) }
    public var count: Int { skew.dim(0) }

    /// Q, `[count, D, D]`, computed anew from X in float64: with large entries of X the solution loses digits that orthogonality needs.
    public func matrix() -> Tensor {
        let wide: Tensor = skew.asType(.float64)
        let half: Tensor = (wide - wide.mT) * 0.5
        let identity: Tensor = .eye(dimensions, dtype: .float64, device: skew.device)
        return (identity - half).solve(identity + half).asType(skew.dtype)
    }

    /// The strictly lower triangular X `[..., D, D]` of orthogonal matrices without the eigenvalue −1: the lower triangle of `2 (Q − I)(Q + I)⁻¹`.
    public static func parameter(of orthogonal: Tensor) -> Tensor {
        let identity: Tensor = .eye(orthogonal.dim(-1), dtype: orthogonal.dtype, device: orthogonal.device)
        return ((orthogonal + identity).solve(orthogonal - identity, left: false) * 2).lowerTriangle(diagonal: -1)
    }

    /// Signs `[count, D]` such that the matrices `[count, D, D]` with their columns multiplied by them have no eigenvalue −1, and with that the
    /// determinant 1.
    ///
    /// They are chosen one by one while `Q + diag(signs)` is eliminated, each as the sign of the pivot so far, so that no pivot is smaller than 1.
    public static func columnSigns(of orthogonal: Tensor) -> Tensor {
        var rest: Tensor = orthogonal
        var signs: [Tensor] = []
        while rest.dim(1) > 0 {
            let size: Int = rest.dim(1) - 1
            let corner: Tensor = rest.selected(axis: 2, index: 0).selected(axis: 1, index: 0)
            let sign: Tensor = which(corner .< 0, corner.onesLike() * -1, corner.onesLike())
            signs.append(sign)
            let column: Tensor = rest.narrowed(axis: 2, start: 0, length: 1).narrowed(axis: 1, start: 1, length: size)
            let row: Tensor = rest.narrowed(axis: 1, start: 0, length: 1).narrowed(axis: 2, start: 1, length: size)
            let inner: Tensor = rest.narrowed(axis: 1, start: 1, length: size).narrowed(axis: 2, start: 1, length: size)
            rest = inner - column.matmul(row) / (corner + sign).reshaped(-1, 1, 1)
        }
        return stacked(signs, axis: 1)
    }
}
