import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// The baselines of sequence classification.
@Suite(.ownRandomNumbers) struct BaselineTests {
    @Test func convolutionsSeeExactlyTheReceptiveField() {
        let model: ConvolutionalClassifier = ConvolutionalClassifier(
            1, classes: 3, channels: 4, receptiveField: 16, generator: RandomGenerator(seed: 1, device: .cpu)
        ).to(dtype: .float64, device: .cpu)
        let x: Tensor = .normal([1, 40, 1], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 2, device: .cpu))
        let changed: Tensor = x.cloned()
        changed.narrowed(axis: 1, start: 10, length: 1).add_(1.0)
        let difference: [Double] = (model.features(changed) - model.features(x)).abs().sum(axis: 2).flattened().array()
        for time in 0..<40 { #expect((difference[time] > 1e-12) == (10..<26).contains(time), "step \(time)") }
        #expect(model(x).shape == [1, 3])
    }

    @Test func recurrentClassifiersAverageOverTime() {
        let generator: RandomGenerator = RandomGenerator(seed: 1, device: .cpu)
        check(RecurrentClassifier(GRU(2, 5, generator: generator), classes: 3, generator: generator))
        check(RecurrentClassifier(LSTM(2, 5, bidirectional: true, generator: generator), classes: 3, generator: generator))
    }

    private func check<Recurrence>(_ model: RecurrentClassifier<Recurrence>) {
        model.to(dtype: .float64, device: .cpu)
        let x: Tensor = .normal([2, 7, 2], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 2, device: .cpu))
        let expected: Tensor = model.head(model.recurrence(x)).mean(axis: 1)
        #expect(relativeError(model(x), expected) < 1e-12)
    }
}
