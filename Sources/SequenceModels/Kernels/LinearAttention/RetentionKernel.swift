import Foundation
import Torch

/// Log-decays of retention's heads: `ln(1 − 2^(−5−h))` for head h, `[H]`.
public func retentionLogDecay(heads: Int, dtype: DType = .float32, device: Device = .default) -> Tensor {
    Tensor((0..<heads).map { log1p(-exp2(-5 - Double($0))) }, dtype: dtype, device: device)
}

/// Retention: linear attention with one constant decay for each head, `S_t = γ_h S_{t-1} + k_t v_tᵀ`, `o_t = scale · S_tᵀ q_t`.
///
/// The operator alone: rotary embedding, group norm and gate belong to a layer. Arguments and results are those of
/// ``simpleGatedLinearAttention(q:k:v:logGate:scale:initialState:mask:mode:)``, except
/// `logDecay`: `ln γ_h`, `[H]`; ``retentionLogDecay(heads:dtype:device:)`` unless given.
///
/// Source: Sun et al., *Retentive Network: A Successor to Transformer for Large Language Models*, 2023.
public func retention(
    q: Tensor, k: Tensor, v: Tensor, logDecay: Tensor? = nil, scale: Double? = nil, initialState: Tensor? = nil, mask: Tensor? = nil,
    mode: MixerMode? = nil
) -> (output: Tensor, state: Tensor) {
    let shape: AttentionShape = AttentionShape("retention", q: q, k: k, v: v)
    let decay: Tensor = logDecay ?? retentionLogDecay(heads: shape.heads, dtype: shape.accumulator, device: shape.device)
    precondition(decay.shape == [shape.heads], "retention: logDecay of shape \(decay.shape) where [\(shape.heads)] is needed")
    let gate: Tensor = decay.expanded(to: [shape.batch, shape.length, shape.heads])
    return decayingAttention(
        "retention", q: q, k: k, v: v, gate: .heads(gate), scale: scale, initialState: initialState, mask: mask, mode: mode)
}
