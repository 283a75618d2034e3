import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct ElementwiseRecurrenceTests {
    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    /// x, gates from 0 down, and an initial state.
    private func inputs(length: Int) -> [Tensor] {
        [normal([2, length, 5], seed: 1), (normal([2, length, 5], seed: 2) * 1.2).clamped(-20, 0), normal([2, 5], seed: 3)]
    }

    private func run(_ inputs: [Tensor], _ mode: MixerMode, mask: Tensor? = nil) -> [Tensor] {
        let result: (output: Tensor, state: Tensor) = elementwiseRecurrence(
            inputs[0], logGate: inputs[1], initialState: inputs.count > 2 ? inputs[2] : nil, mask: mask, mode: mode)
        return [result.output, result.state]
    }

    @Test(arguments: [1, 5, 16, 37, 64]) func formsAgree(length: Int) {
        for inputs in [inputs(length: length), Array(inputs(length: length).prefix(2))] {
            let expected: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { run($0, .recurrent) }
            for mode in [MixerMode.chunkwise(1), .chunkwise(5), .chunkwise(16), .parallel] {
                let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { run($0, mode) }
                for (tensor, wanted) in zip(found.0 + found.1, expected.0 + expected.1) {
                    #expect(scaledError(tensor, wanted) < 1e-11, "\(mode) at T = \(length)")
                }
            }
        }
    }

    @Test func gradientsAreFiniteDifferences() throws {
        try gradientCheck(inputs(length: 7)) { run($0, .chunkwise(3)) }
    }

    @Test func secondDerivativesAgree() {
        func squaredGradient(_ mode: MixerMode) -> [Tensor] {
            let leaves: [Tensor] = inputs(length: 9).map { $0.requiringGrad() }
            let loss: Tensor = run(leaves, mode).map { $0.square().sum() }.reduce(Tensor(0.0, device: .cpu), +)
            let first: [Tensor] = gradients(of: [loss], withRespectTo: leaves, createGraph: true)
            return gradients(of: [first.map { $0.square().sum() }.reduce(Tensor(0.0, device: .cpu), +)], withRespectTo: leaves)
        }
        for (found, expected) in zip(squaredGradient(.chunkwise(4)), squaredGradient(.recurrent)) {
            #expect(scaledError(found, expected) < 1e-10)
        }
    }

    @Test(arguments: [MixerMode.recurrent, .chunkwise(4)]) func maskedStepsLeaveNoTrace(mode: MixerMode) {
        let inputs: [Tensor] = inputs(length: 12)
        let kept: [Int] = [0, 1, 4, 5, 6, 9, 11]
        let mask: Tensor = Tensor((0..<24).map { kept.contains($0 % 12) ? 1.0 : 0.0 }, [2, 12], device: .cpu)
        let places: Tensor = Tensor(kept, device: .cpu)
        let found: [Tensor] = run(inputs, mode, mask: mask)
        let expected: [Tensor] = run(
            [inputs[0].indexSelect(axis: 1, indices: places), inputs[1].indexSelect(axis: 1, indices: places), inputs[2]], mode)
        #expect(relativeError(found[0].indexSelect(axis: 1, indices: places), expected[0]) < 1e-12)
        #expect(relativeError(found[1], expected[1]) < 1e-12)
    }

    @Test func strongGatesStayFinite() {
        let x: Tensor = normal([1, 70, 3], seed: 4).asType(.float32)
        let result: [Tensor] = run([x, .full([1, 70, 3], -80, device: .cpu)], .parallel)
        #expect(relativeError(result[0], x) < 1e-6)
    }
}
