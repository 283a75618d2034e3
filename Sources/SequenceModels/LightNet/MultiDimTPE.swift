import NN
import Torch

/// Toeplitz positional encoding along one axis: each head's channels are summed up to every place, what lies further back the fainter,
/// `(q̂·k̂) Σ_{s ≤ t} λ^(t−s) x_s`, then normalised head by head and projected. Linear in the length.
///
/// λ = σ(ρ) for each head, q̂ and k̂ are fixed vectors of each head; all three are trained. Names in checkpoints: `rho`, `q`, `k`, `norm`, `o_proj`.
public final class ToeplitzEncoding: Module {
    /// ρ, `[H]`, N(0, 1) at the start.
    public let rho: Tensor
    /// q̂ of all heads, `[D]`, N(0, 1) at the start.
    @ParameterInfo(key: "q") public var query: Tensor
    /// k̂ of all heads, `[D]`, N(0, 1) at the start.
    @ParameterInfo(key: "k") public var key: Tensor
    @ModuleInfo public var norm: GroupedRMSNorm
    @ModuleInfo(key: "o_proj") public var outputProjection: Linear

    /// Traps unless the channels divide into the heads.
    public init(_ dimensions: Int, heads: Int, generator: RandomGenerator? = nil) {
        precondition(heads > 0 && dimensions % heads == 0, "ToeplitzEncoding: \(dimensions) channels do not divide into \(heads) heads")
        rho = .normal([heads], generator: generator)
        super.init()
        query = .normal([dimensions], generator: generator)
        key = .normal([dimensions], generator: generator)
        norm = GroupedRMSNorm(dimensions, groups: heads)
        outputProjection = Linear(dimensions, dimensions, bias: false)
        initializeNormal(generator: generator)
    }

    /// `[M, N, D]` to the same, along N.
    public func callAsFunction(_ x: Tensor) -> Tensor { outputProjection(norm(sums(x))) }

    /// What is normalised: the decaying sums, `[M, N, D]`.
    public func sums(_ x: Tensor) -> Tensor {
        let heads: Int = rho.count
        let steps: [Int] = [x.dim(0), x.dim(1), heads]
        let strength: Tensor = (query * key).reshaped(heads, -1).sum(axis: 1)
        // A memory with one key channel, in which the key is always 1.
        let one: Tensor = .ones(steps + [1], dtype: x.dtype, device: x.device)
        return simpleGatedLinearAttention(
            q: strength.asType(x.dtype).expandedDimensions(axis: -1).expanded(to: steps + [1]), k: one, v: x.splitHeads(heads),
            logGate: rho.logSigmoid().expanded(to: steps), scale: 1, mode: .chunkwise(MixerMode.defaultChunk)
        ).output.joinedHeads()
    }
}

/// Positions for a grid of any number of axes, added to what stands on it: the sum of one ``ToeplitzEncoding`` along each axis, never across
/// flattened rows.
///
/// Source: arXiv 2405.21022, section 4 (MD-TPE); that the sum is added to the input is Linnet's choice.
public final class MultiDimTPE: Module {
    public let axes: [ToeplitzEncoding]

    /// - Parameters:
    ///   - dimensions: channels D.
    ///   - heads: groups of channels with a decay of their own.
    ///   - axes: axes of the grid.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(_ dimensions: Int, heads: Int, axes: Int, generator: RandomGenerator? = nil) {
        self.axes = (0..<axes).map { _ in ToeplitzEncoding(dimensions, heads: heads, generator: generator) }
        super.init()
    }

    /// `[B, N1, …, Nm, D]` to the same: the encodings alone, for the caller to add. Traps for another number of axes.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        precondition(x.ndim == axes.count + 2, "MultiDimTPE of \(axes.count) axes: [B, N1, …, D] is needed, found \(x.shape)")
        let encodings: [Tensor] = axes.enumerated().map { index, encoding in
            let last: Tensor = x.movedAxis(source: index + 1, destination: -2)
            return encoding(last.reshaped(-1, last.dim(-2), last.dim(-1))).reshaped(last.shape).movedAxis(
                source: -2, destination: index + 1)
        }
        return encodings.dropFirst().reduce(encodings[0], +)
    }
}
