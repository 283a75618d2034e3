import CTorch

/// One call of a fused time-invariant recurrence with dense transitions: `x_t = A x_{t-1} + B u_t`, `y_t = C x_t` for each of H features.
///
/// Tensors are float32 on the CPU: `input` (u) `[B, H, T]`, `A` `[H, N, N]`, `B` `[H, N]`, `C` `[H, M, N]`.
public struct FusedStateSpace {
    private let input: Tensor
    private let A: Tensor
    private let B: Tensor
    private let C: Tensor
    private let initialState: Tensor?
    private let mask: Tensor?

    /// - Parameters:
    ///   - input: `[B, H, T]`.
    ///   - A: `[H, N, N]`.
    ///   - B: `[H, N]`.
    ///   - C: `[H, M, N]`.
    ///   - initialState: `[B, H, N]`; zeros without one.
    ///   - mask: `[B, T]`, 0 where the state stands still.
    public init(input: Tensor, A: Tensor, B: Tensor, C: Tensor, initialState: Tensor?, mask: Tensor?) {
        let (inputs, readers): ([Int], [Int]) = (input.shape, C.shape)
        precondition(
            inputs.count == 3 && readers.count == 3 && readers[0] == inputs[1] && B.shape == [inputs[1], readers[2]]
                && A.shape == [inputs[1], readers[2], readers[2]]
                && (initialState.map { $0.shape == [inputs[0], inputs[1], readers[2]] } ?? true)
                && (mask.map { $0.shape == [inputs[0], inputs[2]] } ?? true),
            "FusedStateSpace: input \(inputs), A \(A.shape), B \(B.shape), C \(readers), state \(initialState?.shape ?? []) and mask \(mask?.shape ?? []) do not fit"
        )
        (self.input, self.A, self.B, self.C) = (input.contiguous(), A.contiguous(), B.contiguous(), C.contiguous())
        self.initialState = initialState?.contiguous()
        self.mask = mask?.contiguous()
    }

    /// - Returns: the output `[B, H, M, T]` and the final state `[B, H, N]`.
    public func forward() -> (output: Tensor, state: Tensor) {
        let (output, state): (Tensor, Tensor) = (.empty(outputShape, device: .cpu), .empty(stateShape, device: .cpu))
        var problem: CTStateSpace = problem()
        (problem.output, problem.finalState) = (elements(output), elements(state))
        run(&problem, backward: false)
        return (output, state)
    }

    /// Gradients of input, A, B, C and the initial state, in this order and in their shapes.
    /// - Parameters:
    ///   - outputGradient: `[B, H, M, T]`; nil is zero.
    ///   - stateGradient: of the final state, `[B, H, N]`; nil is zero.
    public func backward(outputGradient: Tensor?, stateGradient: Tensor?) -> [Tensor] {
        let output: Tensor = outputGradient?.contiguous() ?? .zeros(outputShape, device: .cpu)
        let state: Tensor? = stateGradient?.contiguous()
        // Each group of batch elements has gradients of A, B and C of its own, so that threads do not meet; enough groups for all threads.
        let (batch, features): (Int, Int) = (input.dim(0), max(1, input.dim(1)))
        let groups: Int = min(batch, (Threads.count + features - 1) / features)
        func grouped(_ tensor: Tensor) -> Tensor { .empty([groups] + tensor.shape, device: .cpu) }
        let (aGradient, bGradient, cGradient): (Tensor, Tensor, Tensor) = (grouped(A), grouped(B), grouped(C))
        let (inputGradient, entering): (Tensor, Tensor) = (.empty(input.shape, device: .cpu), .empty(stateShape, device: .cpu))
        var problem: CTStateSpace = problem()
        problem.groups = Int64(groups)
        problem.outputGradient = UnsafePointer(elements(output))
        problem.finalStateGradient = UnsafePointer(state.map(elements))
        (problem.inputGradient, problem.initialStateGradient) = (elements(inputGradient), elements(entering))
        (problem.aGradient, problem.bGradient, problem.cGradient) = (elements(aGradient), elements(bGradient), elements(cGradient))
        withExtendedLifetime((output, state)) { run(&problem, backward: true) }
        return [inputGradient, aGradient.sum(axis: 0), bGradient.sum(axis: 0), cGradient.sum(axis: 0), entering]
    }

    private var outputShape: [Int] { [input.dim(0), input.dim(1), C.dim(1), input.dim(2)] }
    private var stateShape: [Int] { [input.dim(0), input.dim(1), C.dim(2)] }

    private func problem() -> CTStateSpace {
        var problem: CTStateSpace = CTStateSpace()
        (problem.batch, problem.features, problem.length) = (Int64(input.dim(0)), Int64(input.dim(1)), Int64(input.dim(2)))
        (problem.channels, problem.order) = (Int64(C.dim(1)), Int64(C.dim(2)))
        (problem.input, problem.a) = (UnsafePointer(elements(input)), UnsafePointer(elements(A)))
        (problem.b, problem.c) = (UnsafePointer(elements(B)), UnsafePointer(elements(C)))
        problem.initialState = UnsafePointer(initialState.map(elements))
        problem.mask = UnsafePointer(mask.map(elements))
        return problem
    }

    private func run(_ problem: inout CTStateSpace, backward: Bool) {
        let status: Int32 = withExtendedLifetime(self) { ct_state_space(&problem, backward) }
        if status != 0 { ErrorCapture.fail("FusedStateSpace") }
    }
}
