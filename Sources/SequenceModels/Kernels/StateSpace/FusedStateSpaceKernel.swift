import Torch

extension DiscreteStateSpace {
    /// ``recur(_:initialState:mask:)`` as one kernel: float32 on the CPU, differentiable in the input, the matrices and the initial state.
    ///
    /// The backward computes the states again from those that enter every 64 steps; one that is itself differentiated takes the form made
    /// of operators.
    func fusedRecurrence(_ input: Tensor, initialState: Tensor?, mask: Tensor?) -> (output: Tensor, state: Tensor) {
        let counted: Tensor? = mask.map { ($0 .> 0.5).asType(.float32) }
        let inputs: [Tensor] = [input, A, B, C].map { $0.asType(.float32) } + [initialState].compactMap { $0 }
        let results: [Tensor] = customFunction("fusedStateSpace", inputs) { inputs in
            let call: FusedStateSpace = FusedStateSpace(
                input: inputs[0], A: inputs[1], B: inputs[2], C: inputs[3], initialState: inputs.count > 4 ? inputs[4] : nil, mask: counted)
            let (output, state): (Tensor, Tensor) = call.forward()
            return (
                [output, state],
                { gradients in
                    if isGradEnabled { return Self.composedBackward(inputs, mask: mask, gradients) }
                    return Array(call.backward(outputGradient: gradients[0], stateGradient: gradients[1]).prefix(inputs.count))
                }
            )
        }
        return (results[0], results[1])
    }

    private static func composedBackward(_ inputs: [Tensor], mask: Tensor?, _ outputGradients: [Tensor?]) -> [Tensor?] {
        let system: DiscreteStateSpace = DiscreteStateSpace(A: inputs[1], B: inputs[2], C: inputs[3])
        let (output, state): (Tensor, Tensor) = system.composedRecurrence(
            inputs[0], initialState: inputs.count > 4 ? inputs[4] : nil, mask: mask)
        let given: [(output: Tensor, gradient: Tensor)] = zip([output, state], outputGradients).compactMap { output, gradient in
            gradient.map { (output, $0) }
        }
        let trained: [Int] = inputs.indices.filter { inputs[$0].requiresGrad }
        let found: [Tensor] = gradients(
            of: given.map(\.output), withRespectTo: trained.map { inputs[$0] }, outputGradients: given.map(\.gradient), createGraph: true)
        let byInput: [Int: Tensor] = Dictionary(uniqueKeysWithValues: zip(trained, found))
        return inputs.indices.map { byInput[$0] }
    }
}
