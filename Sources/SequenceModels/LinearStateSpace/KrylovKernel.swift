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

/// A discrete, time-invariant linear system `x_t = Āx_{t-1} + B̄u_t`, `y_t = Cx_t`, one for each of H features.
///
/// The new state is read: the input of step t is seen at step t. All members share dtype and device.
public struct DiscreteStateSpace {
    /// `Ā: [H, N, N]`.
    public let A: Tensor
    /// `B̄: [H, N]`.
    public let B: Tensor
    /// `C: [H, M, N]`.
    public let C: Tensor

    public init(A: Tensor, B: Tensor, C: Tensor) {
        let (features, order): (Int, Int) = (B.dim(0), B.dim(-1))
        precondition(
            A.shape == [features, order, order] && C.ndim == 3 && C.dim(0) == features && C.dim(2) == order,
            "a state space has A [H, N, N], B [H, N], C [H, M, N], not \(A.shape), \(B.shape), \(C.shape)")
        self.A = A
        self.B = B
        self.C = C
    }

    /// One step: `[B, H]` and a state `[B, H, N]` to the output `[B, H, M]` and the new state.
    public func step(_ input: Tensor, state: Tensor) -> (output: Tensor, state: Tensor) {
        let next: Tensor = advanced(state) + input.expandedDimensions(axis: -1) * B
        return (read(next), next)
    }

    /// The literal recurrence over `[B, H, L]`: the oracle for ``convolve(_:initialState:columns:)``, and the form for short pieces.
    /// - Returns: outputs `[B, H, M, L]` and the last state `[B, H, N]`.
    public func recur(_ input: Tensor, initialState: Tensor? = nil) -> (output: Tensor, state: Tensor) {
        var state: Tensor = initialState ?? Tensor.zeros([input.dim(0)] + B.shape, dtype: B.dtype, device: B.device)
        var outputs: [Tensor] = []
        outputs.reserveCapacity(input.dim(-1))
        for value in input.unbound(axis: -1) {
            let (output, next): (Tensor, Tensor) = step(value, state: state)
            outputs.append(output)
            state = next
        }
        return (stacked(outputs, axis: -1), state)
    }

    /// The same as ``recur(_:initialState:)`` by convolution: `O(L log L)` once the kernel is there.
    /// - Parameters:
    ///   - input: `[B, H, L]`.
    ///   - initialState: `[B, H, N]`, zeros without one.
    ///   - columns: the Krylov matrix `[H, N, L]` of (A, B) where it is already known.
    public func convolve(_ input: Tensor, initialState: Tensor? = nil, columns: Tensor? = nil) -> (output: Tensor, state: Tensor) {
        let length: Int = input.dim(-1)
        let columns: Tensor = columns ?? krylov(A: A, B: B, length: length)
        let driven: Tensor = causalConvolution(input, kernel: C.matmul(columns))
        let written: Tensor = einsum("hnl,bhl->bhn", columns.flipped(axes: [-1]), input)
        guard let initialState else { return (driven, written) }
        return (driven + freeOutput(initialState, length: length), written + decayed(initialState, steps: length))
    }

    /// `C Ā^(t+1) x_{-1}` for `t < length`: what an initial state contributes, `[B, H, M, L]`.
    private func freeOutput(_ state: Tensor, length: Int) -> Tensor {
        // Krylov columns of the transposed system are the rows C Ā^t; one system for each output channel.
        let readers: Tensor = krylov(A: A.mT.expandedDimensions(axis: 1).expanded(to: C.shape + [A.dim(-1)]), B: C, length: length)
        return einsum("hmnl,bhn->bhml", readers, advanced(state))
    }

    /// `Ā^steps x`, by squaring.
    private func decayed(_ state: Tensor, steps: Int) -> Tensor {
        var result: Tensor = state
        var power: Tensor = A
        var remaining: Int = steps
        while remaining > 0 {
            if remaining & 1 == 1 { result = einsum("hnk,bhk->bhn", power, result) }
            remaining >>= 1
            if remaining > 0 { power = power.matmul(power) }
        }
        return result
    }

    private func advanced(_ state: Tensor) -> Tensor { einsum("hnk,bhk->bhn", A, state) }

    private func read(_ state: Tensor) -> Tensor { einsum("hmn,bhn->bhm", C, state) }
}
