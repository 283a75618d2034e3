import Torch

/// The delta rule step by step, as it is defined: the reference for the chunked form. Arguments as in ``gatedDeltaRule``; without a
/// `logGate` nothing decays.
func deltaRuleRecurrence(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, logGate: Tensor?, scale: Double, initialState: Tensor?, shape: AttentionShape
) -> (output: Tensor, state: Tensor) {
    let (queries, keys, values): ([Tensor], [Tensor], [Tensor]) = (shape.steps(q), shape.steps(k), shape.steps(v))
    let strengths: [Tensor] = shape.steps(beta)
    // [B·H, 1, 1] each.
    let decays: [Tensor]? = logGate.map { shape.steps($0).map { $0.exp().expandedDimensions(axis: 2) } }
    var state: Tensor = shape.initialState(initialState)
    var outputs: [Tensor] = []
    for t in 0..<shape.length {
        let key: Tensor = keys[t].expandedDimensions(axis: 1)
        let kept: Tensor = decays.map { $0[t] * state } ?? state
        let correction: Tensor = strengths[t] * (values[t] - key.bmm(kept).squeezed(axis: 1))
        state = kept + key.mT * correction.expandedDimensions(axis: 1)
        outputs.append((queries[t] * scale).expandedDimensions(axis: 1).bmm(state).squeezed(axis: 1))
    }
    return (shape.joined(steps: outputs, dtype: v.dtype), shape.publicState(state))
}
