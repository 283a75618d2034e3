import Torch

/// The product of tridiagonal matrices with vectors, `[..., N]`.
///
/// Bands broadcast with the vectors' leading axes: `lower` and `upper` are `[..., N-1]`, `diagonal` is `[..., N]`.
public func tridiagonalMultiply(lower: Tensor, diagonal: Tensor, upper: Tensor, vector: Tensor) -> Tensor {
    let order: Int = diagonal.dim(-1)
    let below: Tensor = (lower * vector.narrowed(axis: -1, start: 0, length: order - 1)).padded([(before: 1, after: 0)])
    let above: Tensor = (upper * vector.narrowed(axis: -1, start: 1, length: order - 1)).padded([(before: 0, after: 1)])
    return below + diagonal * vector + above
}

/// Solves tridiagonal systems in O(N) by Thomas' algorithm, vectorised over all leading axes.
///
/// There is no pivoting: every leading minor has to be invertible, as for HiPPO matrices and diagonally dominant ones.
/// - Parameters:
///   - lower: `[..., N-1]`, entry i stands in row i+1.
///   - diagonal: `[..., N]`.
///   - upper: `[..., N-1]`, entry i stands in row i.
///   - right: `[..., N]`; the bands' leading axes broadcast with its own.
/// - Returns: `[..., N]`, differentiable (also twice) in all four; the backward solves the transposed system.
public func solveTridiagonal(lower: Tensor, diagonal: Tensor, upper: Tensor, right: Tensor) -> Tensor {
    customFunction("solveTridiagonal", [lower, diagonal, upper, right]) { inputs in
        let solution: Tensor = thomas(lower: lower, diagonal: diagonal, upper: upper, right: right)
        return (
            [solution],
            { gradients in
                guard let gradient = gradients[0] else { return [nil, nil, nil, nil] }
                // Under a second derivative the solution has to be part of the graph.
                let solved: Tensor =
                    isGradEnabled
                    ? solveTridiagonal(lower: lower, diagonal: diagonal, upper: upper, right: right) : solution
                return backward(lower: lower, diagonal: diagonal, upper: upper, right: right, solution: solved, gradient: gradient)
            }
        )
    }[0]
}

/// Gradients of the bands and of the right side: with `g = T⁻ᵀ·gradient`, `dT = -g·solutionᵀ` on the three bands.
private func backward(
    lower: Tensor, diagonal: Tensor, upper: Tensor, right: Tensor, solution: Tensor, gradient: Tensor
) -> [Tensor?] {
    let order: Int = diagonal.dim(-1)
    let adjoint: Tensor = solveTridiagonal(lower: upper, diagonal: diagonal, upper: lower, right: gradient)
    func leading(_ tensor: Tensor) -> Tensor { tensor.narrowed(axis: -1, start: 0, length: order - 1) }
    func trailing(_ tensor: Tensor) -> Tensor { tensor.narrowed(axis: -1, start: 1, length: order - 1) }
    return [
        -(trailing(adjoint) * leading(solution)).summed(to: lower.shape),
        -(adjoint * solution).summed(to: diagonal.shape),
        -(leading(adjoint) * trailing(solution)).summed(to: upper.shape),
        adjoint.summed(to: right.shape),
    ]
}

/// Forward elimination and back substitution, one row of all systems at a time.
private func thomas(lower: Tensor, diagonal: Tensor, upper: Tensor, right: Tensor) -> Tensor {
    func rows(_ tensor: Tensor) -> [Tensor] { tensor.movedAxis(source: -1, destination: 0).contiguous().unbound() }
    let (below, main, above): ([Tensor], [Tensor], [Tensor]) = (rows(lower), rows(diagonal), rows(upper))
    var pivots: [Tensor] = [main[0]]
    var values: [Tensor] = rows(right)
    for row in main.indices.dropFirst() {
        let factor: Tensor = below[row - 1] / pivots[row - 1]
        pivots.append(main[row].addingProduct(factor, above[row - 1], value: -1))
        values[row] = values[row].addingProduct(factor, values[row - 1], value: -1)
    }
    values[main.count - 1] = values[main.count - 1] / pivots[main.count - 1]
    for row in main.indices.dropLast().reversed() {
        values[row] = values[row].addingProduct(above[row], values[row + 1], value: -1) / pivots[row]
    }
    return stacked(values).movedAxis(source: 0, destination: -1)
}
