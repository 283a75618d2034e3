import Torch

/// A linear recurrence of each channel by itself: `h_t = exp(g_t) h_{t-1} + x_t`, the core of HGRN and of other gated recurrent layers.
///
/// The factor `1 − forget` that HGRN puts on its input is the caller's. In chunks, each chunk is scanned by doubling: after the level of
/// distance d every step holds the sum over its last 2d steps, in log₂ C levels whose exponents are sums of gates and hence at most 0. Computed
/// in float32 (float64 for float64 inputs) and differentiable in every input; the backward is the same recurrence, run backwards in time.
///
/// Source: Qin, Yang, Zhong, *Hierarchically Gated Recurrent Neural Network for Sequence Modeling*, 2023, equation 3.
/// - Parameters:
///   - x: inputs `[B, T, D]`.
///   - logGate: natural logarithm of each channel's decay, `[B, T, D]`, at most 0 and finite.
///   - initialState: `[B, D]`; zeros unless given.
///   - mask: `[B, T]`, 1 for real tokens; the others neither decay nor add.
///   - mode: see ``MixerMode``; without one, by the length.
/// - Returns: the states at all steps `[B, T, D]` in `x`'s type, and the last one `[B, D]`.
public func elementwiseRecurrence(
    _ x: Tensor, logGate: Tensor, initialState: Tensor? = nil, mask: Tensor? = nil, mode: MixerMode? = nil
) -> (output: Tensor, state: Tensor) {
    precondition(
        x.ndim == 3 && x.dim(1) > 0 && logGate.shape == x.shape,
        "elementwiseRecurrence: x and logGate are [B, T, D]; found \(x.shape), \(logGate.shape)")
    let accumulator: DType = x.dtype.accumulator
    let (inputs, gates): (Tensor, Tensor) = (x.masked(by: mask).asType(accumulator), logGate.masked(by: mask).asType(accumulator))
    let start: Tensor = initialState?.asType(accumulator) ?? .zeros([x.dim(0), x.dim(2)], dtype: accumulator, device: x.device)
    precondition(start.shape == [x.dim(0), x.dim(2)], "elementwiseRecurrence: an initial state of shape \(start.shape) for x \(x.shape)")
    guard let chunk: Int = MixerMode.chunk(for: mode, length: x.dim(1)) else {
        let states: Tensor = steppedRecurrence(inputs, gates, from: start)
        return (states.asType(x.dtype), last(states))
    }
    let states: Tensor = customFunction("elementwiseRecurrence", [inputs, gates, start]) { tensors in
        let forward: Tensor = scannedRecurrence(tensors[0], tensors[1], from: tensors[2], chunk: chunk)
        return ([forward], { recurrenceGradients(tensors, output: $0[0], chunk: chunk) })
    }[0]
    return (states.asType(x.dtype), last(states))
}

/// `[B, T, D]` at the last step.
private func last(_ states: Tensor) -> Tensor { states.selected(axis: 1, index: states.dim(1) - 1) }

/// Step by step, as it is defined.
private func steppedRecurrence(_ x: Tensor, _ gates: Tensor, from start: Tensor) -> Tensor {
    var state: Tensor = start
    var states: [Tensor] = []
    for (input, gate) in zip(x.unbound(axis: 1), gates.unbound(axis: 1)) {
        state = gate.exp() * state + input
        states.append(state)
    }
    return stacked(states, axis: 1)
}

/// By doubling inside chunks and step by step over them.
private func scannedRecurrence(_ x: Tensor, _ gates: Tensor, from start: Tensor, chunk: Int) -> Tensor {
    let (batch, length, channels): (Int, Int, Int) = (x.dim(0), x.dim(1), x.dim(2))
    let chunks: Int = (length + chunk - 1) / chunk
    func cut(_ tensor: Tensor) -> Tensor {
        tensor.padded([(0, 0), (0, chunks * chunk - length)]).reshaped(batch, chunks, chunk, channels)
    }
    func delayed(_ tensor: Tensor, _ distance: Int) -> Tensor {
        tensor.narrowed(axis: 2, start: 0, length: chunk - distance).padded([(0, 0), (distance, 0)])
    }
    var (sums, decays): (Tensor, Tensor) = (cut(x), cut(gates))
    var distance: Int = 1
    while distance < chunk {
        sums = sums + decays.exp() * delayed(sums, distance)
        decays = decays + delayed(decays, distance)
        distance *= 2
    }
    // Now the sums within each chunk, and the logarithm of the decay since before it.
    let sinceStart: Tensor = decays.exp()
    let (ends, factors): ([Tensor], [Tensor]) = (lastSteps(sums), lastSteps(sinceStart))
    var entering: [Tensor] = [start]
    for index in 0..<chunks - 1 { entering.append(factors[index] * entering[index] + ends[index]) }
    let states: Tensor = sums + sinceStart * stacked(entering, axis: 1).expandedDimensions(axis: 2)
    return states.reshaped(batch, chunks * chunk, channels).narrowed(axis: 1, start: 0, length: length)
}

/// The last steps of chunks `[B, n, C, D]`, `n × [B, D]`.
private func lastSteps(_ chunks: Tensor) -> [Tensor] { chunks.selected(axis: 2, index: chunks.dim(2) - 1).unbound(axis: 1) }

/// Gradients of x, the gates and the initial state: `dh_t = do_t + exp(g_{t+1}) dh_{t+1}`, `dg_t = dh_t ⊙ exp(g_t) h_{t-1}`.
private func recurrenceGradients(_ tensors: [Tensor], output: Tensor?, chunk: Int) -> [Tensor?] {
    guard let output else { return [nil, nil, nil] }
    let (gates, start): (Tensor, Tensor) = (tensors[1], tensors[2])
    let length: Int = gates.dim(1)
    // In reversed time the gate of a step is the one between it and the step after it; the first has none.
    let later: Tensor = gates.narrowed(axis: 1, start: 1, length: length - 1).padded([(0, 0), (0, 1)])
    let gradient: Tensor = scannedRecurrence(
        output.flipped(axes: [1]), later.flipped(axes: [1]), from: start.zerosLike(), chunk: chunk
    ).flipped(axes: [1])
    let states: Tensor = scannedRecurrence(tensors[0], gates, from: start, chunk: chunk)
    let before: Tensor = concatenated([start.expandedDimensions(axis: 1), states.narrowed(axis: 1, start: 0, length: length - 1)], axis: 1)
    let passed: Tensor = gradient * gates.exp()
    return [gradient, passed * before, passed.selected(axis: 1, index: 0)]
}
