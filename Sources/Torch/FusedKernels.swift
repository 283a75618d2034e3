import CTorch

/// Recurrences over time that run as one C++ kernel: float32, on the CPU, forward and backward without intermediate tensors.
public enum FusedKernels {
    /// Whether operators take their fused form where they have one. False in a debug build, in which the kernels are not optimised.
    @TaskLocal public static var isEnabled: Bool = ct_kernels_optimized()

    /// The vectors in use: `avx512`, `avx2` or `baseline`.
    public static var variant: String { String(cString: ct_kernel_variant()) }

    /// Vectors to use from now on, in the whole process. Gives false for a name that is unknown or that the processor lacks.
    public static func use(variant: String) -> Bool { ct_set_kernel_variant(variant) }
}

/// One call of a fused recurrence with a matrix state, `S_t = transition_t(S_{t-1}) + k_t v_tᵀ`, `o_t = scale · S_tᵀ q_t`.
///
/// Tensors are float32 on the CPU: `q`, `k` `[B, T, H, K]`, `v` `[B, T, H, V]`. Nothing is copied where the last axis is dense.
public struct FusedAttention {
    /// What the gate does.
    public enum Kind: Sendable {
        /// Log-decay of a whole head, `[B, T, H]`, or no gate and no decay.
        case headDecay
        /// Log-decay of each key channel, `[B, T, H, K]`.
        case channelDecay
        /// The delta rule's write strength, `[B, T, H]`.
        case delta
    }

    /// Gradients in the inputs' shapes.
    public struct Gradients {
        public let q: Tensor
        public let k: Tensor
        public let v: Tensor
        /// Nil unless asked for.
        public let gate: Tensor?
        /// `[B, H, K, V]`.
        public let initialState: Tensor
    }

    private let kind: Kind
    private let scale: Double
    private let q: Tensor
    private let k: Tensor
    private let v: Tensor
    private let gate: Tensor?
    private let initialState: Tensor?

    /// - Parameters:
    ///   - kind: what the gate does.
    ///   - q: `[B, T, H, K]`.
    ///   - k: `[B, T, H, K]`.
    ///   - v: `[B, T, H, V]`.
    ///   - gate: as the kind says; at most 0 where it is a log-decay.
    ///   - scale: factor on `q`.
    ///   - initialState: `[B, H, K, V]`; zeros without one.
    public init(_ kind: Kind, q: Tensor, k: Tensor, v: Tensor, gate: Tensor?, initialState: Tensor?, scale: Double) {
        let (queries, values): ([Int], [Int]) = (q.shape, v.shape)
        let gateShape: [Int] = kind == .channelDecay ? queries : Array(queries.dropLast())
        precondition(
            queries.count == 4 && k.shape == queries && values.count == 4 && values.dropLast() == queries.dropLast()
                && (gate.map { $0.shape == gateShape } ?? (kind == .headDecay))
                && (initialState.map { $0.shape == [queries[0], queries[2], queries[3], values[3]] } ?? true),
            "FusedAttention: q \(queries), k \(k.shape), v \(values), gate \(gate?.shape ?? []) and state \(initialState?.shape ?? []) do not fit"
        )
        self.kind = kind
        self.scale = scale
        (self.q, self.k, self.v) = (q.denseRows(), k.denseRows(), v.denseRows())
        self.gate = kind == .channelDecay ? gate?.denseRows() : gate
        self.initialState = initialState?.contiguous()
    }

    /// - Returns: the output `[B, T, H, V]` and the final state `[B, H, K, V]`.
    public func forward() -> (output: Tensor, state: Tensor) {
        let (output, state): (Tensor, Tensor) = (.empty(v.shape, device: .cpu), .empty(stateShape, device: .cpu))
        var problem: CTAttention = problem()
        problem.output = CTSequence(output)
        problem.finalState = elements(state)
        run(&problem, backward: false)
        return (output, state)
    }

    /// - Parameters:
    ///   - outputGradient: `[B, T, H, V]`; nil is zero.
    ///   - stateGradient: of the final state, `[B, H, K, V]`; nil is zero.
    ///   - gateNeedsGradient: whether to compute the gate's gradient as well.
    public func backward(outputGradient: Tensor?, stateGradient: Tensor?, gateNeedsGradient: Bool) -> Gradients {
        let output: Tensor = (outputGradient ?? v.zerosLike()).denseRows()
        let state: Tensor? = stateGradient?.contiguous()
        let gradients: Gradients = Gradients(
            q: .empty(q.shape, device: .cpu), k: .empty(k.shape, device: .cpu), v: .empty(v.shape, device: .cpu),
            gate: gateNeedsGradient ? gate.map { .empty($0.shape, device: .cpu) } : nil, initialState: .empty(stateShape, device: .cpu))
        var problem: CTAttention = problem()
        problem.outputGradient = CTSequence(output)
        problem.finalStateGradient = UnsafePointer(state.map(elements))
        problem.qGradient = CTSequence(gradients.q)
        problem.kGradient = CTSequence(gradients.k)
        problem.vGradient = CTSequence(gradients.v)
        if let gate = gradients.gate { problem.gateGradient = CTSequence(gate) }
        problem.initialStateGradient = elements(gradients.initialState)
        withExtendedLifetime((output, state)) { run(&problem, backward: true) }
        return gradients
    }

    private var stateShape: [Int] { [q.dim(0), q.dim(2), q.dim(3), v.dim(3)] }

    private func problem() -> CTAttention {
        var problem: CTAttention = CTAttention()
        switch kind {
        case .headDecay: problem.kind = CTAttentionHeadDecay
        case .channelDecay: problem.kind = CTAttentionChannelDecay
        case .delta: problem.kind = CTAttentionDelta
        }
        problem.scale = Float(scale)
        (problem.batch, problem.length, problem.heads) = (Int64(q.dim(0)), Int64(q.dim(1)), Int64(q.dim(2)))
        (problem.keys, problem.values) = (Int64(q.dim(3)), Int64(v.dim(3)))
        (problem.q, problem.k, problem.v) = (CTSequence(q), CTSequence(k), CTSequence(v))
        if let gate { problem.gate = CTSequence(gate) }
        problem.initialState = UnsafePointer(initialState.map(elements))
        return problem
    }

    private func run(_ problem: inout CTAttention, backward: Bool) {
        let status: Int32 = withExtendedLifetime(self) { ct_attention(&problem, backward) }
        if status != 0 { ErrorCapture.fail("FusedAttention") }
    }
}

/// One call of a fused selective scan: for every channel d and state n `h_t = exp(Δ_t A) h_{t-1} + Δ_t u_t B_t`, `y_t = Σ_n C_t h_t`.
///
/// Tensors are float32 on the CPU: `u`, `step` (Δ) `[B, T, D]`, `A` `[N, D]`, `B`, `C` `[B, T, N]`.
public struct FusedSelectiveScan {
    private let u: Tensor
    private let step: Tensor
    private let A: Tensor
    private let B: Tensor
    private let C: Tensor
    private let initialState: Tensor?

    /// - Parameters:
    ///   - u: `[B, T, D]`.
    ///   - step: Δ, `[B, T, D]`, at least 0.
    ///   - A: `[N, D]`, at most 0.
    ///   - B: `[B, T, N]`.
    ///   - C: `[B, T, N]`.
    ///   - initialState: `[B, N, D]`; zeros without one.
    public init(u: Tensor, step: Tensor, A: Tensor, B: Tensor, C: Tensor, initialState: Tensor?) {
        let (inputs, maps): ([Int], [Int]) = (u.shape, B.shape)
        precondition(
            inputs.count == 3 && step.shape == inputs && maps.count == 3 && C.shape == maps && maps.prefix(2) == inputs.prefix(2)
                && A.shape == [maps[2], inputs[2]] && (initialState.map { $0.shape == [inputs[0], maps[2], inputs[2]] } ?? true),
            "FusedSelectiveScan: u \(inputs), step \(step.shape), A \(A.shape), B \(maps), C \(C.shape) and state \(initialState?.shape ?? []) do not fit"
        )
        (self.u, self.step, self.B, self.C) = (u.denseRows(), step.denseRows(), B.denseRows(), C.denseRows())
        self.A = A.contiguous()
        self.initialState = initialState?.contiguous()
    }

    /// - Returns: the output `[B, T, D]` and the final state `[B, N, D]`.
    public func forward() -> (output: Tensor, state: Tensor) {
        let (output, state): (Tensor, Tensor) = (.empty(u.shape, device: .cpu), .empty(stateShape, device: .cpu))
        var problem: CTSelectiveScan = problem()
        problem.output = CTSequence(output)
        problem.finalState = elements(state)
        run(&problem, backward: false)
        return (output, state)
    }

    /// Gradients of u, step, A, B, C and the initial state, in this order and in their shapes.
    /// - Parameters:
    ///   - outputGradient: `[B, T, D]`; nil is zero.
    ///   - stateGradient: of the final state, `[B, N, D]`; nil is zero.
    public func backward(outputGradient: Tensor?, stateGradient: Tensor?) -> [Tensor] {
        let output: Tensor = (outputGradient ?? u.zerosLike()).denseRows()
        let state: Tensor? = stateGradient?.contiguous()
        // Each group of channels has gradients of B and C of its own, so that threads do not meet; enough groups for all threads.
        let groups: Int = min((u.dim(2) + 15) / 16, max(1, (Threads.count + u.dim(0) - 1) / max(1, u.dim(0))))
        let (uGradient, stepGradient): (Tensor, Tensor) = (.empty(u.shape, device: .cpu), .empty(u.shape, device: .cpu))
        let (aGradient, entering): (Tensor, Tensor) = (.empty(stateShape, device: .cpu), .empty(stateShape, device: .cpu))
        let (bGradient, cGradient): (Tensor, Tensor) = (
            .zeros([groups] + B.shape, device: .cpu), .zeros([groups] + C.shape, device: .cpu)
        )
        var problem: CTSelectiveScan = problem()
        problem.groups = Int64(groups)
        problem.outputGradient = CTSequence(output)
        problem.finalStateGradient = UnsafePointer(state.map(elements))
        (problem.uGradient, problem.stepGradient) = (CTSequence(uGradient), CTSequence(stepGradient))
        (problem.aGradient, problem.initialStateGradient) = (elements(aGradient), elements(entering))
        (problem.bGradient, problem.cGradient) = (elements(bGradient), elements(cGradient))
        withExtendedLifetime((output, state)) { run(&problem, backward: true) }
        return [uGradient, stepGradient, aGradient.sum(axis: 0), bGradient.sum(axis: 0), cGradient.sum(axis: 0), entering]
    }

    private var stateShape: [Int] { [u.dim(0), A.dim(0), u.dim(2)] }

    private func problem() -> CTSelectiveScan {
        var problem: CTSelectiveScan = CTSelectiveScan()
        (problem.batch, problem.length) = (Int64(u.dim(0)), Int64(u.dim(1)))
        (problem.channels, problem.order) = (Int64(u.dim(2)), Int64(A.dim(0)))
        (problem.u, problem.step, problem.b, problem.c) = (CTSequence(u), CTSequence(step), CTSequence(B), CTSequence(C))
        problem.a = UnsafePointer(elements(A))
        problem.initialState = UnsafePointer(initialState.map(elements))
        return problem
    }

    private func run(_ problem: inout CTSelectiveScan, backward: Bool) {
        let status: Int32 = withExtendedLifetime(self) { ct_selective_scan(&problem, backward) }
        if status != 0 { ErrorCapture.fail("FusedSelectiveScan") }
    }
}

/// Start of a float32 CPU tensor's elements.
func elements(_ tensor: Tensor) -> UnsafeMutablePointer<Float> {
    precondition(tensor.dtype == .float32, "a fused kernel takes float32, not \(tensor.dtype)")
    var pointer: UnsafeMutableRawPointer?
    if ct_data(tensor.handle, &pointer) != 0 { ErrorCapture.fail("a fused kernel") }
    return pointer?.assumingMemoryBound(to: Float.self) ?? noElements
}

/// Where an empty tensor's elements would be; never read.
private nonisolated(unsafe) let noElements: UnsafeMutablePointer<Float> = .allocate(capacity: 1)

extension Tensor {
    /// The tensor itself where neighbours on the last axis are neighbours in memory, else a copy of which that is true.
    fileprivate func denseRows() -> Tensor { strides.last == 1 || dim(-1) == 1 ? self : contiguous() }
}

extension CTSequence {
    /// `[B, T, …]` with the strides of its first three axes.
    fileprivate init(_ tensor: Tensor) {
        let strides: [Int64] = tensor.strides.map(Int64.init)
        self.init(data: elements(tensor), batch: strides[0], time: strides[1], head: strides[2])
    }
}
