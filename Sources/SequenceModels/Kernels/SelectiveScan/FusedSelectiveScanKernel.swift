import Torch

/// The recurrence of a selective scan as one kernel: `h_t = exp(Δ_t A) ⊙ h_{t-1} + Δ_t u_t B_t`, `y_t = Σ_n C_t h_t` for each channel.
///
/// float32 on the CPU; differentiable in every input. The backward computes the states again from those that enter every 64 steps; one that is
/// itself differentiated takes the form made of operators.
///
/// Source: Gu, Dao, *Mamba: Linear-Time Sequence Modeling with Selective State Spaces*, 2023, algorithm 2.
/// - Parameters:
///   - u: `[B, T, D]`.
///   - step: Δ, `[B, T, D]`, at least 0.
///   - A: `[N, D]`, at most 0.
///   - B: `[B, T, N]`, shared by the channels.
///   - C: `[B, T, N]`, shared by the channels.
///   - initialState: `[B, N, D]`; zeros unless given.
/// - Returns: the output `[B, T, D]` and the final state `[B, N, D]`.
public func fusedSelectiveScan(
    u: Tensor, step: Tensor, A: Tensor, B: Tensor, C: Tensor, initialState: Tensor? = nil
) -> (output: Tensor, state: Tensor) {
    let inputs: [Tensor] = [u, step, A, B, C] + (initialState.map { [$0] } ?? [])
    func call(_ inputs: [Tensor]) -> FusedSelectiveScan {
        FusedSelectiveScan(
            u: inputs[0], step: inputs[1], A: inputs[2], B: inputs[3], C: inputs[4], initialState: inputs.count > 5 ? inputs[5] : nil)
    }
    let results: [Tensor] = customFunction("fusedSelectiveScan", inputs) { inputs in
        let (output, state): (Tensor, Tensor) = call(inputs).forward()
        return (
            [output, state],
            { gradients in
                if isGradEnabled { return composedBackward(inputs, gradients) }
                let found: [Tensor] = call(inputs).backward(outputGradient: gradients[0], stateGradient: gradients[1])
                return Array(found.prefix(inputs.count))
            }
        )
    }
    return (results[0], results[1])
}

private func composedBackward(_ inputs: [Tensor], _ gradients: [Tensor?]) -> [Tensor?] {
    let (u, matrix): (Tensor, Tensor) = (inputs[0], inputs[2])
    let state: [Tensor] = inputs.count > 5 ? [] : [.zeros([u.dim(0), matrix.dim(0), u.dim(2)], dtype: u.dtype, device: u.device)]
    let found: [Tensor?] = SelectiveScanChunks(ScanInputs(inputs + state), chunk: 64)
        .backward(outputGradient: gradients[0], stateGradient: gradients[1], entering: [])
    return Array(found.prefix(inputs.count))
}
