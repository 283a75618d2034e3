import Torch

/// The delta rule step by step, as it is defined: the reference for the chunked form. Arguments as in ``deltaRule``.
func deltaRuleRecurrence(
    q: Tensor, k: Tensor, v: Tensor, beta: Tensor, scale: Double, initialState: Tensor?, shape: AttentionShape
) -> (output: Tensor, state: Tensor) {
    let (queries, keys, values): ([Tensor], [Tensor], [Tensor]) = (shape.steps(q), shape.steps(k), shape.steps(v))
    let strengths: [Tensor] = shape.steps(beta)
    var state: Tensor = shape.initialState(initialState)
    var outputs: [Tensor] = []
    for t in 0..<shape.length {
        let key: Tensor = keys[t].expandedDimensions(axis: 1)
        let correction: Tensor = strengths[t] * (values[t] - key.bmm(state).squeezed(axis: 1))
        state = state + key.mT * correction.expandedDimensions(axis: 1)
        outputs.append((queries[t] * scale).expandedDimensions(axis: 1).bmm(state).squeezed(axis: 1))
    }
    return (shape.joined(steps: outputs, dtype: v.dtype), shape.publicState(state))
}
