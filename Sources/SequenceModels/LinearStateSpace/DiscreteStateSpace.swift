import Torch

/// A discrete, time-invariant linear system `x_t = Āx_{t-1} + B̄u_t`, `y_t = Cx_t`, one for each of H features.
///
/// The new state is read: the input of step t is seen at step t. Matrices may have a wider dtype than inputs and states, which then
/// sets the accuracy of kernels only.
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

    /// The literal recurrence: the oracle for ``convolve(_:initialState:columns:)``, and the form for short pieces.
    /// - Parameters:
    ///   - input: `[B, H, L]`.
    ///   - initialState: `[B, H, N]`, zeros without one.
    ///   - mask: `[B, L]`, 1 where a step counts; at the others the state stands still.
    /// - Returns: outputs `[B, H, M, L]` and the last state `[B, H, N]`.
    public func recur(_ input: Tensor, initialState: Tensor? = nil, mask: Tensor? = nil) -> (output: Tensor, state: Tensor) {
        if FusedForm.isAvailable(for: input.dtype, on: input.device) {
            return fusedRecurrence(input, initialState: initialState, mask: mask)
        }
        return composedRecurrence(input, initialState: initialState, mask: mask)
    }

    /// The recurrence made of operators: the reference for the fused kernel.
    func composedRecurrence(_ input: Tensor, initialState: Tensor?, mask: Tensor?) -> (output: Tensor, state: Tensor) {
        let (transition, drive, reader): (Tensor, Tensor, Tensor) = (A.asType(input.dtype), B.asType(input.dtype), C.asType(input.dtype))
        var state: Tensor = initialState ?? Tensor.zeros([input.dim(0)] + B.shape, dtype: input.dtype, device: input.device)
        let counted: [Tensor]? = mask.map { ($0 .> 0.5).reshaped($0.dim(0), 1, 1, $0.dim(1)).unbound(axis: -1) }
        var states: [Tensor] = []
        states.reserveCapacity(input.dim(-1))
        for (time, value) in input.unbound(axis: -1).enumerated() {
            let next: Tensor = Self.advance(state, by: transition) + value.expandedDimensions(axis: -1) * drive
            state = counted.map { which($0[time], next, state) } ?? next
            states.append(state)
        }
        return (einsum("hmn,bhnl->bhml", reader, stacked(states, axis: -1)), state)
    }

    /// The same as ``recur(_:initialState:mask:)`` by convolution: `O(L log L)` once the kernel is there.
    /// - Parameters:
    ///   - input: `[B, H, L]`.
    ///   - initialState: `[B, H, N]`, zeros without one.
    ///   - columns: the Krylov matrix `[H, N, L]` of (A, B) where it is already known.
    public func convolve(_ input: Tensor, initialState: Tensor? = nil, columns: Tensor? = nil) -> (output: Tensor, state: Tensor) {
        let columns: Tensor = columns ?? krylov(A: A, B: B, length: input.dim(-1))
        return (
            convolved(input, initialState: initialState, columns: columns),
            lastState(after: input, initialState: initialState, columns: columns)
        )
    }

    /// The outputs of ``convolve(_:initialState:columns:)`` alone: all that is wanted of a sequence that is not continued.
    func convolved(_ input: Tensor, initialState: Tensor? = nil, columns: Tensor) -> Tensor {
        let driven: Tensor = causalConvolution(input, kernel: C.matmul(columns).asType(input.dtype))
        return initialState.map { driven + freeOutput($0, length: input.dim(-1)) } ?? driven
    }

    /// `Ā^L x_{-1} + Σ_t Ā^{L-1-t} B̄ u_t`, `[B, H, N]`.
    func lastState(after input: Tensor, initialState: Tensor?, columns: Tensor) -> Tensor {
        let written: Tensor = einsum("hnl,bhl->bhn", columns.flipped(axes: [-1]).asType(input.dtype), input)
        return initialState.map { written + decayed($0, steps: input.dim(-1)) } ?? written
    }

    /// `C Ā^(t+1) x_{-1}` for `t < length`: what an initial state contributes, `[B, H, M, L]`.
    private func freeOutput(_ state: Tensor, length: Int) -> Tensor {
        // Krylov columns of the transposed system are the rows C Ā^t; one system for each output channel.
        let transposed: Tensor = A.mT.expandedDimensions(axis: 1).expanded(to: C.shape + [A.dim(-1)])
        let readers: Tensor = krylov(A: transposed, B: C, length: length).asType(state.dtype)
        return einsum("hmnl,bhn->bhml", readers, Self.advance(state, by: A.asType(state.dtype)))
    }

    /// `Ā^steps x`.
    private func decayed(_ state: Tensor, steps: Int) -> Tensor { Self.advance(state, by: power(steps).asType(state.dtype)) }

    /// `Ā^exponent`, by squaring; the exponent is at least 1.
    func power(_ exponent: Int) -> Tensor {
        precondition(exponent > 0, "a power of \(exponent)")
        var result: Tensor?
        var square: Tensor = A
        var remaining: Int = exponent
        while remaining > 0 {
            if remaining & 1 == 1 { result = result.map { $0.matmul(square) } ?? square }
            remaining >>= 1
            if remaining > 0 { square = square.matmul(square) }
        }
        return result ?? A
    }

    private static func advance(_ state: Tensor, by transition: Tensor) -> Tensor { einsum("hnk,bhk->bhn", transition, state) }
}
