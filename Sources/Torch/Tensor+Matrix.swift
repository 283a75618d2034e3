private let matmulOp: Operator = Operator("matmul")
private let bmmOp: Operator = Operator("bmm")
private let baddbmmOp: Operator = Operator("baddbmm")
private let addmmOp: Operator = Operator("addmm")
private let outerOp: Operator = Operator("outer")
private let dotOp: Operator = Operator("dot")
private let einsumOp: Operator = Operator("einsum")
private let solveTriangularOp: Operator = Operator("linalg_solve_triangular")

extension Tensor {
    /// Matrix product of the last two axes, broadcasting those before; vectors as in NumPy.
    public func matmul(_ other: Tensor) -> Tensor { matmulOp(self, other) }

    /// `[B, n, m] · [B, m, p]`.
    public func bmm(_ other: Tensor) -> Tensor { bmmOp(self, other) }

    /// `beta · self + alpha · a · b` for batches of matrices, in one pass.
    public func addingBatchProduct(_ a: Tensor, _ b: Tensor, beta: Double = 1, alpha: Double = 1) -> Tensor {
        baddbmmOp(self, a, b, beta, alpha)
    }

    /// `beta · self + alpha · a · b` for matrices, in one pass.
    public func addingProduct(ofMatrices a: Tensor, _ b: Tensor, beta: Double = 1, alpha: Double = 1) -> Tensor {
        addmmOp(self, a, b, beta, alpha)
    }

    /// Products of every pair of two vectors.
    public func outer(_ other: Tensor) -> Tensor { outerOp(self, other) }

    public func dot(_ other: Tensor) -> Tensor { dotOp(self, other) }

    /// `X` with `self · X = right` (or `X · self = right` with `left: false`), where `self` is triangular, `[..., n, n]`.
    public func solvingTriangular(_ right: Tensor, upper: Bool, left: Bool = true, unitDiagonal: Bool = false) -> Tensor {
        solveTriangularOp(self, right, upper, left, unitDiagonal)
    }
}

public func matmul(_ left: Tensor, _ right: Tensor) -> Tensor { matmulOp(left, right) }

/// Einstein summation, for example `einsum("bthk,bthv->bhkv", k, v)`.
public func einsum(_ equation: String, _ operands: Tensor...) -> Tensor { einsumOp(equation, operands) }
