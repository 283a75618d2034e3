import Torch

/// The generalised bilinear transform of `ẋ = Ax + Bu` with step `dt` (arXiv 2110.13985, equation 3):
/// `Ā = (I - α·dt·A)⁻¹ (I + (1-α)·dt·A)`, `B̄ = dt·(I - α·dt·A)⁻¹ B`.
/// - Parameters:
///   - A: `[..., N, N]`.
///   - B: `[..., N]`.
///   - dt: one step for each system, in the shape of the leading axes (or broadcasting with them): `[]`, `[H]`.
///   - alpha: weight of the *implicit* side: 0 is Euler's method, ½ bilinear (Tustin), 1 backward Euler.
/// - Returns: `Ā: [..., N, N]` and `B̄: [..., N]`. Differentiable in A, B and dt.
public func generalizedBilinear(A: Tensor, B: Tensor, dt: Tensor, alpha: Double = 0.5) -> (A: Tensor, B: Tensor) {
    precondition((0...1).contains(alpha), "alpha of the bilinear transform lies in 0...1, not \(alpha)")
    let step: Tensor = dt.expandedDimensions(axis: -1)
    let scaled: Tensor = step.expandedDimensions(axis: -1) * A
    let identity: Tensor = Tensor.eye(A.dim(-1), dtype: A.dtype, device: A.device)
    let implicit: Tensor = identity - scaled * alpha
    let explicit: Tensor = identity + scaled * (1 - alpha)
    let drive: Tensor = (step * B).expandedDimensions(axis: -1)
    return (implicit.solve(explicit), implicit.solve(drive).squeezed(axis: -1))
}

/// As ``generalizedBilinear(A:B:dt:alpha:)-(Tensor,_,_,_)``, with one step for all systems.
public func generalizedBilinear(A: Tensor, B: Tensor, dt: Double, alpha: Double = 0.5) -> (A: Tensor, B: Tensor) {
    generalizedBilinear(A: A, B: B, dt: Tensor(dt, dtype: A.dtype, device: A.device), alpha: alpha)
}

/// The exact discretisation for an input that is constant over each step: the upper rows of `exp(dt·[[A, B], [0, 0]])`.
///
/// Shapes and steps as in ``generalizedBilinear(A:B:dt:alpha:)-(Tensor,_,_,_)``. The exponential is computed in float64, since in float32
/// its squarings cost order 64 at step 1 the fourth digit; the result has A's type.
public func zeroOrderHold(A: Tensor, B: Tensor, dt: Tensor) -> (A: Tensor, B: Tensor) {
    let order: Int = A.dim(-1)
    let joined: Tensor = concatenated([A, B.expandedDimensions(axis: -1)], axis: -1)
    let augmented: Tensor = joined.padded([(before: 0, after: 0), (before: 0, after: 1)])
    let steps: Tensor = dt.expandedDimensions(axis: -1).expandedDimensions(axis: -1)
    let exponential: Tensor = (steps.asType(.float64) * augmented.asType(.float64)).matrixExp().asType(A.dtype)
    let flow: Tensor = exponential.narrowed(axis: -2, start: 0, length: order)
    return (flow.narrowed(axis: -1, start: 0, length: order), flow.selected(axis: -1, index: order))
}

/// As ``zeroOrderHold(A:B:dt:)-(Tensor,_,_)``, with one step for all systems.
public func zeroOrderHold(A: Tensor, B: Tensor, dt: Double) -> (A: Tensor, B: Tensor) {
    zeroOrderHold(A: A, B: B, dt: Tensor(dt, dtype: A.dtype, device: A.device))
}
