import NN
import SequenceModels
import Torch

/// A linear layer whose matrix is kept as a product of two factors, `y = A (B x) + b`: `rank · (inputs + outputs)` numbers in place of
/// `inputs · outputs`. Rank 0 leaves the bias alone. Each factor is a linear layer that may itself be replaced, by packed codes for instance.
public final class LowRankLinear: Module, LinearMap {
    /// A `[outputDimensions, rank]` with the bias.
    @ModuleInfo public var left: any LinearMap
    /// B, `[rank, inputDimensions]`.
    @ModuleInfo public var right: any LinearMap

    /// A layer over factors that exist already and stay shared with whoever holds them. Traps unless they and the bias fit.
    /// - Parameters:
    ///   - left: A, `[outputDimensions, rank]`.
    ///   - right: B, `[rank, inputDimensions]`.
    ///   - bias: `[outputDimensions]`.
    public init(left: Tensor, right: Tensor, bias: Tensor? = nil) {
        precondition(
            left.ndim == 2 && right.ndim == 2 && left.dim(1) == right.dim(0) && (bias.map { $0.shape == [left.dim(0)] } ?? true),
            "LowRankLinear: factors of shapes \(left.shape) and \(right.shape) with a bias of shape \(bias?.shape ?? [])")
        super.init()
        self.left = Linear(weight: left, bias: bias)
        self.right = Linear(weight: right)
    }

    /// Random factors whose product has the variance of a new `Linear`'s weight.
    public convenience init(
        _ inputDimensions: Int, _ outputDimensions: Int, rank: Int, bias: Bool = true, generator: RandomGenerator? = nil
    ) {
        // The sum of `rank` products of N(0, s²) has variance rank · s⁴, which has to be 1 / (3 · inputs).
        let deviation: Double = (1 / (3 * Double(max(inputDimensions, 1)) * Double(max(rank, 1)))).squareRoot().squareRoot()
        self.init(
            left: .normal([outputDimensions, rank], standardDeviation: deviation, generator: generator),
            right: .normal([rank, inputDimensions], standardDeviation: deviation, generator: generator),
            bias: bias ? .zeros([outputDimensions]) : nil)
    }

    /// The best approximation of a layer's matrix of this rank (Eckart and Young, 1936), with the root of the singular values in each
    /// factor, so that their gradients are of one size. The bias is shared with the layer. Traps for a rank above the smaller side.
    public convenience init(_ layer: any LinearMap, rank: Int) {
        let (left, right): (Tensor, Tensor) = balancedFactors(of: layer.denseWeight(), rank: rank)
        self.init(left: left, right: right, bias: layer.bias)
    }

    public var rank: Int { right.outputDimensions }
    public var inputDimensions: Int { right.inputDimensions }
    public var outputDimensions: Int { left.outputDimensions }
    public var bias: Tensor? { left.bias }

    /// `A B`, computed anew.
    public func denseWeight() -> Tensor { left.denseWeight().matmul(right.denseWeight()) }

    public var multiplyAccumulates: Int { left.multiplyAccumulates + right.multiplyAccumulates }

    public func callAsFunction(_ x: Tensor) -> Tensor { left(right(x)) }
}

/// `A = U_r √S_r` `[m, r]` and `B = √S_r V_rᵀ` `[r, n]` of a matrix `U S Vᵀ` `[m, n]`, without a gradient and in the matrix' dtype.
/// Traps for a rank outside `0 ... min(m, n)`.
func balancedFactors(of matrix: Tensor, rank: Int) -> (left: Tensor, right: Tensor) {
    let full: Int = min(matrix.dim(0), matrix.dim(1))
    precondition((0...full).contains(rank), "rank \(rank) of a matrix of shape \(matrix.shape)")
    return noGrad {
        let (u, s, vh): (Tensor, Tensor, Tensor) = decomposable(matrix).svd()
        let root: Tensor = s.narrowed(axis: 0, start: 0, length: rank).sqrt()
        let left: Tensor = u.narrowed(axis: 1, start: 0, length: rank) * root
        let right: Tensor = vh.narrowed(axis: 0, start: 0, length: rank) * root.expandedDimensions(axis: 1)
        return (left.asType(matrix.dtype).contiguous(), right.asType(matrix.dtype).contiguous())
    }
}

/// The matrix in a dtype that factorisations exist for.
func decomposable(_ matrix: Tensor) -> Tensor { matrix.detached().asType(matrix.dtype == .float64 ? .float64 : .float32) }

/// A dense layer with a matrix `[outputDimensions, inputDimensions]`, stored as GPT-2's checkpoints have it where `isTransposed`.
func denseLayer(weight: Tensor, bias: Tensor?, isTransposed: Bool) -> any LinearMap {
    isTransposed ? TransposedLinear(weight: weight.mT.contiguous(), bias: bias) : Linear(weight: weight, bias: bias)
}
