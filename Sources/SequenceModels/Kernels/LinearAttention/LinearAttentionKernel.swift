import Torch

/// Linear attention without a gate or a denominator: `S_t = S_{t-1} + k_t v_tᵀ`, `o_t = scale · S_tᵀ q_t`.
///
/// Arguments and results are those of ``gatedLinearAttention(q:k:v:logGate:scale:initialState:mask:mode:subchunk:)`` with a gate of 0.
///
/// Source: Katharopoulos, Vyas, Pappas, Fleuret, *Transformers are RNNs*, 2020, without its denominator.
public func linearAttention(
    q: Tensor, k: Tensor, v: Tensor, scale: Double? = nil, initialState: Tensor? = nil, mask: Tensor? = nil, mode: MixerMode? = nil
) -> (output: Tensor, state: Tensor) {
    decayingAttention(
        "linearAttention", q: q, k: k, v: v, gate: .none, scale: scale, initialState: initialState, mask: mask, mode: mode)
}

/// Linear attention with weights that sum to 1: `z_t = z_{t-1} + k_t`, `o_t = S_tᵀ q'_t / (q'_t · z_t + ε)` with `q' = scale · q`.
///
/// `q` and `k` have to be positive features, such as `elu(x) + 1`.
///
/// Source: Katharopoulos et al., 2020, equations 18–20.
/// - Parameters:
///   - q: queries `[B, T, H, K]`.
///   - k: keys `[B, T, H, K]`.
///   - v: values `[B, T, H, V]`.
///   - scale: factor on `q`, K^-1/2 unless given; it matters only beside `epsilon`.
///   - initialState: `[B, H, K, V]`; needs `initialNormalizer` beside it.
///   - initialNormalizer: z before the first step, `[B, 1, H, K]`; needs `initialState` beside it.
///   - mask: `[B, T]`, 1 for real tokens.
///   - mode: see ``MixerMode``; without one, by the length.
///   - epsilon: added to the denominator.
/// - Returns: the output `[B, T, H, V]` in `v`'s type, the final state `[B, H, K, V]` and the final z `[B, 1, H, K]`.
public func normalizedLinearAttention(
    q: Tensor, k: Tensor, v: Tensor, scale: Double? = nil, initialState: Tensor? = nil, initialNormalizer: Tensor? = nil,
    mask: Tensor? = nil, mode: MixerMode? = nil, epsilon: Double = 1e-10
) -> (output: Tensor, state: Tensor, normalizer: Tensor) {
    precondition(
        (initialState == nil) == (initialNormalizer == nil), "normalizedLinearAttention: a state and its normalizer belong together")
    // z is one more column of the state, written by a value that is always 1.
    let accumulator: DType = q.dtype.accumulator
    let values: Tensor = v.asType(accumulator)
    let ones: Tensor = values.narrowed(axis: 3, start: 0, length: 1).onesLike()
    let joinedState: Tensor? = initialState.map { state in
        concatenated([state, initialNormalizer!.swappedAxes(1, 2).mT.asType(state.dtype)], axis: 3)
    }
    let (output, state): (Tensor, Tensor) = decayingAttention(
        "normalizedLinearAttention", q: q, k: k, v: concatenated([values, ones], axis: 3), gate: .none, scale: scale,
        initialState: joinedState, mask: mask, mode: mode)
    let (weightedSum, weight): (Tensor, Tensor) = splitLast(output)
    let (finalState, finalNormalizer): (Tensor, Tensor) = splitLast(state)
    return ((weightedSum / (weight + epsilon)).asType(v.dtype), finalState, finalNormalizer.mT.swappedAxes(1, 2))
}

/// All but the last place of the last axis, and that place.
private func splitLast(_ tensor: Tensor) -> (Tensor, Tensor) {
    let pieces: [Tensor] = tensor.split(sizes: [tensor.dim(-1) - 1, 1], axis: -1)
    return (pieces[0], pieces[1])
}
