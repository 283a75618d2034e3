import Torch

/// The selective scan: a diagonal state space for every channel whose step width, input and output maps are computed from the tokens.
///
/// For each channel d and state n, from `h₀` (zeros unless given), with `Δ_t = softplus(delta_t + deltaBias)`:
///
///     h_t[d, n] = exp(Δ_t[d] A[d, n]) h_{t-1}[d, n] + Δ_t[d] u_t[d] B_t[n]
///     y_t[d] = (Σ_n C_t[n] h_t[d, n] + D[d] u_t[d]) · silu(z_t[d])
///
/// A is discretised by zero-order hold, B by Euler's rule. Computed in float32 (float64 for float64 inputs) and differentiable in every
/// input. Only decays, which are at most 1, are multiplied with one another, so any finite step is safe. Training memory is the inputs
/// and the state that enters each chunk: the backward computes the states inside a chunk again.
///
/// Source: Gu, Dao, *Mamba: Linear-Time Sequence Modeling with Selective State Spaces*, 2023, section 3 and algorithm 2.
/// - Parameters:
///   - u: `[B, T, D]`.
///   - delta: step widths before the softplus, `[B, T, D]`.
///   - A: `[D, N]`, at most 0.
///   - B: `[B, T, N]`, shared by the channels.
///   - C: `[B, T, N]`, shared by the channels.
///   - D: `[D]`; nil leaves the skip connection out.
///   - z: gate `[B, T, D]`; nil leaves it out.
///   - deltaBias: `[D]`, added to `delta`.
///   - initialState: `[B, D, N]`.
///   - mask: `[B, T]`, 1 for real tokens; at the others `Δ = 0`, so they neither decay nor write.
///   - mode: see ``MixerMode``; without one, by the length.
/// - Returns: the output `[B, T, D]` in `u`'s type and the final state `[B, D, N]`.
public func selectiveScan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor? = nil, z: Tensor? = nil, deltaBias: Tensor? = nil,
    initialState: Tensor? = nil, mask: Tensor? = nil, mode: MixerMode? = nil
) -> (output: Tensor, state: Tensor) {
    let shape: SelectiveScanShape = SelectiveScanShape(u: u, delta: delta, A: A, B: B, C: C)
    let input: Tensor = u.asType(shape.accumulator)
    let wide: Tensor = delta.asType(shape.accumulator)
    let step: Tensor = (deltaBias.map { wide + $0.asType(shape.accumulator) } ?? wide).softplus().masked(by: mask)
    let (mixed, state): (Tensor, Tensor) = shape.scan(
        ScanInputs(
            u: input, step: step, A: A.asType(shape.accumulator).mT, B: B.asType(shape.accumulator), C: C.asType(shape.accumulator),
            initialState: shape.initialState(initialState)), mode: mode)
    let skipped: Tensor = D.map { mixed.addingProduct(input, $0.asType(shape.accumulator)) } ?? mixed
    let gated: Tensor = z.map { skipped * $0.asType(shape.accumulator).silu() } ?? skipped
    return (gated.asType(u.dtype), state.mT.contiguous())
}

/// The sizes of a selective scan, checked once where the call comes in.
struct SelectiveScanShape {
    let batch: Int
    let length: Int
    let channels: Int
    let order: Int
    /// Arithmetic and state: float64 for float64 inputs, else float32.
    let accumulator: DType
    private let device: Device

    /// Traps unless `u` and `delta` are `[B, T, D]`, `A` is `[D, N]` and `B`, `C` are `[B, T, N]`, with T above 0.
    init(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) {
        let (inputs, matrix): ([Int], [Int]) = (u.shape, A.shape)
        precondition(
            inputs.count == 3 && inputs[1] > 0 && delta.shape == inputs && matrix.count == 2 && matrix[0] == inputs[2],
            "selectiveScan: u and delta are [B, T, D] and A is [D, N]; found u \(inputs), delta \(delta.shape), A \(matrix)")
        let expected: [Int] = [inputs[0], inputs[1], matrix[1]]
        precondition(
            B.shape == expected && C.shape == expected,
            "selectiveScan: B and C of shapes \(B.shape) and \(C.shape) where \(expected) is needed"
        )
        (batch, length, channels, order) = (inputs[0], inputs[1], inputs[2], matrix[1])
        accumulator = u.dtype.accumulator
        device = u.device
    }

    /// The state before the first step as `[B, N, D]`. Traps for another shape than `[B, D, N]`.
    func initialState(_ given: Tensor?) -> Tensor {
        guard let given else { return .zeros([batch, order, channels], dtype: accumulator, device: device) }
        let expected: [Int] = [batch, channels, order]
        precondition(given.shape == expected, "selectiveScan: an initial state of shape \(given.shape) where \(expected) is needed")
        return given.asType(accumulator).mT
    }

    /// `h_t = exp(Δ_t A) ⊙ h_{t-1} + Δ_t u_t B_tᵀ`, `y_t = C_t h_t` in the form that the mode asks for: `[B, T, D]` and `[B, N, D]`.
    func scan(_ inputs: ScanInputs, mode: MixerMode?) -> (output: Tensor, state: Tensor) {
        guard let chunk: Int = MixerMode.chunk(for: mode, length: length) else { return inputs.recurrence() }
        if FusedForm.applies(to: accumulator, on: device, mode: mode) {
            return fusedSelectiveScan(
                u: inputs.u, step: inputs.step, A: inputs.A, B: inputs.B, C: inputs.C, initialState: inputs.initialState)
        }
        let results: [Tensor] = customFunction("selectiveScan", inputs.tensors) { tensors in
            let chunks: SelectiveScanChunks = SelectiveScanChunks(ScanInputs(tensors), chunk: chunk)
            let (output, states): (Tensor, [Tensor]) = chunks.forward()
            let entering: [Tensor] = Array(states.dropLast())
            return (
                [output, states[states.count - 1]], { chunks.backward(outputGradient: $0[0], stateGradient: $0[1], entering: entering) }
            )
        }
        return (results[0], results[1])
    }
}

/// What the recurrence reads, in its own layout: states before channels, so that the longer axis is the inner one.
struct ScanInputs {
    /// `[B, T, D]`
    var u: Tensor
    /// Δ, `[B, T, D]`
    var step: Tensor
    /// `[N, D]`
    var A: Tensor
    /// `[B, T, N]`
    var B: Tensor
    /// `[B, T, N]`
    var C: Tensor
    /// `[B, N, D]`
    var initialState: Tensor

    /// As one list, in the order of the properties.
    var tensors: [Tensor] { [u, step, A, B, C, initialState] }

    /// The steps `start ..< start + length`; the state before them is `state`.
    func piece(start: Int, length: Int, state: Tensor) -> ScanInputs {
        func cut(_ tensor: Tensor) -> Tensor { tensor.narrowed(axis: 1, start: start, length: length) }
        return ScanInputs(u: cut(u), step: cut(step), A: A, B: cut(B), C: cut(C), initialState: state)
    }

    /// Step by step, as it is defined: the reference for the chunked form.
    func recurrence() -> (output: Tensor, state: Tensor) {
        let writes: [Tensor] = (step * u).unbound(axis: 1)
        let (steps, inputs, readers): ([Tensor], [Tensor], [Tensor]) = (step.unbound(axis: 1), B.unbound(axis: 1), C.unbound(axis: 1))
        var state: Tensor = initialState
        var outputs: [Tensor] = []
        for t in steps.indices {
            let decay: Tensor = (steps[t].expandedDimensions(axis: 1) * A).exp()
            state = decay * state + inputs[t].expandedDimensions(axis: 2) * writes[t].expandedDimensions(axis: 1)
            outputs.append(readers[t].expandedDimensions(axis: 1).bmm(state).squeezed(axis: 1))
        }
        return (stacked(outputs, axis: 1), state)
    }
}

extension ScanInputs {
    /// From ``tensors``.
    init(_ tensors: [Tensor]) {
        self.init(u: tensors[0], step: tensors[1], A: tensors[2], B: tensors[3], C: tensors[4], initialState: tensors[5])
    }
}
