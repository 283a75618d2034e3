import NN
import Torch

/// Linearized relative positional encoding of queries or keys `[B, T, H, K]`: a fixed reflection, then pairs of channels turned by angles that
/// grow with the position at trained rates. Applied to both, it makes their product depend on the distance alone.
///
/// `x ← x − 2 u (uᵀ x)` with a random unit vector u (Householder), then channels (2i, 2i + 1) by `t · θ_i`, where θ_i starts as
/// `10000^(−2i/K)`. Names in checkpoints: `theta`, `direction`.
///
/// Source: Qin et al., 2023, *Linearized Relative Positional Encoding* (type "1d3"), as in arXiv 2210.10340.
public final class LRPE: Module {
    /// θ, `[K / 2]`, the same in all heads.
    public let theta: Tensor
    /// u, `[K]`; its length does not matter.
    @Buffer public var direction: Tensor

    /// Traps for an odd number of channels.
    /// - Parameters:
    ///   - dimensions: channels of a head, K.
    ///   - base: of the rates' geometric series at the start.
    ///   - generator: of u; nil takes the shared one.
    public init(_ dimensions: Int, base: Double = 10_000, generator: RandomGenerator? = nil) {
        precondition(dimensions > 0 && dimensions % 2 == 0, "LRPE turns pairs of channels; \(dimensions) are not an even number")
        theta = rotaryAngles(positions: .ones([1], dtype: .float64), theta: base, rotaryDimensions: dimensions)
            .squeezed(axis: 0).asType(.float32)
        let random: Tensor = .normal([dimensions], generator: generator)
        direction = random / random.norm()
        super.init()
    }

    /// - Parameters:
    ///   - x: `[B, T, H, K]`.
    ///   - offset: position of the first step.
    public func callAsFunction(_ x: Tensor, offset: Int = 0) -> Tensor {
        let positions: Tensor = .arange(offset, offset + x.dim(1), step: 1, dtype: .float64, device: x.device)
        return rotate(reflect(x), angles: positions.expandedDimensions(axis: 1) * theta, interleaved: true)
    }

    /// `x − 2 u (uᵀ x)` over the last axis.
    public func reflect(_ x: Tensor) -> Tensor {
        let u: Tensor = (direction / direction.norm()).asType(x.dtype)
        return x - x.matmul(u).expandedDimensions(axis: -1) * (u * 2)
    }
}
