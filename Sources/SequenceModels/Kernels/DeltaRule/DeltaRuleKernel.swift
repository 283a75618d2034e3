import Torch

/// The delta rule: a linear associative memory whose write replaces what a key retrieves instead of adding to it.
///
/// For each head, from `S₀` (zeros unless given):
///
///     S_t = S_{t-1} + β_t k_t (v_t − S_{t-1}ᵀ k_t)ᵀ
///     o_t = scale · S_tᵀ q_t
///
/// which is one step of gradient descent on `½‖Sᵀk − v‖²` with rate β. Keys should have unit length: the transition's
/// eigenvalues are then 1 and `1 − β`. Computed in float32 (float64 for float64 inputs) and differentiable in every input;
/// training memory is the inputs alone, since the backward recomputes the chunks' states.
///
/// Source: Yang, Wang, Zhang, Shen, Kim, *Parallelizing Linear Transformers with the Delta Rule over Sequence Length*, 2024.
/// - Parameters:
///   - q: queries `[B, T, H, K]`.
///   - k: keys `[B, T, H, K]`.
///   - v: values `[B, T, H, V]`.
///   - beta: write strengths `[B, T, H]`; 0 leaves the state as it is, 1 replaces, up to 2 reflects.
///   - scale: factor on `q` when reading, K^-1/2 unless given.
///   - initialState: `[B, H, K, V]`.
///   - mask: `[B, T]`, 1 for real tokens; the others neither decay nor write.
///   - mode: see ``MixerMode``; without one, by the length.
/// - Returns: the output `[B, T, H, V]` in `v`'s type and the final state `[B, H, K, V]`.
public func deltaRule(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, scale: Double? = nil, initialState: Tensor? = nil, mask: Tensor? = nil,
    mode: MixerMode? = nil
) -> (output: Tensor, state: Tensor) {
    deltaRuleMemory(
        "deltaRule", q: q, k: k, v: v, logGate: nil, beta: beta, scale: scale, initialState: initialState, mask: mask, mode: mode)
}

/// The delta rule with a decay or without one; see ``gatedDeltaRule(q:k:v:logGate:beta:scale:initialState:mask:mode:)``.
func deltaRuleMemory(
    _ name: StaticString, q: Tensor, k: Tensor, v: Tensor, logGate: Tensor?, beta: Tensor, scale: Double?, initialState: Tensor?,
    mask: Tensor?, mode: MixerMode?
) -> (output: Tensor, state: Tensor) {
    let shape: AttentionShape = AttentionShape("\(name)", q: q, k: k, v: v)
    shape.check(beta, "\(name): beta")
    if let logGate { shape.check(logGate, "\(name): logGate") }
    let scale: Double = shape.scale(scale)
    let (keys, values, strengths): (Tensor, Tensor, Tensor) = (k.masked(by: mask), v.masked(by: mask), beta.masked(by: mask))
    let gate: Tensor? = logGate?.masked(by: mask)
    guard let chunk: Int = MixerMode.chunk(for: mode, length: shape.length) else {
        return deltaRuleRecurrence(
            q: q, k: keys, v: values, beta: strengths, logGate: gate, scale: scale, initialState: initialState, shape: shape)
    }
    let problem: DeltaRuleProblem = DeltaRuleProblem(
        gated: gate != nil, gateNeedsGradient: gate?.requiresGrad ?? false, scale: scale,
        layout: ChunkLayout(shape: shape, chunk: chunk))
    let inputs: [Tensor] = [q, keys, values, strengths] + [gate, initialState].compactMap { $0 }
    // The fused kernel has no decay.
    let fused: FusedForm? =
        gate == nil && FusedForm.applies(to: shape, mode: mode)
        ? FusedForm(kind: .delta, scale: scale, gated: true, gateNeedsGradient: strengths.requiresGrad) : nil
    let results: [Tensor] = customFunction(name, inputs) { inputs in
        func chunkedBackward(_ gradients: [Tensor?]) -> [Tensor?] {
            DeltaRuleChunks(inputs, problem).backward(outputGradient: gradients[0], stateGradient: gradients[1])
        }
        guard let fused else {
            let (output, state): (Tensor, Tensor) = DeltaRuleChunks(inputs, problem).forward()
            return ([output, state], chunkedBackward)
        }
        return (
            fused.forward(inputs),
            {
                isGradEnabled ? chunkedBackward($0) : fused.backward(inputs, outputGradient: $0[0], stateGradient: $0[1])
            }
        )
    }
    return (results[0], results[1])
}
