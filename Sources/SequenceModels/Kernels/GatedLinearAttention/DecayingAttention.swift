import Torch

/// How a state fades from step to step.
enum Gate {
    case none
    /// Log-decay of each head, `[B, T, H]`.
    case heads(Tensor)
    /// Log-decay of each key channel, `[B, T, H, K]`.
    case channels(Tensor, subchunk: Int)

    var logDecay: Tensor? {
        switch self {
        case .none: nil
        case .heads(let gate), .channels(let gate, _): gate
        }
    }

    var fusedKind: FusedAttention.Kind {
        if case .channels = self { .channelDecay } else { .headDecay }
    }

    /// The same kind of gate with another log-decay.
    func with(_ logDecay: Tensor) -> Gate {
        switch self {
        case .none: .none
        case .heads: .heads(logDecay)
        case .channels(_, let subchunk): .channels(logDecay, subchunk: subchunk)
        }
    }
}

/// `S_t = decay_t ⊙ S_{t-1} + k_t v_tᵀ`, `o_t = scale · S_tᵀ q_t`: every operator of this folder and of LinearAttention.
func decayingAttention(
    _ name: StaticString, q: Tensor, k: Tensor, v: Tensor, gate: Gate, scale: Double?, initialState: Tensor?, mask: Tensor?,
    mode: MixerMode?
) -> (output: Tensor, state: Tensor) {
    let shape: AttentionShape = AttentionShape("\(name)", q: q, k: k, v: v)
    switch gate {
    case .none: break
    case .heads(let logDecay): shape.check(logDecay, "\(name): logGate")
    case .channels(let logDecay, _): shape.check(logDecay, "\(name): logGate", trailing: [shape.keyDimensions])
    }
    let scale: Double = shape.scale(scale)
    let (keys, values): (Tensor, Tensor) = (k.masked(by: mask), v.masked(by: mask))
    let gate: Gate = gate.logDecay.map { gate.with($0.masked(by: mask)) } ?? gate
    guard let chunk: Int = MixerMode.chunk(for: mode, length: shape.length) else {
        return decayingRecurrence(q: q, k: keys, v: values, gate: gate, scale: scale, initialState: initialState, shape: shape)
    }
    let layout: ChunkLayout = ChunkLayout(shape: shape, chunk: ChannelDecay.chunk(atLeast: chunk, gate: gate))
    let problem: DecayingProblem = DecayingProblem(gate: gate, scale: scale, layout: layout)
    let inputs: [Tensor] = [q, keys, values] + [gate.logDecay, initialState].compactMap { $0 }
    let fused: FusedForm? =
        FusedForm.applies(to: shape, mode: mode)
        ? FusedForm(kind: gate.fusedKind, scale: scale, gated: problem.gated, gateNeedsGradient: problem.gateNeedsGradient) : nil
    let results: [Tensor] = customFunction(name, inputs) { inputs in
        if let fused {
            return (
                fused.forward(inputs),
                {
                    isGradEnabled
                        ? DecayingChunks(inputs, problem).backward(outputGradient: $0[0], stateGradient: $0[1])
                        : fused.backward(inputs, outputGradient: $0[0], stateGradient: $0[1])
                }
            )
        }
        let (output, state): (Tensor, Tensor) = DecayingChunks(inputs, problem).forward()
        return ([output, state], { DecayingChunks(inputs, problem).backward(outputGradient: $0[0], stateGradient: $0[1]) })
    }
    return (results[0], results[1])
}

/// The recurrence step by step, as it is defined: the reference for the chunked form.
private func decayingRecurrence(
    q: Tensor, k: Tensor, v: Tensor, gate: Gate, scale: Double, initialState: Tensor?, shape: AttentionShape
) -> (output: Tensor, state: Tensor) {
    let (queries, keys, values): ([Tensor], [Tensor], [Tensor]) = (shape.steps(q), shape.steps(k), shape.steps(v))
    // [B·H, K, 1] or [B·H, 1, 1]: decays scale the rows of the state.
    let decays: [Tensor]? = gate.logDecay.map { shape.steps($0).map { $0.exp().expandedDimensions(axis: 2) } }
    var state: Tensor = shape.initialState(initialState)
    var outputs: [Tensor] = []
    for t in 0..<shape.length {
        let kept: Tensor = decays.map { $0[t] * state } ?? state
        state = kept + keys[t].expandedDimensions(axis: 2) * values[t].expandedDimensions(axis: 1)
        outputs.append((queries[t] * scale).expandedDimensions(axis: 1).bmm(state).squeezed(axis: 1))
    }
    return (shape.joined(steps: outputs, dtype: v.dtype), shape.publicState(state))
}
