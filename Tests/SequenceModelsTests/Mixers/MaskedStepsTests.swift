import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// Masks with holes: what is passed over may stand anywhere.
@Suite(.ownRandomNumbers) struct MaskedStepsTests {
    /// Mixers that can be continued and in which a step's place does not matter, of one size of state.
    private static let mixers: [SequenceMixerConformance] = MixerTests.mixers.filter { conformance in
        let mixer: any SequenceMixer = conformance.makeMixer()
        return mixer.isCausal && !mixer.stepUsesPosition
    }

    private static let kept: [[Int]] = [[1, 2, 5, 9, 10], [0, 3, 4, 8, 11]]

    @Test(arguments: mixers) func holesArePassedOver(conformance: SequenceMixerConformance) {
        let mixer: any SequenceMixer = conformance.makeMixer()
        let x: Tensor = conformance.stream(length: 12)
        let mask: Tensor = Tensor(Self.kept.flatMap { row in (0..<12).map { row.contains($0) ? 1.0 : 0.0 } }, [2, 12], device: .cpu)
        var state: MixerState = mixer.initialState(batch: 2, dtype: .float64, device: .cpu)
        let output: Tensor = mixer(x, mask: mask, continuing: &state, mode: .chunkwise(4))
        let next: Tensor = conformance.stream(length: 3, seed: 9)
        let continued: Tensor = mixer(next, continuing: &state)
        for (row, places) in Self.kept.enumerated() {
            func chosen(_ tensor: Tensor) -> Tensor { tensor.narrowed(axis: 0, start: row, length: 1) }
            let indices: Tensor = Tensor(places, device: .cpu)
            let whole: Tensor = concatenated([chosen(x).indexSelect(axis: 1, indices: indices), chosen(next)], axis: 1)
            let expected: Tensor = mixer(whole)
            let found: Tensor = concatenated([chosen(output).indexSelect(axis: 1, indices: indices), chosen(continued)], axis: 1)
            #expect(scaledError(found, expected) < 1e-10, "\(conformance.testDescription), row \(row)")
        }
    }

    @Test func compactedRingsKeepTheNewestRealTokens() {
        func tokens(_ values: [Double]) -> Tensor { Tensor(values, [2, values.count / 2, 1, 1], device: .cpu) }
        let mask: Tensor = Tensor([1.0, 1, 0, 0, 1, 0, 1, 1], [2, 4], device: .cpu)
        let values: Tensor = tokens([1, 2, 3, 4, 5, 6, 7, 8])
        let ring: KVRing = KVRing(capacity: 3).extended(keys: values, values: values, mask: mask).trimmed(compacting: true)
        #expect(ring.row(0).keys?.array(Double.self) == [1, 2] && ring.row(0).mask == nil)
        #expect(ring.row(1).values?.array(Double.self) == [5, 7, 8])
        let joined: KVRing = .joined([ring.row(1), ring.row(1)])
        #expect(joined.keys?.array(Double.self) == [5, 7, 8, 5, 7, 8] && joined.capacity == 3)
    }
}
