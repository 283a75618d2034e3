import Torch

/// The memory of ``gatedSlotAttention(q:k:v:logGate:strength:scale:initialState:mask:mode:)``: M slots that hold a key and a value each.
public struct SlotMemory {
    /// K̃, `[B, H, M, K]`.
    public var keys: Tensor
    /// Ṽ, `[B, H, M, V]`.
    public var values: Tensor

    public init(keys: Tensor, values: Tensor) {
        self.keys = keys
        self.values = values
    }
}

/// Gated slot attention: softmax attention to M slots, each of which forgets and takes in keys and values at a rate of its own.
///
/// For each head, from K̃₀ and Ṽ₀ (zeros unless given):
///
///     K̃_t = diag(exp(g_t)) K̃_{t-1} + s_t k_tᵀ
///     Ṽ_t = diag(exp(g_t)) Ṽ_{t-1} + s_t v_tᵀ
///     o_t = Ṽ_tᵀ softmax(scale · K̃_t q_t)
///
/// In chunks it is two passes: the scores `K̃_t q_t` first, then their softmax as the queries of a
/// ``gatedLinearAttention(q:k:v:logGate:scale:initialState:mask:mode:subchunk:)`` with the slots as key channels. Computed in float32 (float64 for
/// float64 inputs); no exponent above 0 is ever taken.
///
/// Source: Zhang et al., *Gated Slot Attention for Efficient Linear-Time Sequence Modeling*, 2024, section 3.
/// - Parameters:
///   - q: queries `[B, T, H, K]`.
///   - k: keys `[B, T, H, K]`.
///   - v: values `[B, T, H, V]`.
///   - logGate: natural logarithm of each slot's decay, `[B, T, H, M]`, at most 0 and finite.
///   - strength: s, how much a slot takes in, `[B, T, H, M]`; `1 − exp(logGate)` unless given.
///   - scale: factor on `q`, K^-1/2 unless given.
///   - initialState: the memory before the first step.
///   - mask: `[B, T]`, 1 for real tokens; the others neither decay nor write.
///   - mode: see ``MixerMode``; without one, by the length.
/// - Returns: the output `[B, T, H, V]` in `v`'s type and the final memory.
public func gatedSlotAttention(
    q: Tensor, k: Tensor, v: Tensor, logGate: Tensor, strength: Tensor? = nil, scale: Double? = nil, initialState: SlotMemory? = nil,
    mask: Tensor? = nil, mode: MixerMode? = nil
) -> (output: Tensor, memory: SlotMemory) {
    let shape: AttentionShape = AttentionShape("gatedSlotAttention", q: q, k: k, v: v)
    let slots: Int = logGate.dim(-1)
    shape.check(logGate, "gatedSlotAttention: logGate", trailing: [slots])
    let gate: Tensor = logGate.asType(shape.accumulator).masked(by: mask)
    let writes: Tensor = (strength?.asType(shape.accumulator) ?? (1 - gate.exp())).masked(by: mask)
    shape.check(writes, "gatedSlotAttention: strength", trailing: [slots])
    let queries: Tensor = q.asType(shape.accumulator) * shape.scale(scale)
    let (scores, keys): (Tensor, Tensor) = slotScores(
        q: queries, k: k.asType(shape.accumulator), writes: writes, gate: gate, initialState: initialState?.keys, mode: mode)
    let (output, values): (Tensor, Tensor) = gatedLinearAttention(
        q: scores.softmax(), k: writes, v: v.masked(by: mask).asType(shape.accumulator), logGate: gate, scale: 1,
        initialState: initialState?.values, mode: mode)
    return (output.asType(v.dtype), SlotMemory(keys: keys, values: values))
}

/// The first pass: `K̃_t q_t`, `[B, T, H, M]`, and the final K̃, `[B, H, M, K]`.
private func slotScores(
    q: Tensor, k: Tensor, writes: Tensor, gate: Tensor, initialState: Tensor?, mode: MixerMode?
) -> (scores: Tensor, keys: Tensor) {
    // The state has slots as rows: the slots' writes take the keys' part, the keys that of the values.
    let shape: AttentionShape = AttentionShape("gatedSlotAttention", q: writes, k: writes, v: k)
    guard let chunk: Int = MixerMode.chunk(for: mode, length: shape.length) else {
        return slotRecurrence(q: q, k: k, writes: writes, gate: gate, initialState: initialState, shape: shape)
    }
    let layout: ChunkLayout = ChunkLayout(shape: shape, chunk: ChannelDecay.chunk(atLeast: chunk, gate: .channels(gate, subchunk: 2)))
    return SlotChunks(q: q, k: k, writes: writes, gate: gate, layout: layout).scores(from: shape.initialState(initialState))
}

/// The recurrence step by step, as it is defined: the reference for the chunked form.
private func slotRecurrence(
    q: Tensor, k: Tensor, writes: Tensor, gate: Tensor, initialState: Tensor?, shape: AttentionShape
) -> (scores: Tensor, keys: Tensor) {
    let (queries, keys, strengths, gates): ([Tensor], [Tensor], [Tensor], [Tensor]) = (
        shape.steps(q), shape.steps(k), shape.steps(writes), shape.steps(gate)
    )
    var state: Tensor = shape.initialState(initialState)
    var scores: [Tensor] = []
    for t in 0..<shape.length {
        state =
            gates[t].exp().expandedDimensions(axis: 2) * state
            + strengths[t].expandedDimensions(axis: 2) * keys[t].expandedDimensions(axis: 1)
        scores.append(state.bmm(queries[t].expandedDimensions(axis: 2)).squeezed(axis: 2))
    }
    return (shape.joined(steps: scores, dtype: writes.dtype), shape.publicState(state))
}
