import NN
import SequenceModels
import Torch

/// A matrix `[m, n]` as a product of two factors whose components are ordered by importance: what ``MaestroLinear`` and ``MaestroConv2d`` have
/// in common.
///
/// A pass uses the first ``width`` components, or all that have survived so far. The factors keep their size while they are trained, so that an
/// optimizer's state stays valid; ``Maestro/prune(_:)`` cuts them at the end.
public class MaestroLayer: Module {
    /// U, `[m, fullRank]`.
    @ParameterInfo(key: "left") public var left: Tensor
    /// Vᵀ, `[fullRank, n]`.
    @ParameterInfo(key: "right") public var right: Tensor
    /// `[m]`
    @ParameterInfo(key: "bias") public var bias: Tensor?
    @Buffer(key: "active_rank") private var survivors: Tensor
    /// Components that the next calls use, if fewer than have survived; nil uses all of these. See ``OrderedWidth``.
    public var width: Int?
    /// Places that one input example had in the newest call: those of a convolution's output, 1 in a linear layer.
    public internal(set) var positions: Int = 1

    /// Factors whose product is the matrix, from its singular value decomposition `L S Rᵀ`: `U = L √S`, `V = R √S`.
    init(matrix: Tensor, bias: Tensor?) {
        super.init()
        let rank: Int = min(matrix.dim(0), matrix.dim(1))
        (left, right) = balancedFactors(of: matrix, rank: rank)
        self.bias = bias
        survivors = .full([], rank, dtype: .int64, device: matrix.device)
    }

    /// Components in all.
    public var fullRank: Int { right.dim(0) }
    /// Components that have survived: the first so many.
    public var activeRank: Int {
        get { survivors.item(Int.self) }
        set {
            precondition((0...fullRank).contains(newValue), "MaestroLayer: \(newValue) of \(fullRank) components")
            survivors.fill_(newValue)
        }
    }

    /// U `[m, b]` and Vᵀ `[b, n]` of the components that a call uses.
    var factorsInUse: (left: Tensor, right: Tensor) { factors(rank: min(width ?? .max, activeRank)) }

    /// The first components.
    func factors(rank: Int) -> (left: Tensor, right: Tensor) {
        (left.narrowed(axis: 1, start: 0, length: rank), right.narrowed(axis: 0, start: 0, length: rank))
    }

    /// `‖U[:, b:]‖_F · ‖V[:, b:]‖_F` for each surviving component b, which never grows along b.
    public var importance: [Double] {
        let tails: Tensor = noGrad { squaredTails(left, axis: 0).sqrt() * squaredTails(right, axis: 1).sqrt() }
        return tails.asType(.float64).array()
    }

    /// `Σ_b (‖U[:, b:]‖_F + ‖V[:, b:]‖_F)` over the surviving components, a scalar. The root is taken of a sum that is never zero: at zero it
    /// would have no gradient.
    public var groupLasso: Tensor {
        ((squaredTails(left, axis: 0) + 1e-12).sqrt() + (squaredTails(right, axis: 1) + 1e-12).sqrt()).sum()
    }

    /// Squared norms of everything from each surviving component on, `[activeRank]`; `axis` runs along one component.
    private func squaredTails(_ factor: Tensor, axis: Int) -> Tensor {
        factor.square().sum(axis: axis).narrowed(axis: 0, start: 0, length: activeRank).reverseCumulativeSum(axis: 0)
    }

    /// Multiply-accumulates of one input example at a rank; where the dense matrix costs less, those of the dense matrix.
    public func multiplyAccumulates(rank: Int) -> Int { min(rank * (left.dim(0) + right.dim(1)), left.dim(0) * right.dim(1)) * positions }

    /// A layer of its own with the first components: two factors, or a dense one where that is smaller.
    func pruned(to rank: Int) -> any UnaryLayer { preconditionFailure("MaestroLayer: \(type(of: self)) cannot be pruned") }

    /// Whether factors of this rank are larger than the matrix.
    func isDenseSmaller(rank: Int) -> Bool { rank * (left.dim(0) + right.dim(1)) > left.dim(0) * right.dim(1) }
}

/// A linear layer `y = U (Vᵀ x) + b` with ordered components.
public final class MaestroLinear: MaestroLayer, LinearMap {
    /// Whether the layer that was decomposed stores its matrix as GPT-2 does; a dense one in its place then does so too.
    private let isTransposed: Bool

    /// Starts as the decomposition of a new `Linear`.
    public convenience init(_ inputDimensions: Int, _ outputDimensions: Int, bias: Bool = true, generator: RandomGenerator? = nil) {
        self.init(Linear(inputDimensions, outputDimensions, bias: bias, generator: generator))
    }

    /// Computes what a layer computes; the bias is a copy.
    public init(_ layer: any LinearMap) {
        isTransposed = layer is TransposedLinear
        super.init(matrix: layer.denseWeight(), bias: layer.bias.map { $0.detached().cloned() })
    }

    public var inputDimensions: Int { right.dim(1) }
    public var outputDimensions: Int { left.dim(0) }

    /// `U Vᵀ` of the components in use.
    public func denseWeight() -> Tensor { factorsInUse.left.matmul(factorsInUse.right) }

    public var multiplyAccumulates: Int { activeRank * (inputDimensions + outputDimensions) }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        let (left, right): (Tensor, Tensor) = factorsInUse
        return linear(linear(x, weight: right), weight: left, bias: bias)
    }

    override func pruned(to rank: Int) -> any UnaryLayer {
        noGrad {
            let (left, right): (Tensor, Tensor) = factors(rank: rank)
            let bias: Tensor? = bias?.cloned()
            if isDenseSmaller(rank: rank) { return denseLayer(weight: left.matmul(right), bias: bias, isTransposed: isTransposed) }
            return LowRankLinear(left: left.cloned(), right: right.cloned(), bias: bias)
        }
    }
}

/// A convolution of images as one to `rank` channels with the layer's kernel, stride, padding and dilation, followed by one of 1 × 1 to the output's
/// channels, with ordered components. The matrix that is decomposed is `[outputs, inputs · KH · KW]`.
public final class MaestroConv2d: MaestroLayer, UnaryLayer {
    let geometry: ConvolutionGeometry

    /// Starts as the decomposition of a new `Conv2d`.
    public convenience init(
        _ inputChannels: Int, _ outputChannels: Int, kernelSize: Pair, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1,
        bias: Bool = true, generator: RandomGenerator? = nil
    ) {
        self.init(
            Conv2d(
                inputChannels, outputChannels, kernelSize: kernelSize, stride: stride, padding: padding, dilation: dilation, bias: bias,
                generator: generator))
    }

    /// Computes what a layer computes; the bias is a copy. Traps for a convolution in groups, which is no single matrix.
    public init(_ layer: Conv2d) {
        geometry = ConvolutionGeometry(layer)
        super.init(matrix: layer.weight.flattened(from: 1), bias: layer.bias.map { $0.detached().cloned() })
    }

    /// `[B, inputs, H, W]` to `[B, outputs, H', W']`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let result: Tensor = geometry.convolve(x, left: factorsInUse.left, right: factorsInUse.right, bias: bias)
        positions = result.dim(2) * result.dim(3)
        return result
    }

    override func pruned(to rank: Int) -> any UnaryLayer {
        noGrad {
            let (left, right): (Tensor, Tensor) = factors(rank: rank)
            let bias: Tensor? = bias?.cloned()
            guard isDenseSmaller(rank: rank) else {
                return LowRankConv2d(left: left.cloned(), right: right.cloned(), bias: bias, geometry: geometry)
            }
            return Conv2d(
                weight: geometry.kernels(left.matmul(right)), bias: bias, stride: geometry.stride, padding: geometry.padding,
                dilation: geometry.dilation)
        }
    }
}
