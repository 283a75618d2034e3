import Torch

/// The gated delta rule: the delta rule on a memory that fades, so that it can both replace one association and forget all of them.
///
/// For each head, from `S₀` (zeros unless given), the state decays first, and what it then holds for the key is corrected:
///
///     R_t = exp(g_t) S_{t-1}
///     S_t = R_t + β_t k_t (v_t − R_tᵀ k_t)ᵀ
///     o_t = scale · S_tᵀ q_t
///
/// With g = 0 this is ``deltaRule(q:k:v:beta:scale:initialState:mask:mode:)``, with keys at right angles to each other and β = 1
/// ``simpleGatedLinearAttention(q:k:v:logGate:scale:initialState:mask:mode:)``. Keys should have unit length. Computed in float32
/// (float64 for float64 inputs) and differentiable in every input. No exponent above 0 is ever taken; training memory is the inputs
/// alone, since the backward recomputes the chunks' states.
///
/// Source: Yang, Kautz, Hatamizadeh, *Gated Delta Networks: Improving Mamba2 with Delta Rule*, 2024; the memory of Du et al.,
/// *MoM: Linear Sequence Modeling with Mixture-of-Memories*, 2025.
/// - Parameters:
///   - q: queries `[B, T, H, K]`.
///   - k: keys `[B, T, H, K]`.
///   - v: values `[B, T, H, V]`.
///   - logGate: natural logarithm of each head's decay, `[B, T, H]`, at most 0 and finite.
///   - beta: write strengths `[B, T, H]`; 0 writes nothing, 1 replaces.
///   - scale: factor on `q` when reading, K^-1/2 unless given.
///   - initialState: `[B, H, K, V]`.
///   - mask: `[B, T]`, 1 for real tokens; the others neither decay nor write.
///   - mode: see ``MixerMode``; without one, by the length.
/// - Returns: the output `[B, T, H, V]` in `v`'s type and the final state `[B, H, K, V]`.
public func gatedDeltaRule(
    q: Tensor, k: Tensor, v: Tensor, logGate: Tensor, beta: Tensor, scale: Double? = nil, initialState: Tensor? = nil,
    mask: Tensor? = nil, mode: MixerMode? = nil
) -> (output: Tensor, state: Tensor) {
    deltaRuleMemory(
        "gatedDeltaRule", q: q, k: k, v: v, logGate: logGate, beta: beta, scale: scale, initialState: initialState, mask: mask,
        mode: mode)
}
