import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// Gated slot attention: its two passes are the recurrence, and what it holds are keys and values.
@Suite(.ownRandomNumbers) struct GatedSlotAttentionTests {
    /// q, k, v, log-gates, then the memory's keys and values where asked for.
    private func inputs(
        length: Int, slots: Int = 5, key: Int = 4, value: Int = 6, batch: Int = 2, withMemory: Bool = false, dtype: DType = .float64
    ) -> [Tensor] {
        let generator: RandomGenerator = RandomGenerator(seed: 7, device: .cpu)
        func normal(_ shape: [Int]) -> Tensor { .normal(shape, dtype: .float64, device: .cpu, generator: generator) }
        let steps: [Int] = [batch, length, 3]
        let gates: Tensor = (normal(steps + [slots]) * 1.2 - 0.5).clamped(-20, -0.01)
        let memory: [Tensor] = withMemory ? [normal([batch, 3, slots, key]), normal([batch, 3, slots, value])] : []
        return ([normal(steps + [key]), normal(steps + [key]), normal(steps + [value]), gates] + memory).map { $0.asType(dtype) }
    }

    private func run(_ inputs: [Tensor], mask: Tensor? = nil, mode: MixerMode?) -> [Tensor] {
        let memory: SlotMemory? = inputs.count > 4 ? SlotMemory(keys: inputs[4], values: inputs[5]) : nil
        let (output, state): (Tensor, SlotMemory) = gatedSlotAttention(
            q: inputs[0], k: inputs[1], v: inputs[2], logGate: inputs[3], initialState: memory, mask: mask, mode: mode)
        return [output, state.keys, state.values]
    }

    @Test(arguments: [1, 6, 37, 70], [false, true]) func formsAgreeInDouble(length: Int, withMemory: Bool) {
        let inputs: [Tensor] = inputs(length: length, withMemory: withMemory)
        let expected: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { run($0, mode: .recurrent) }
        for mode in [MixerMode.chunkwise(1), .chunkwise(5), .chunkwise(16), .chunkwise(32), .parallel] {
            let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { run($0, mode: mode) }
            for (index, pair) in zip(found.0 + found.1, expected.0 + expected.1).enumerated() {
                #expect(scaledError(pair.0, pair.1) < 1e-10, "\(mode), T = \(length), result \(index)")
            }
        }
    }

    @Test func formsAgreeInSingle() {
        let inputs: [Tensor] = inputs(length: 70, withMemory: true, dtype: .float32)
        let (found, expected): ([Tensor], [Tensor]) = (run(inputs, mode: .chunkwise(32)), run(inputs, mode: .recurrent))
        for (one, other) in zip(found, expected) { #expect(scaledError(one, other) < 2e-4) }
    }

    @Test func gradientsAreFiniteDifferences() throws {
        try gradientCheck(inputs(length: 6, slots: 3, key: 2, value: 2, batch: 1, withMemory: true)) { run($0, mode: .chunkwise(4)) }
    }

    @Test func strongGatesStayFinite() {
        var inputs: [Tensor] = inputs(length: 130, dtype: .float32)
        inputs[3] = .full(inputs[3].shape, -20.0, device: .cpu)
        let expected: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { run($0, mode: .recurrent) }
        let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { run($0, mode: .chunkwise(64)) }
        for (one, other) in zip(found.0 + found.1, expected.0 + expected.1) {
            #expect(one.isFinite().all().item(Bool.self) && scaledError(one, other) < 1e-4)
        }
    }

    @Test func piecesContinue() {
        let whole: [Tensor] = inputs(length: 37)
        let expected: [Tensor] = run(whole, mode: .chunkwise(16))
        var memory: [Tensor] = []
        var outputs: [Tensor] = []
        for (start, length) in [(0, 1), (1, 20), (21, 16)] {
            let found: [Tensor] = run(whole.map { $0.narrowed(axis: 1, start: start, length: length) } + memory, mode: .chunkwise(16))
            outputs.append(found[0])
            memory = [found[1], found[2]]
        }
        #expect(scaledError(concatenated(outputs, axis: 1), expected[0]) < 1e-12)
        #expect(scaledError(memory[0], expected[1]) < 1e-12 && scaledError(memory[1], expected[2]) < 1e-12)
    }

    @Test(arguments: [MixerMode.recurrent, .chunkwise(16), .parallel]) func maskedStepsLeaveNoTrace(mode: MixerMode) {
        let whole: [Tensor] = inputs(length: 27)
        let mask: Tensor = concatenated([.zeros([2, 6], device: .cpu), .ones([2, 21], device: .cpu)], axis: 1)
        let found: [Tensor] = run(whole, mask: mask, mode: mode)
        let expected: [Tensor] = run(whole.map { $0.narrowed(axis: 1, start: 6, length: 21) }, mode: mode)
        #expect(scaledError(found[0].narrowed(axis: 1, start: 6, length: 21), expected[0]) < 1e-12)
        #expect(scaledError(found[1], expected[1]) < 1e-12 && scaledError(found[2], expected[2]) < 1e-12)
    }

    /// With a slot for every token that only this token writes, and nothing forgotten, the last token sees all: softmax attention.
    @Test(arguments: [MixerMode.recurrent, .chunkwise(4)]) func aSlotForEachTokenIsSoftmaxAttention(mode: MixerMode) {
        let length: Int = 9
        let inputs: [Tensor] = inputs(length: length)
        let writes: Tensor = Tensor.eye(length, dtype: .float64, device: .cpu).expandedDimensions(axis: 1).expandedDimensions(axis: 0)
            .tiled([2, 1, 3, 1])
        let (found, memory): (Tensor, SlotMemory) = gatedSlotAttention(
            q: inputs[0], k: inputs[1], v: inputs[2], logGate: writes.zerosLike(), strength: writes, mode: mode)
        let expected: Tensor = softmaxAttention(inputs[0], inputs[1], inputs[2], causal: true)
        #expect(scaledError(found.selected(axis: 1, index: length - 1), expected.selected(axis: 1, index: length - 1)) < 1e-12)
        #expect(scaledError(found.selected(axis: 1, index: 2), expected.selected(axis: 1, index: 2)) > 1e-3, "empty slots take part")
        #expect(memory.keys.isEqual(to: inputs[1].swappedAxes(1, 2)))
    }
}
