import NN
import Testing
import Torch

/// Every layer and loss against torch's own: outputs, input gradients, parameter gradients and changed buffers.
@Suite(.enabled(if: TorchReference.isAvailable, "needs the Python packages torch and safetensors: make test installs them"))
struct ParityTests {
    /// Every case in both types, and no case of the reference left out.
    @Test func layersAndLossesEqualTorchs() throws {
        let reference: TorchReference = try TorchReference.make()
        for parity in ParityCase.all {
            for (dtype, tolerance) in [(DType.float64, 1e-10), (.float32, 1e-5)] {
                for failure in try failures(of: parity, reference, dtype: dtype, tolerance: tolerance) {
                    Issue.record("\(parity.name) \(dtype): \(failure)")
                }
            }
        }
        #expect(Set(ParityCase.all.map(\.name)) == reference.caseNames)
    }

    private func failures(
        of parity: ParityCase, _ reference: TorchReference, dtype: DType, tolerance: Double
    ) throws -> [String] {
        func state(_ prefix: String) -> [String: Tensor] { parity.translate(reference.named(parity.name, prefix, dtype: dtype)) }
        let (model, run) = parity.make()
        try model?.to(dtype: dtype).load(state("state"))
        model?.train(parity.training)
        let inputs: [Tensor] = reference.numbered(parity.name, "in", dtype: dtype)
        for input in inputs where dtype == input.dtype { input.requiringGrad() }
        let outputs: [Tensor] = run(inputs)

        let cotangents: [Tensor] = reference.numbered(parity.name, "cot", dtype: dtype)
        guard outputs.count == cotangents.count else { return ["\(outputs.count) outputs, not \(cotangents.count)"] }
        let loss: Tensor = zip(outputs, cotangents).map { ($0 * $1).sum() }.reduce(Tensor.zeros([], dtype: dtype), +)
        let trained: [(name: String, tensor: Tensor)] = model?.namedParameters() ?? []
        let leaves: [Tensor] = inputs.filter(\.requiresGrad) + trained.map(\.tensor)
        let found: [Tensor] = gradients(of: [loss], withRespectTo: leaves)
        let inputCount: Int = leaves.count - trained.count

        var pairs: [(String, Tensor, Tensor?)] = []
        for (index, output) in reference.numbered(parity.name, "out", dtype: dtype).enumerated() {
            pairs.append(("output \(index)", output, outputs[index]))
        }
        for (index, gradient) in reference.numbered(parity.name, "grad.in", dtype: dtype).enumerated() {
            pairs.append(("gradient of input \(index)", gradient, index < inputCount ? found[index] : nil))
        }
        let parameterGradients: [String: Tensor] = Dictionary(uniqueKeysWithValues: zip(trained.map(\.name), found[inputCount...]))
        let wanted: [String: Tensor] = trained.isEmpty ? [:] : state("grad.state")
        for (name, gradient) in wanted { pairs.append(("gradient of \(name)", gradient, parameterGradients[name])) }
        let buffers: [String: Tensor] = Dictionary(uniqueKeysWithValues: model?.namedBuffers().map { ($0.name, $0.tensor) } ?? [])
        for (name, value) in reference.named(parity.name, "after", dtype: dtype) {
            pairs.append(("buffer \(name)", value, buffers[name]))
        }
        var problems: [String] = pairs.compactMap { what, expected, actual in
            difference(expected, actual, tolerance).map { "\(what) \($0)" }
        }
        if wanted.count != trained.count { problems.append("\(trained.count) parameters, not \(wanted.count)") }
        return problems
    }

    /// What is wrong, relative to the largest entry (at least 1).
    private func difference(_ expected: Tensor, _ actual: Tensor?, _ tolerance: Double) -> String? {
        guard let actual else { return "is missing" }
        guard expected.shape == actual.shape else { return "has shape \(actual.shape), not \(expected.shape)" }
        if expected.count == 0 { return nil }
        let wanted: Tensor = expected.asType(.float64)
        let scale: Double = max(wanted.abs().max().item(), 1)
        let error: Double = (actual.asType(.float64) - wanted).abs().max().item()
        return error <= tolerance * scale ? nil : "is off by \(error / scale)"
    }
}
