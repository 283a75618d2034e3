import Torch

/// Gated linear attention: a linear associative memory that forgets each key channel at a rate of its own.
///
/// For each head, from `S₀` (zeros unless given):
///
///     S_t = diag(exp(g_t)) S_{t-1} + k_t v_tᵀ
///     o_t = scale · S_tᵀ q_t
///
/// Computed in float32 (float64 for float64 inputs) and differentiable in every input. No exponent above 0 is ever taken, so any
/// finite gate is safe. Training memory is the inputs alone, since the backward recomputes the chunks' states.
///
/// Source: Yang, Wang, Shen, Panda, Kim, *Gated Linear Attention Transformers with Hardware-Efficient Training*, 2023; the
/// secondary chunking here halves a chunk again and again instead of cutting it into equal pieces, see `ChannelDecay`.
/// - Parameters:
///   - q: queries `[B, T, H, K]`.
///   - k: keys `[B, T, H, K]`.
///   - v: values `[B, T, H, V]`.
///   - logGate: natural logarithm of the decay of each key channel, `[B, T, H, K]`, at most 0 and finite.
///   - scale: factor on `q`, K^-1/2 unless given.
///   - initialState: `[B, H, K, V]`.
///   - mask: `[B, T]`, 1 for real tokens; the others neither decay nor write.
///   - mode: see ``MixerMode``; without one, by the length.
///   - subchunk: longest run of steps whose scores are formed element by element rather than as matrix products; 1 and 2 are the
///     fastest measured on a CPU, and memory grows with it.
/// - Returns: the output `[B, T, H, V]` in `v`'s type and the final state `[B, H, K, V]`.
public func gatedLinearAttention(
    q: Tensor, k: Tensor, v: Tensor, logGate: Tensor, scale: Double? = nil, initialState: Tensor? = nil, mask: Tensor? = nil,
    mode: MixerMode? = nil, subchunk: Int = 2
) -> (output: Tensor, state: Tensor) {
    precondition(subchunk > 0, "gatedLinearAttention: a subchunk needs at least one step, not \(subchunk)")
    return decayingAttention(
        "gatedLinearAttention", q: q, k: k, v: v, gate: .channels(logGate, subchunk: subchunk), scale: scale,
        initialState: initialState, mask: mask, mode: mode)
}

/// Gated linear attention with one decay for a whole head: `S_t = exp(g_t) S_{t-1} + k_t v_tᵀ`.
///
/// Cheaper than ``gatedLinearAttention(q:k:v:logGate:scale:initialState:mask:mode:subchunk:)``: the decay between two steps of a chunk is one
/// number, so scores are a matrix product times a `[C, C]` matrix of decays. Arguments and results are as there, except
/// `logGate`: the natural logarithm of the decay, `[B, T, H]`, at most 0 and finite.
public func simpleGatedLinearAttention(
    q: Tensor, k: Tensor, v: Tensor, logGate: Tensor, scale: Double? = nil, initialState: Tensor? = nil, mask: Tensor? = nil,
    mode: MixerMode? = nil
) -> (output: Tensor, state: Tensor) {
    decayingAttention(
        "simpleGatedLinearAttention", q: q, k: k, v: v, gate: .heads(logGate), scale: scale, initialState: initialState, mask: mask,
        mode: mode)
}
