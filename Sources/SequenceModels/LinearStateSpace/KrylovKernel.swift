import Torch

/// The Krylov matrix `[B, AB, A²B, …, A^(L-1)B]`, by doubling: about `log₂ L` matrix products.
///
/// Squaring loses digits in float32; ``LSSL`` uses float64 above order 64.
/// - Parameters:
///   - A: `[..., N, N]`.
///   - B: `[..., N]`, the same leading axes.
///   - length: L ≥ 1.
/// - Returns: `[..., N, L]`, differentiable in A and B.
public func krylov(A: Tensor, B: Tensor, length: Int) -> Tensor {
    precondition(length > 0, "a Krylov matrix has at least one column, not \(length)")
    var columns: Tensor = B.expandedDimensions(axis: -1)
    var power: Tensor = A
    while columns.dim(-1) < length {
        let known: Int = columns.dim(-1)
        let wanted: Int = min(known, length - known)
        columns = concatenated([columns, power.matmul(columns.narrowed(axis: -1, start: 0, length: wanted))], axis: -1)
        if columns.dim(-1) < length { power = power.matmul(power) }
    }
    return columns
}

/// The convolution kernel `k_t = C Ā^t B̄` of a discrete system.
/// - Parameters:
///   - C: `[..., M, N]`.
/// - Returns: `[..., M, L]`.
public func stateSpaceKernel(A: Tensor, B: Tensor, C: Tensor, length: Int) -> Tensor {
    C.matmul(krylov(A: A, B: B, length: length))
}

/// Causal convolution `y_t = Σ_{j ≤ t} k_{t-j} u_j` by FFT, zero-padded to twice the length so that nothing wraps around.
/// - Parameters:
///   - input: `[B, H, L]`.
///   - kernel: `[H, M, L]`, or `[H, M, K]` with `K ≤ L` for a kernel that ends earlier.
/// - Returns: `[B, H, M, L]` in the common dtype. Half precision is computed in float32.
public func causalConvolution(_ input: Tensor, kernel: Tensor) -> Tensor {
    let length: Int = input.dim(-1)
    precondition(kernel.dim(-1) <= length, "kernel of length \(kernel.dim(-1)) for an input of length \(length)")
    let dtype: DType = input.dtype.byteCount < 4 ? .float32 : input.dtype
    let spectrum: Tensor = input.asType(dtype).rfft(count: 2 * length, axis: -1).expandedDimensions(axis: 2)
    let response: Tensor = kernel.asType(kernel.dtype.byteCount < 4 ? .float32 : kernel.dtype).rfft(count: 2 * length, axis: -1)
    let full: Tensor = (spectrum * response).irfft(count: 2 * length, axis: -1)
    return full.narrowed(axis: -1, start: 0, length: length).asType(input.dtype)
}
