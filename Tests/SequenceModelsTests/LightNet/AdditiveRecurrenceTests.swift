import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct AdditiveRecurrenceTests {
    private struct Inputs {
        var q: Tensor
        var logits: Tensor
        var v: Tensor

        init(length: Int = 37, size: Double = 1) {
            q = normal([2, length, 3, 6])
            logits = normal([2, length, 3, 6], seed: 2) * size
            v = normal([2, length, 3, 4], seed: 3)
        }

        var all: [Tensor] { [q, logits, v] }
    }

    /// `Σ_{s ≤ t} softmax_{s ≤ t}(κ)_s ⊙ q_t · v_s`, written out.
    private func closedForm(_ q: Tensor, _ logits: Tensor, _ v: Tensor) -> Tensor {
        let length: Int = q.dim(1)
        let later: Tensor = causalMask(length, length, device: .cpu)!.logicalNot().reshaped(1, length, length, 1, 1)
        // [B, T, S, H, K], softmax over S.
        let spread: Tensor = logits.expandedDimensions(axis: 1).expanded(to: [2, length, length, 3, 6])
        let weights: Tensor = spread.maskedFill(later, -Double.infinity).softmax(axis: 2)
        return einsum("bthk,btshk,bshv->bthv", q / 6.0.squareRoot(), weights, v)
    }

    @Test(arguments: [MixerMode.recurrent, .chunkwise(1), .chunkwise(16), .parallel]) func everyFormIsTheClosedForm(mode: MixerMode) {
        let inputs: Inputs = Inputs()
        let expected: ([Tensor], [Tensor]) = outputsAndGradients(inputs.all) { [closedForm($0[0], $0[1], $0[2])] }
        let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs.all) {
            [additiveRecurrence(q: $0[0], keyLogits: $0[1], v: $0[2], mode: mode).output]
        }
        for (one, other) in zip(found.0 + found.1, expected.0 + expected.1) { #expect(scaledError(one, other) < 1e-9) }
    }

    @Test func gradientsAreFiniteDifferences() throws {
        let inputs: [Tensor] = [normal([1, 6, 1, 3]), normal([1, 6, 1, 3], seed: 2), normal([1, 6, 1, 2], seed: 3)]
        for causal in [true, false] {
            try gradientCheck(inputs) {
                let result: (output: Tensor, state: AdditiveState) = additiveRecurrence(
                    q: $0[0], keyLogits: $0[1], v: $0[2], causal: causal, mode: .chunkwise(4))
                return [result.output, result.state.memory, result.state.logMass]
            }
        }
    }

    @Test func aSequenceInPiecesIsASequence() {
        let inputs: Inputs = Inputs()
        let whole: (output: Tensor, state: AdditiveState) = additiveRecurrence(q: inputs.q, keyLogits: inputs.logits, v: inputs.v)
        var state: AdditiveState?
        let pieces: [Tensor] = [(0, 1), (1, 20), (21, 16)].map { start, length in
            let parts: [Tensor] = inputs.all.map { $0.narrowed(axis: 1, start: start, length: length) }
            let result: (output: Tensor, state: AdditiveState) = additiveRecurrence(
                q: parts[0], keyLogits: parts[1], v: parts[2], initialState: state, mode: .chunkwise(8))
            state = result.state
            return result.output
        }
        #expect(scaledError(concatenated(pieces, axis: 1), whole.output) < 1e-12)
        #expect(scaledError(state!.memory, whole.state.memory) < 1e-12 && scaledError(state!.logMass, whole.state.logMass) < 1e-12)
    }

    /// The first gate of a continued sequence is that of its past, not 0.
    @Test func aContinuedSequenceFades() {
        let inputs: Inputs = Inputs(length: 5)
        let gates: AdditiveGates = AdditiveGates(inputs.logits, logMass: .zeros([2, 3, 6], dtype: .float64, device: .cpu), mask: nil)
        let first: Tensor = gates.logDecay.selected(axis: 1, index: 0)
        let expected: Tensor = -(inputs.logits.selected(axis: 1, index: 0).exp() + 1).log()
        #expect(scaledError(first, expected) < 1e-12)
        let fresh: AdditiveGates = AdditiveGates(inputs.logits, logMass: nil, mask: nil)
        #expect(fresh.logDecay.selected(axis: 1, index: 0).countNonzero().item(Int.self) == 0)
    }

    @Test func readingAllIsReadingAtTheEnd() {
        var inputs: Inputs = Inputs(length: 13)
        inputs.q = inputs.q.narrowed(axis: 1, start: 0, length: 1).expanded(to: inputs.q.shape)
        let causal: (output: Tensor, state: AdditiveState) = additiveRecurrence(q: inputs.q, keyLogits: inputs.logits, v: inputs.v)
        let all: (output: Tensor, state: AdditiveState) = additiveRecurrence(
            q: inputs.q, keyLogits: inputs.logits, v: inputs.v, causal: false)
        let last: Tensor = causal.output.narrowed(axis: 1, start: 12, length: 1)
        #expect(scaledError(all.output, last.expanded(to: all.output.shape)) < 1e-12)
        #expect(scaledError(all.state.memory, causal.state.memory) < 1e-12)
        #expect(scaledError(all.state.logMass, causal.state.logMass) < 1e-12)
    }

    @Test(arguments: [true, false]) func aConstantOnAChannelHasNoEffect(causal: Bool) {
        let inputs: Inputs = Inputs()
        func output(_ logits: Tensor) -> Tensor {
            additiveRecurrence(q: inputs.q, keyLogits: logits, v: inputs.v, causal: causal).output
        }
        let shifted: Tensor = output(inputs.logits + normal([1, 1, 3, 6], seed: 9) * 5)
        #expect(scaledError(shifted, output(inputs.logits)) < 1e-10)
    }

    @Test(arguments: [true, false]) func hugeLogitsStayFinite(causal: Bool) {
        let inputs: Inputs = Inputs(length: 70, size: 200)
        let clamped: [Tensor] = [inputs.q, inputs.logits.clamped(-200, 200), inputs.v]
        func run(_ dtype: DType, _ mode: MixerMode) -> [Tensor] {
            let found: ([Tensor], [Tensor]) = outputsAndGradients(clamped.map { $0.asType(dtype) }) {
                // In float64, so that both precisions are weighted with the same numbers.
                [additiveRecurrence(q: $0[0], keyLogits: $0[1], v: $0[2], causal: causal, mode: mode).output.asType(.float64)]
            }
            return found.0 + found.1
        }
        for (found, expected) in zip(run(.float32, .chunkwise(32)), run(.float64, .recurrent)) {
            #expect(found.isFinite().all().item(Bool.self))
            // Single precision knows a sum of 200 to about 1e-5.
            #expect(scaledError(found, expected) < 2e-3)
        }
    }

    /// Masked steps in front, in the middle and at the end.
    @Test(arguments: [true, false]) func maskedStepsCountNothing(causal: Bool) {
        let inputs: Inputs = Inputs(length: 11)
        let kept: [Int] = [2, 3, 6, 7, 8]
        let mask: Tensor = Tensor(
            (0..<11).map { kept.contains($0) ? 1.0 : 0 } + (0..<11).map { kept.contains($0) ? 1 : 0 }, [2, 11], device: .cpu)
        func run(_ inputs: [Tensor], _ mask: Tensor?, _ mode: MixerMode) -> (outputs: [Tensor], gradients: [Tensor]) {
            outputsAndGradients(inputs) {
                let result: (output: Tensor, state: AdditiveState) = additiveRecurrence(
                    q: $0[0], keyLogits: $0[1], v: $0[2], mask: mask, causal: causal, mode: mode)
                let real: Tensor = mask == nil ? result.output : result.output[.ellipsis, kept, 0..., 0...]
                return [real, result.state.memory, result.state.logMass]
            }
        }
        let expected: ([Tensor], [Tensor]) = run(inputs.all.map { $0[0..., kept] }, nil, .recurrent)
        for mode in [MixerMode.recurrent, .chunkwise(4), .parallel] {
            let found: ([Tensor], [Tensor]) = run(inputs.all, mask, mode)
            for (one, other) in zip(found.0, expected.0) { #expect(scaledError(one, other) < 1e-11) }
            for (one, other) in zip(found.1, expected.1) { #expect(scaledError(one[0..., kept], other) < 1e-10) }
            #expect(found.1.allSatisfy { $0.isFinite().all().item(Bool.self) })
        }
    }
}
