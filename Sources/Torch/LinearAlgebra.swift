private let svdOp: Operator = Operator("linalg_svd")
private let singularValuesOp: Operator = Operator("linalg_svdvals")
private let qrOp: Operator = Operator("linalg_qr")
private let eighOp: Operator = Operator("linalg_eigh")
private let eigenvaluesHermitianOp: Operator = Operator("linalg_eigvalsh")
private let eigOp: Operator = Operator("linalg_eig")
private let eigenvaluesOp: Operator = Operator("linalg_eigvals")
private let luOp: Operator = Operator("linalg_lu")
private let choleskyOp: Operator = Operator("linalg_cholesky")
private let solveOp: Operator = Operator("linalg_solve")
private let leastSquaresOp: Operator = Operator("linalg_lstsq")
private let inverseOp: Operator = Operator("linalg_inv")
private let pseudoInverseOp: Operator = Operator("linalg_pinv", "atol_rtol_float")
private let determinantOp: Operator = Operator("linalg_det")
private let logDeterminantOp: Operator = Operator("linalg_slogdet")
private let matrixExpOp: Operator = Operator("linalg_matrix_exp")
private let matrixPowerOp: Operator = Operator("linalg_matrix_power")
private let matrixNormOp: Operator = Operator("linalg_matrix_norm")
private let namedNormOp: Operator = Operator("linalg_matrix_norm", "str_ord")
private let matrixRankOp: Operator = Operator("linalg_matrix_rank", "atol_rtol_float")
private let conditionOp: Operator = Operator("linalg_cond")
private let kroneckerOp: Operator = Operator("kron")
private let traceOp: Operator = Operator("trace")

// Linear algebra on the last two axes, for each matrix of the axes before. All differentiable where the result is smooth.
// A matrix that has no factorization or solution (singular, not positive definite) is an operator failure.

// Factorizations.
extension Tensor {
    /// `self = U diag(S) Vh`, singular values descending. Reduced: `U` `[..., m, k]`, `S` `[..., k]`, `Vh` `[..., k, n]`, `k = min(m, n)`.
    public func svd(fullMatrices: Bool = false) -> (u: Tensor, s: Tensor, vh: Tensor) {
        let results: [Tensor] = svdOp.tensors(self, fullMatrices)
        let (u, s, vh): (Tensor, Tensor, Tensor) = triple(results)
        return (u, s, vh)
    }

    /// Singular values, descending.
    public func singularValues() -> Tensor { singularValuesOp(self) }

    /// `self = Q R` with orthonormal columns `[..., m, k]` and upper triangular `[..., k, n]`; `complete` gives a square `Q`.
    public func qr(complete: Bool = false) -> (q: Tensor, r: Tensor) {
        let (q, r): (Tensor, Tensor) = pair(qrOp.tensors(self, complete ? "complete" : "reduced"))
        return (q, r)
    }

    /// Eigenvalues (real, ascending) and eigenvectors (columns) of a symmetric or Hermitian matrix; only the lower triangle is read.
    public func eigh() -> (values: Tensor, vectors: Tensor) {
        let (values, vectors): (Tensor, Tensor) = pair(eighOp.tensors(self))
        return (values, vectors)
    }

    public func eigenvaluesHermitian() -> Tensor { eigenvaluesHermitianOp(self) }

    /// Complex eigenvalues and eigenvectors (columns) of a square matrix, in no particular order.
    public func eig() -> (values: Tensor, vectors: Tensor) {
        let (values, vectors): (Tensor, Tensor) = pair(eigOp.tensors(self))
        return (values, vectors)
    }

    public func eigenvalues() -> Tensor { eigenvaluesOp(self) }

    /// `self = P L U` with a permutation, a unit lower and an upper triangular matrix.
    public func lu() -> (p: Tensor, l: Tensor, u: Tensor) {
        let (p, l, u): (Tensor, Tensor, Tensor) = triple(luOp.tensors(self))
        return (p, l, u)
    }

    /// Lower triangular `L` with `self = L Lᴴ`; fails where the matrix is not positive definite.
    public func cholesky(upper: Bool = false) -> Tensor { choleskyOp(self, upper) }
}

// Solving.
extension Tensor {
    /// `X` with `self X = right` (`X self = right` with `left: false`) for a square, regular matrix.
    public func solve(_ right: Tensor, left: Bool = true) -> Tensor { solveOp(self, right, left) }

    /// `X` `[..., n, k]` of least `‖self X - right‖` for `self` `[..., m, n]`, and the shortest of those where there are several.
    public func leastSquares(_ right: Tensor) -> Tensor {
        // gelsd also takes matrices of deficient rank; CUDA only has gels.
        leastSquaresOp.tensors(self, right, Double?.none, device.kind == .cpu ? "gelsd" : "gels")[0]
    }

    public func inverse() -> Tensor { inverseOp(self) }

    /// Moore-Penrose inverse; singular values below `relativeTolerance` times the largest count as zero.
    public func pseudoInverse(relativeTolerance: Double? = nil) -> Tensor { pseudoInverseOp(self, Double?.none, relativeTolerance) }
}

// Functions of a matrix.
extension Tensor {
    public func determinant() -> Tensor { determinantOp(self) }

    /// The determinant's sign and the logarithm of its absolute value, without overflow.
    public func logDeterminant() -> (sign: Tensor, logAbsolute: Tensor) {
        let (sign, logAbsolute): (Tensor, Tensor) = pair(logDeterminantOp.tensors(self))
        return (sign, logAbsolute)
    }

    /// `Σ selfⁿ / n!`.
    public func matrixExp() -> Tensor { matrixExpOp(self) }

    /// The product of `exponent` copies; of the inverse where negative.
    public func matrixPower(_ exponent: Int) -> Tensor { matrixPowerOp(self, exponent) }

    /// Norms of a matrix.
    public enum MatrixNorm: Sendable, CaseIterable {
        /// Root of the sum of squares.
        case frobenius
        /// Largest singular value.
        case spectral
        /// Sum of the singular values.
        case nuclear
        /// Largest sum of absolute values of a column.
        case one
        /// Largest sum of absolute values of a row.
        case infinity
    }

    public func matrixNorm(_ norm: MatrixNorm = .frobenius, keepDims: Bool = false) -> Tensor {
        switch norm {
        case .frobenius: namedNormOp(self, "fro", [-2, -1], keepDims)
        case .nuclear: namedNormOp(self, "nuc", [-2, -1], keepDims)
        case .spectral: matrixNormOp(self, 2, [-2, -1], keepDims)
        case .one: matrixNormOp(self, 1, [-2, -1], keepDims)
        case .infinity: matrixNormOp(self, Double.infinity, [-2, -1], keepDims)
        }
    }

    /// Number of singular values above the tolerance (by default the dtype's rounding unit times the larger side), int64.
    public func matrixRank(relativeTolerance: Double? = nil) -> Tensor { matrixRankOp(self, Double?.none, relativeTolerance) }

    /// The largest singular value over the smallest.
    public func conditionNumber() -> Tensor { conditionOp(self) }

    /// Kronecker product.
    public func kronecker(_ other: Tensor) -> Tensor { kroneckerOp(self, other) }

    /// Sum of a matrix' diagonal, `[n, m]` to `[]`.
    public func trace() -> Tensor { traceOp(self) }
}
