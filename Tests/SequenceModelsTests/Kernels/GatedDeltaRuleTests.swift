import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// What the gated delta rule has in common with its special cases, and what it does with extreme gates.
@Suite(.ownRandomNumbers) struct GatedDeltaRuleTests {
    private static let sizes: KernelSizes = KernelSizes(length: 21, withState: true)

    private func inputs() -> (q: Tensor, k: Tensor, v: Tensor, gate: Tensor, beta: Tensor, state: Tensor) {
        let all: [Tensor] = KernelUnderTest.gatedDeltaRule.inputs(Self.sizes)
        return (all[0], all[1], all[2], all[3], all[4], all[5])
    }

    @Test(arguments: [MixerMode.recurrent, .chunkwise(8), .parallel]) func withoutDecayItIsTheDeltaRule(mode: MixerMode) {
        let (q, k, v, gate, beta, state) = inputs()
        let found = gatedDeltaRule(q: q, k: k, v: v, logGate: gate.zerosLike(), beta: beta, initialState: state, mode: mode)
        let expected = deltaRule(q: q, k: k, v: v, beta: beta, initialState: state, mode: mode)
        #expect(relativeError(found.output, expected.output) < 1e-12)
        #expect(relativeError(found.state, expected.state) < 1e-12)
    }

    @Test func orthogonalKeysWrittenOnceAddUp() {
        // No key meets an earlier one, so nothing is corrected, and what is left is attention that forgets.
        let (q, _, v, gate, _, _) = inputs()
        let length: Int = Self.sizes.key
        func first(_ tensor: Tensor) -> Tensor { tensor.narrowed(axis: 1, start: 0, length: length) }
        let keys: Tensor = Tensor.eye(length, dtype: .float64, device: .cpu).reshaped(1, length, 1, length)
            .expanded(to: [Self.sizes.batch, length, Self.sizes.heads, length])
        let ones: Tensor = .ones([Self.sizes.batch, length, Self.sizes.heads], dtype: .float64, device: .cpu)
        let found = gatedDeltaRule(q: first(q), k: keys, v: first(v), logGate: first(gate), beta: ones, mode: .chunkwise(4))
        let expected = simpleGatedLinearAttention(q: first(q), k: keys, v: first(v), logGate: first(gate), mode: .chunkwise(4))
        #expect(relativeError(found.output, expected.output) < 1e-12)
        #expect(relativeError(found.state, expected.state) < 1e-12)
    }

    @Test func theDecayComesBeforeThePrediction() {
        // One step on a state that holds the value exactly: undecayed there would be nothing to correct.
        let key: Tensor = Tensor([1.0, 0], [1, 1, 1, 2], device: .cpu)
        let value: Tensor = Tensor([3.0], [1, 1, 1, 1], device: .cpu)
        let state: Tensor = Tensor([3.0, 5], [1, 1, 2, 1], device: .cpu)
        let gate: Tensor = Tensor([0.5], [1, 1, 1], device: .cpu).log()
        let result: Tensor = gatedDeltaRule(
            q: key, k: key, v: value, logGate: gate, beta: gate.onesLike(), scale: 1, initialState: state, mode: .chunkwise(1)
        ).state
        let found: [Double] = result.array()
        #expect(zip(found, [3, 2.5]).allSatisfy { abs($0 - $1) < 1e-12 })
    }

    @Test func strongGatesStayFinite() {
        let sizes: KernelSizes = KernelSizes(length: 96)
        var inputs: [Tensor] = KernelUnderTest.gatedDeltaRule.inputs(sizes, dtype: .float32)
        inputs[3] = .full(inputs[3].shape, -20, device: .cpu)
        let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) {
            KernelUnderTest.gatedDeltaRule.run($0, sizes, mode: .chunkwise(64))
        }
        let expected: ([Tensor], [Tensor]) = outputsAndGradients(inputs) {
            KernelUnderTest.gatedDeltaRule.run($0, sizes, mode: .recurrent)
        }
        for (tensor, wanted) in zip(found.0 + found.1, expected.0 + expected.1) {
            #expect(tensor.isFinite().all().item(Bool.self))
            #expect(scaledError(tensor, wanted) < 1e-4)
        }
    }
}
