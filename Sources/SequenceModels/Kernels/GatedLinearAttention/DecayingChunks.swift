import Torch

/// What a call in chunks is about, apart from its tensors.
struct DecayingProblem {
    private let subchunk: Int?
    let gated: Bool
    let gateNeedsGradient: Bool
    let scale: Double
    let layout: ChunkLayout

    init(gate: Gate, scale: Double, layout: ChunkLayout) {
        if case .channels(_, let subchunk) = gate { self.subchunk = subchunk } else { subchunk = nil }
        gated = gate.logDecay != nil
        gateNeedsGradient = gate.logDecay?.requiresGrad ?? false
        self.scale = scale
        self.layout = layout
    }

    func decay(_ logDecay: Tensor?) -> any ChunkDecay {
        let chunks: Tensor? = logDecay.map(layout.split)
        if let chunks, let subchunk { return ChannelDecay(chunks, subchunk: subchunk) }
        return HeadDecay(chunks)
    }
}

/// One call of a decaying attention in chunks.
///
/// A chunk that is entered with state S gives `O = (Q ⊙ e^b) S + (attention among its own steps)` and leaves
/// `e^{b_C} ⊙ S + (K ⊙ e^{b_C − b})ᵀ V`; only the latter runs in order of time, and it is one fused multiply-add for each chunk.
struct DecayingChunks {
    private let problem: DecayingProblem
    private let inputs: [Tensor]
    private let decay: any ChunkDecay
    /// Scaled queries and keys `[M, C, K]`, values `[M, C, V]`.
    private let q: Tensor
    private let k: Tensor
    private let v: Tensor
    /// Queries decayed since the chunk's start, keys decayed until its end.
    private let readers: Tensor
    private let writers: Tensor

    /// - Parameter inputs: q, k, v, then the log-decay if the problem is gated, then possibly the initial state; public layout.
    init(_ inputs: [Tensor], _ problem: DecayingProblem) {
        self.problem = problem
        self.inputs = inputs
        q = problem.layout.split(inputs[0]) * problem.scale
        k = problem.layout.split(inputs[1])
        v = problem.layout.split(inputs[2])
        decay = problem.decay(problem.gated ? inputs[3] : nil)
        readers = q.weighted(by: decay.sinceStart)
        writers = k.weighted(by: decay.untilEnd)
    }

    private var layout: ChunkLayout { problem.layout }

    private var initialState: Tensor? {
        let index: Int = problem.gated ? 4 : 3
        return inputs.count > index ? inputs[index] : nil
    }

    /// `S ← decay over the chunk ⊙ S + update`, forwards for states and backwards for their gradients.
    private func scan(from initial: Tensor, updates: Tensor, reversed: Bool = false) -> (entering: Tensor, leaving: Tensor) {
        guard let overall: Tensor = decay.overall else {
            return layout.scan(from: initial, updates: updates, transitions: updates, reversed: reversed) { state, _, update in
                state + update
            }
        }
        return layout.scan(from: initial, updates: updates, transitions: overall, reversed: reversed) {
            $2.addingProduct($1, $0)
        }
    }

    private func states() -> (entering: Tensor, leaving: Tensor) {
        scan(from: layout.shape.initialState(initialState), updates: writers.mT.bmm(v))
    }

    func forward() -> (output: Tensor, state: Tensor) {
        let (entering, leaving): (Tensor, Tensor) = states()
        let output: Tensor = decay.addAttention(q: q, k: k, v: v, to: readers.bmm(entering))
        return (layout.join(output, dtype: inputs[2].dtype), layout.shape.publicState(leaving))
    }

    /// Gradients of the inputs, in their order. Nil is a zero gradient.
    func backward(outputGradient: Tensor?, stateGradient: Tensor?) -> [Tensor?] {
        let output: Tensor = layout.split(outputGradient ?? inputs[2].zerosLike())
        let (entering, final): (Tensor, Tensor) = states()
        let finalGradient: Tensor = layout.shape.initialState(stateGradient)
        // The gradient at the state that leaves each chunk, and at last at the initial state.
        let (leavingGradient, initialGradient): (Tensor, Tensor) = scan(
            from: finalGradient, updates: readers.mT.bmm(output), reversed: true)
        let inside: (q: Tensor, k: Tensor, v: Tensor) = decay.gradients(q: q, k: k, v: v, output: output)
        let queryGradient: Tensor = inside.q + output.bmm(entering.mT).weighted(by: decay.sinceStart)
        let keyGradient: Tensor = inside.k + v.bmm(leavingGradient.mT).weighted(by: decay.untilEnd)
        let valueGradient: Tensor = inside.v.addingBatchProduct(writers, leavingGradient)

        var gradients: [Tensor?] = zip([queryGradient * problem.scale, keyGradient, valueGradient], inputs).map {
            layout.join($0, dtype: $1.dtype)
        }
        if problem.gated {
            gradients.append(
                problem.gateNeedsGradient
                    ? gateGradient(q: queryGradient, k: keyGradient, finalStateTerm: (final * finalGradient).sum(axis: 2)) : nil)
        }
        if let initialState { gradients.append(layout.shape.publicState(initialGradient).asType(initialState.dtype)) }
        return gradients
    }

    /// The gate's gradient in closed form: with b summed over the whole sequence, queries enter as `q ⊙ e^b`, keys as `k ⊙ e^{−b}` and
    /// the final state as `e^{b_T}`, hence `db_t = q_t ⊙ dq_t − k_t ⊙ dk_t`, plus `Σ_V S_T ⊙ dS_T` at T, and `dg` sums `db` from each step on.
    /// - Parameter finalStateTerm: `[B·H, K]`.
    private func gateGradient(q queryGradient: Tensor, k keyGradient: Tensor, finalStateTerm: Tensor) -> Tensor {
        let perChannel: Tensor = q * queryGradient - k * keyGradient
        let logGate: Tensor = inputs[3]
        let perHead: Bool = logGate.ndim == 3
        let sums: Tensor = perHead ? perChannel.sum(axis: 2, keepDims: true) : perChannel
        let final: Tensor = perHead ? finalStateTerm.sum(axis: 1, keepDims: true) : finalStateTerm
        let gradient: Tensor = layout.logDecayGradient(sums: sums, final: final, dtype: logGate.dtype)
        return perHead ? gradient.squeezed(axis: 3) : gradient
    }
}
