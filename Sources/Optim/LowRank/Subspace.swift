import Torch

/// The directions that one matrix' gradients are projected on: of its rows' space, its columns' space or both.
struct Subspace {
    /// `[m, r]`, or nil where the left side is not projected.
    let left: Tensor?
    /// `[n, r]`, or nil where the right side is not projected.
    let right: Tensor?

    /// `Lᵀ G R` of a gradient `[m, n]`.
    func project(_ gradient: Tensor) -> Tensor {
        let half: Tensor = left.map { $0.transposed().matmul(gradient) } ?? gradient
        return right.map { half.matmul($0) } ?? half
    }

    /// `L N Rᵀ`, of the gradient's shape.
    func lift(_ low: Tensor) -> Tensor {
        let half: Tensor = left.map { $0.matmul(low) } ?? low
        return right.map { half.matmul($0.transposed()) } ?? half
    }
}

/// A seed of its own for each parameter and step (FNV-1a), so that what is random does not depend on who else is trained.
func projectionSeed(_ name: String, step: Int, seed: UInt64) -> UInt64 {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in "\(name)/\(step)/\(seed)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return hash
}
