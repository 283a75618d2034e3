import Torch

/// Rotary position embedding of queries or keys `[B, T, H, D]`; see ``rotary(_:offset:positions:theta:rotaryDimensions:interleaved:scaling:)``.
/// Has no parameters.
public final class RotaryEmbedding: Module {
    /// Channels that are turned, of the first ones of a head.
    public let dimensions: Int
    public let theta: Double
    /// Whether pairs are neighbouring channels instead of the two halves.
    public let interleaved: Bool
    public let scaling: RotaryScaling?

    /// Traps for an odd number of dimensions.
    public init(_ dimensions: Int, theta: Double = 10_000, interleaved: Bool = false, scaling: RotaryScaling? = nil) {
        precondition(dimensions % 2 == 0, "rotary of \(dimensions) channels, an odd number")
        self.dimensions = dimensions
        self.theta = theta
        self.interleaved = interleaved
        self.scaling = scaling
        super.init()
    }

    /// - Parameters:
    ///   - x: `[B, T, H, D]`, queries or keys.
    ///   - offset: position of the first step.
    ///   - positions: `[T]` or `[B, T]`, in place of `offset`.
    public func callAsFunction(_ x: Tensor, offset: Int = 0, positions: Tensor? = nil) -> Tensor {
        rotary(
            x, offset: offset, positions: positions, theta: theta, rotaryDimensions: dimensions, interleaved: interleaved, scaling: scaling)
    }
}
