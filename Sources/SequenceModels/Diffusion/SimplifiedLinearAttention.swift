import NN
import Torch

/// Linear attention of all tokens to all others: `o_i = q_i (Σ_j k_jᵀ v_j) / (q_i · Σ_j k_j + ε)`.
///
/// `q` and `k` have to be non-negative features, such as `relu(x)`; a query that is zero everywhere then gives zeros, for which ε is needed.
/// The cost is O(T K V) a head; with `parallel` the T × T weights are formed instead, the definition that the linear form is tested against.
///
/// Source: LiT (arXiv 2501.12976), section 3.1.
/// - Parameters:
///   - q: queries `[B, T, H, K]`.
///   - k: keys `[B, T, H, K]`.
///   - v: values `[B, T, H, V]`.
///   - mask: `[B, T]`, 1 for real tokens; the others are not seen.
///   - parallel: form all T × T weights.
///   - epsilon: added to the denominator.
/// - Returns: `[B, T, H, V]` in `v`'s type.
public func normalizedBidirectionalLinearAttention(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor? = nil, parallel: Bool = false, epsilon: Double = 1e-6
) -> Tensor {
    let shape: AttentionShape = AttentionShape("normalizedBidirectionalLinearAttention", q: q, k: k, v: v)
    func rows(_ x: Tensor) -> Tensor { x.asType(shape.accumulator).swappedAxes(1, 2) }
    let (queries, keys, values): (Tensor, Tensor, Tensor) = (rows(q), rows(k.masked(by: mask)), rows(v))
    let output: Tensor
    if parallel {
        let weights: Tensor = queries.matmul(keys.mT)
        output = weights.matmul(values) / (weights.sum(axis: 3, keepDims: true) + epsilon)
    } else {
        let memory: Tensor = keys.mT.matmul(values)
        let total: Tensor = queries.matmul(keys.sum(axis: 2).expandedDimensions(axis: 3))
        output = queries.matmul(memory) / (total + epsilon)
    }
    return output.swappedAxes(1, 2).asType(v.dtype)
}

/// LiT's simplified linear attention: `W_o (relu(q) (Σ relu(k)ᵀ v) / (relu(q) · Σ relu(k) + ε) + DWConv(v))`.
///
/// The depth-wise convolution over the grid of tokens gives back the locality that linear attention lacks. Few heads cost nothing here and
/// serve better: a head's memory is `d × d`, and with wide heads the attention has a higher rank, while the parameters stay the same.
/// Checkpoint names are DiT's, `qkv` and `proj`, and `dwc` for the convolution.
///
/// Source: LiT (arXiv 2501.12976), section 3.1.
public final class SimplifiedLinearAttention: Module, NonCausalMixer {
    @ModuleInfo(key: "qkv") public var inputProjection: Linear
    @ModuleInfo(key: "proj") public var outputProjection: Linear
    /// Depth-wise over all D channels; nil where there is none.
    @ModuleInfo(key: "dwc") public var convolution: Conv2d?
    public let heads: Int
    /// Rows and columns of the tokens; nil lays them out in one row, however many there are.
    public let grid: Pair?

    /// Projections and convolution start as `Linear` and `Conv2d` do. Traps unless the channels divide into the heads and the kernel's
    /// sides are odd.
    /// - Parameters:
    ///   - dimensions: channels of the residual stream, D.
    ///   - heads: H.
    ///   - grid: rows and columns of the tokens, row by row in the sequence; nil is one row.
    ///   - kernel: size of the depth-wise convolution; nil leaves it out.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(dimensions: Int, heads: Int, grid: Pair? = nil, kernel: Pair? = 5, generator: RandomGenerator? = nil) {
        precondition(
            heads > 0 && dimensions % heads == 0, "SimplifiedLinearAttention: \(dimensions) channels do not divide into \(heads) heads")
        if let kernel {
            precondition(
                kernel.height % 2 == 1 && kernel.width % 2 == 1,
                "SimplifiedLinearAttention: a kernel of \(kernel.height) × \(kernel.width); both sides have to be odd")
        }
        self.heads = heads
        self.grid = grid
        super.init()
        inputProjection = Linear(dimensions, 3 * dimensions, generator: generator)
        outputProjection = Linear(dimensions, dimensions, generator: generator)
        convolution = kernel.map {
            Conv2d(
                dimensions, dimensions, kernelSize: $0, padding: Pair($0.height / 2, $0.width / 2), groups: dimensions, generator: generator
            )
        }
    }

    /// `.parallel` forms the T × T weights, every other mode sums over the tokens; the results agree. Traps unless T fills the grid.
    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let parts: [Tensor] = inputProjection(x).split(size: x.dim(2), axis: 2)
        let value: Tensor = parts[2].masked(by: mask)
        let attended: Tensor = normalizedBidirectionalLinearAttention(
            q: parts[0].relu().splitHeads(heads), k: parts[1].relu().splitHeads(heads), v: value.splitHeads(heads), mask: mask,
            parallel: mode == .parallel
        ).joinedHeads()
        return outputProjection(convolution.map { attended + neighbours(value, $0) } ?? attended)
    }

    /// The convolution of `[B, T, D]` over the grid.
    private func neighbours(_ value: Tensor, _ convolution: Conv2d) -> Tensor {
        let size: Pair = grid ?? Pair(1, value.dim(1))
        precondition(
            size.height * size.width == value.dim(1),
            "SimplifiedLinearAttention: \(value.dim(1)) tokens do not fill a grid of \(size.height) × \(size.width)")
        let planes: Tensor = value.mT.reshaped(value.dim(0), value.dim(2), size.height, size.width)
        return convolution(planes).flattened(from: 2).mT
    }
}
