import Foundation
import NN
import Torch

/// Relative positions on a grid of any number of axes, for queries and keys `[B, T, H, K]`: `x → [x ⊙ cos Θ, x ⊙ sin Θ]`, so that the product of two
/// places is `Σ_i q_i k_i cos((s − s')·θ_i)` and depends on their distance along every axis.
///
/// With coordinates (s_1 … s_m) of a token, Θ lays `s_j · θ` of the axes one behind the other and takes the first K of them; θ has
/// ⌈K/m⌉ entries for each head and starts as `10000^(−2i/K)`. The name in checkpoints is `theta`.
///
/// Source: arXiv 2405.21022, section 4 (MD-LRPE), the cosine type.
public final class MultiDimLRPE: Module {
    /// θ, `[H, ⌈K/m⌉]`, where it is trained.
    @ParameterInfo(key: "theta") public var trainedTheta: Tensor?
    /// θ where it is fixed.
    @Buffer(key: "theta") public var fixedTheta: Tensor?
    /// Sizes of the grid's axes in row-major order; nil is one axis without an end.
    public let shape: [Int]?
    /// Tokens before the grid, such as a class token; they stand at angle 0.
    public let extraTokens: Int
    private let dimensions: Int

    /// Traps for sizes below 1.
    /// - Parameters:
    ///   - heads: H.
    ///   - dimensions: channels of a head, K.
    ///   - shape: sizes of the grid's axes; nil is one axis without an end.
    ///   - extraTokens: tokens before the grid.
    ///   - learned: whether θ is trained.
    public init(heads: Int, dimensions: Int, shape: [Int]? = nil, extraTokens: Int = 0, learned: Bool = false) {
        let axes: Int = shape?.count ?? 1
        precondition(
            heads > 0 && dimensions > 0 && axes > 0 && extraTokens >= 0 && (shape ?? []).allSatisfy { $0 > 0 },
            "MultiDimLRPE: \(heads) heads of \(dimensions) channels on a grid \(shape ?? []) after \(extraTokens) tokens")
        let rates: Int = (dimensions + axes - 1) / axes
        let exponents: Tensor = Tensor.arange(rates, dtype: .float64) * (-2 * Foundation.log(10_000) / Double(dimensions))
        let theta: Tensor = exponents.exp().asType(.float32).expanded(to: [heads, rates]).contiguous()
        self.shape = shape
        self.extraTokens = extraTokens
        self.dimensions = dimensions
        super.init()
        trainedTheta = learned ? theta : nil
        fixedTheta = learned ? nil : theta
    }

    /// `[B, T, H, K]` to `[B, T, H, 2K]`; the first step is token `offset`. Traps for tokens behind the grid's end.
    public func callAsFunction(_ x: Tensor, offset: Int = 0) -> Tensor {
        let angles: Tensor = angles(from: offset, length: x.dim(1), device: x.device)
        return concatenated([x * angles.cos().asType(x.dtype), x * angles.sin().asType(x.dtype)], axis: -1)
    }

    /// Θ of tokens, `[T, H, K]`.
    private func angles(from offset: Int, length: Int, device: Device) -> Tensor {
        guard let theta = trainedTheta ?? fixedTheta else { preconditionFailure("MultiDimLRPE without rates") }
        let axes: [Tensor] = coordinates(from: offset, length: length, device: device).map { $0.reshaped(length, 1, 1) * theta }
        return concatenated(axes, axis: -1).narrowed(axis: -1, start: 0, length: dimensions)
    }

    /// Coordinates of tokens, `[T]` (float64) for each axis.
    private func coordinates(from offset: Int, length: Int, device: Device) -> [Tensor] {
        let token: Tensor = .arange(offset - extraTokens, offset - extraTokens + length, step: 1, dtype: .int64, device: device)
        let place: Tensor = maximum(token, token.zerosLike())
        guard let shape else { return [place.asType(.float64)] }
        let size: Int = shape.reduce(1, *)
        precondition(
            offset + length <= extraTokens + size, "MultiDimLRPE: \(offset + length) tokens on a grid \(shape) after \(extraTokens) tokens")
        return shape.indices.map { axis in
            let stride: Int = shape[(axis + 1)...].reduce(1, *)
            return (place.floorDivided(by: stride) % shape[axis]).asType(.float64)
        }
    }
}
