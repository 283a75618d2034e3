import NN
import TestSupport
import Testing
import Torch

/// Every layer and loss against torch's own: outputs, input gradients, parameter gradients and changed buffers.
@Suite(
    .ownRandomNumbers,
    .enabled(if: TorchReference.isAvailable, "needs the Python packages torch and safetensors: make test installs them")
)
struct ParityTests {
    /// Every case in both types, and no case of the reference left out.
    @Test func layersAndLossesEqualTorchs() throws {
        let reference: TorchReference = try TorchReference.make()
        for parity in ParityCase.all {
            for (dtype, tolerance) in [(DType.float64, 1e-10), (.float32, 1e-5)] {
                let run: ParityRun = try ParityRun(parity, reference, dtype: dtype)
                for failure in run.failures(tolerance: tolerance) { Issue.record("\(parity.name) \(dtype): \(failure)") }
            }
        }
        #expect(Set(ParityCase.all.map(\.name)) == reference.caseNames)
    }
}

/// What Linnet computed for a case and what torch did, by what it is.
private struct ParityRun {
    private var expected: [String: Tensor] = [:]
    private var actual: [String: Tensor] = [:]

    init(_ parity: ParityCase, _ reference: TorchReference, dtype: DType) throws {
        func state(_ prefix: String) -> [String: Tensor] { parity.translate(reference.named(parity.name, prefix, dtype: dtype)) }
        func numbered(_ prefix: String) -> [Tensor] { reference.numbered(parity.name, prefix, dtype: dtype) }
        let (model, run) = parity.make()
        try model?.to(dtype: dtype).load(state("state"))
        model?.train(parity.training)
        let inputs: [Tensor] = numbered("in")
        for input in inputs where input.dtype == dtype { input.requiringGrad() }
        let outputs: [Tensor] = run(inputs)
        let loss: Tensor = zip(outputs, numbered("cot")).map { ($0 * $1).sum() }.reduce(Tensor.zeros([], dtype: dtype), +)

        for (index, tensor) in numbered("out").enumerated() { expected["output \(index)"] = tensor }
        for (index, tensor) in numbered("grad.in").enumerated() { expected["gradient of input \(index)"] = tensor }
        for (name, tensor) in model == nil ? [:] : state("grad.state") { expected["gradient of \(name)"] = tensor }
        let changed: [String: Tensor] = reference.named(parity.name, "after", dtype: dtype)
        for (name, tensor) in changed { expected["buffer \(name)"] = tensor }

        for (index, tensor) in outputs.enumerated() { actual["output \(index)"] = tensor }
        var leaves: [(String, Tensor)] = inputs.filter(\.requiresGrad).enumerated().map { ("input \($0)", $1) }
        leaves += model?.namedParameters().map { ($0.name, $0.tensor) } ?? []
        for (leaf, gradient) in zip(leaves, gradients(of: [loss], withRespectTo: leaves.map(\.1))) {
            actual["gradient of \(leaf.0)"] = gradient
        }
        for (name, tensor) in model?.namedBuffers() ?? [] where changed[name] != nil { actual["buffer \(name)"] = tensor }
    }

    func failures(tolerance: Double) -> [String] {
        Set(expected.keys).union(actual.keys).sorted().compactMap { what in
            guard let wanted = expected[what], let found = actual[what] else { return "\(what) is there on one side only" }
            return difference(wanted, found, tolerance).map { "\(what) \($0)" }
        }
    }

    /// What is wrong, relative to the largest entry (at least 1).
    private func difference(_ expected: Tensor, _ actual: Tensor, _ tolerance: Double) -> String? {
        guard expected.shape == actual.shape else { return "has shape \(actual.shape), not \(expected.shape)" }
        let wanted: Tensor = expected.asType(.float64)
        let scale: Double = max(wanted.abs().max().item(), 1)
        let error: Double = (actual.asType(.float64) - wanted).abs().max().item()
        return error <= tolerance * scale ? nil : "is off by \(error / scale)"
    }
}
