import Foundation
import Torch

/// Rotary position embedding (arXiv 2104.09864): pairs of channels of `x` turned by angles that grow with the position.
///
/// Of the first R = `rotaryDimensions` channels, pair i is turned by `position · theta^(-2i/R)`; the other channels pass unchanged.
/// Angles are computed in float64, the rotation in at least float32.
/// - Parameters:
///   - x: `[B, T, H, D]`, queries or keys.
///   - offset: position of the first step; the others follow.
///   - positions: `[T]` or `[B, T]`, in place of `offset`.
///   - theta: base of the angles' geometric series.
///   - rotaryDimensions: an even number up to D; D unless given.
///   - interleaved: pairs are the channels `(2i, 2i + 1)`, otherwise `(i, i + R/2)`.
///   - scaling: slows the rotations for contexts longer than those of the training.
public func rotary(
    _ x: Tensor, offset: Int = 0, positions: Tensor? = nil, theta: Double = 10_000, rotaryDimensions: Int? = nil, interleaved: Bool = false,
    scaling: RotaryScaling? = nil
) -> Tensor {
    let rotated: Int = rotaryDimensions ?? x.dim(-1)
    precondition(x.ndim == 4, "rotary needs [B, T, H, D]; shape is \(x.shape)")
    precondition(rotated % 2 == 0 && rotated <= x.dim(-1), "rotary of \(rotated) channels out of \(x.dim(-1))")
    let places: Tensor = positions ?? .arange(offset, offset + x.dim(1), step: 1, dtype: .float64, device: x.device)
    let angles: Tensor = rotaryAngles(positions: places, theta: theta, rotaryDimensions: rotated, scaling: scaling)
    return rotate(x, angles: angles, interleaved: interleaved)
}

/// Angles `position · theta^(-2i/R)` for i in `0 ..< R/2`: positions `[...]` become `[..., R/2]` in float64, radians.
public func rotaryAngles(positions: Tensor, theta: Double, rotaryDimensions: Int, scaling: RotaryScaling? = nil) -> Tensor {
    let exponents: Tensor = .arange(0, rotaryDimensions, step: 2, dtype: .float64, device: positions.device)
    let frequencies: Tensor = (exponents * (-Foundation.log(theta) / Double(max(rotaryDimensions, 1)))).exp()
    return positions.asType(.float64).expandedDimensions(axis: -1) * (scaling?.scaled(frequencies) ?? frequencies)
}

/// Turns the pairs of the first channels of `x` `[B, T, H, D]` by `angles` `[T, R/2]` or `[B, T, R/2]`, the same in every head.
public func rotate(_ x: Tensor, angles: Tensor, interleaved: Bool = false) -> Tensor {
    let half: Int = angles.dim(-1)
    let rest: Int = x.dim(-1) - 2 * half
    let parts: [Tensor] = rest == 0 ? [x] : x.split(sizes: [2 * half, rest], axis: -1)
    // One axis for the heads, so that [T, 1, R/2] and [B, T, 1, R/2] broadcast to [B, T, H, R/2].
    let perHead: Tensor = angles.expandedDimensions(axis: -2)
    let precision: DType = x.dtype == .float64 ? .float64 : .float32
    let cosine: Tensor = perHead.cos().asType(precision)
    let sine: Tensor = perHead.sin().asType(precision)
    let (a, b): (Tensor, Tensor) = pairs(of: parts[0].asType(precision), interleaved: interleaved)
    let turned: [Tensor] = [a * cosine - b * sine, a * sine + b * cosine]
    let joined: Tensor = interleaved ? stacked(turned, axis: -1).flattened(from: -2, to: -1) : concatenated(turned, axis: -1)
    let result: Tensor = joined.asType(x.dtype)
    return rest == 0 ? result : concatenated([result, parts[1]], axis: -1)
}

private func pairs(of x: Tensor, interleaved: Bool) -> (Tensor, Tensor) {
    let half: Int = x.dim(-1) / 2
    guard interleaved else { return (x.narrowed(axis: -1, start: 0, length: half), x.narrowed(axis: -1, start: half, length: half)) }
    let grouped: Tensor = x.reshaped(Array(x.shape.dropLast()) + [half, 2])
    return (grouped.selected(axis: -1, index: 0), grouped.selected(axis: -1, index: 1))
}
