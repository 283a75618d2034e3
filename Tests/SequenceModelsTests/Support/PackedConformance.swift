import NN
import Testing
import Torch

@testable import SequenceModels

// Sequences of different lengths laid end to end: what every causal mixer makes of them is what it makes of each alone.
extension SequenceMixerConformance {
    private static let cumulative: [Int] = [0, 5, 6, 6, 23, 32]

    /// Sequence `index` of a packed stream `[1, total, D]`.
    private func sequence(_ x: Tensor, _ index: Int, of cumulative: [Int] = cumulative) -> Tensor {
        x.narrowed(axis: 1, start: cumulative[index], length: cumulative[index + 1] - cumulative[index])
    }

    private var nonempty: [Int] { [0, 1, 3, 4] }

    /// Outputs and gradients are those of each sequence alone, and no sequence is felt by another.
    func checkPacked() {
        let mixer: any SequenceMixer = makeMixer()
        let (x, weights): (Tensor, Tensor) = (stream(batch: 1, length: 32).requiringGrad(), stream(batch: 1, length: 32, seed: 4))
        func results(_ outputs: (Tensor) -> Tensor) -> [Tensor] {
            let output: Tensor = outputs(x)
            return [output.detached()] + gradients(of: [(output * weights).sum()], withRespectTo: [x] + mixer.parameters())
        }
        for mode in [MixerMode.recurrent, .chunkwise(4)] {
            let packed: [Tensor] = results { mixer(packed: $0, cumulativeLengths: Self.cumulative, mode: mode) }
            let alone: [Tensor] = results { x in concatenated(nonempty.map { mixer(sequence(x, $0), mode: mode) }, axis: 1) }
            for (found, expected) in zip(packed, alone) {
                let error: Double = scaledError(found, expected)
                #expect(error < 1e-10, "\(testDescription): packed against alone in \(mode): \(error)")
            }
            var changed: Tensor = x.detached()
            changed = concatenated([sequence(changed, 0), sequence(changed, 1), sequence(changed, 3) * -3, sequence(changed, 4)], axis: 1)
            let disturbed: Tensor = mixer(packed: changed, cumulativeLengths: Self.cumulative, mode: mode)
            for index in nonempty {
                let error: Double = scaledError(sequence(disturbed, index), sequence(packed[0], index))
                #expect((index == 3) == (error > 1e-12), "\(testDescription): sequence 3 is felt by \(index): \(error)")
            }
        }
        let flat: Tensor = mixer(packed: x.squeezed(axis: 0), cumulativeLengths: Self.cumulative)
        #expect(flat.shape == [32, x.dim(2)])
    }

    /// Pieces of different lengths, each continuing from its own state, give what whole sequences give, and leave the states that these leave.
    func checkPackedContinuation() {
        let (mixer, x): (any SequenceMixer, Tensor) = (makeMixer(), stream(batch: 1, length: 32))
        var states: [MixerState] = (0..<5).map { _ in mixer.initialState(batch: 1, dtype: .float64, device: .cpu) }
        var outputs: [[Tensor]] = Array(repeating: [], count: 5)
        // What is left of each sequence after 0, then 2, then 3 more steps; the last piece takes it all.
        var taken: [Int] = Array(repeating: 0, count: 5)
        for most in [2, 3, 32] {
            let lengths: [Int] = (0..<5).map { min(most + $0 % 2, Self.cumulative[$0 + 1] - Self.cumulative[$0] - taken[$0]) }
            let pieces: [Tensor] = (0..<5).map { x.narrowed(axis: 1, start: Self.cumulative[$0] + taken[$0], length: lengths[$0]) }
            let bounds: [Int] = lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
            let output: Tensor = mixer(
                packed: concatenated(pieces, axis: 1), cumulativeLengths: bounds, continuing: &states, mode: .chunkwise(4))
            for index in 0..<5 {
                outputs[index].append(sequence(output, index, of: bounds))
                taken[index] += lengths[index]
            }
        }
        for index in nonempty {
            var state: MixerState = mixer.initialState(batch: 1, dtype: .float64, device: .cpu)
            let expected: Tensor = mixer(sequence(x, index), continuing: &state, mode: .chunkwise(4))
            let error: Double = scaledError(concatenated(outputs[index], axis: 1), expected)
            #expect(error < 1e-10, "\(testDescription): pieces of packed sequence \(index): \(error)")
            expectSame(states[index], state, sequence: index)
        }
        #expect(states[2].offset == 0, "\(testDescription): an empty sequence moves")
    }

    private func expectSame(_ found: MixerState, _ expected: MixerState, sequence: Int) {
        #expect(found.offset == expected.offset, "\(testDescription): offset of packed sequence \(sequence)")
        func tensors(_ state: MixerState) -> [Tensor] {
            state.recurrent.sorted { $0.key < $1.key }.map(\.value) + state.conv + [state.kv?.keys, state.kv?.values].compactMap { $0 }
        }
        let (left, right): ([Tensor], [Tensor]) = (tensors(found), tensors(expected))
        #expect(left.count == right.count)
        for (tensor, wanted) in zip(left, right) {
            #expect(scaledError(tensor, wanted) < 1e-10, "\(testDescription): state of packed sequence \(sequence)")
        }
    }
}
