import Foundation
import Optim
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct ExponentialMovingAverageTests {
    private let decay: Double = 0.9

    private func parameter(_ value: Double, dtype: DType = .float64) -> Tensor { Tensor([value], dtype: dtype, device: .cpu) }

    private func value(_ average: ExponentialMovingAverage) -> Double { average.stateTensors()["0"]!.item() }

    @Test func plainAndCorrectedFollowTheirFormulas() throws {
        let moving: Tensor = parameter(10)
        let plain: ExponentialMovingAverage = try ExponentialMovingAverage([moving], decay: decay)
        let corrected: ExponentialMovingAverage = try ExponentialMovingAverage([moving], decay: decay, biasCorrected: true)
        var expected: Double = 10
        var fromZero: Double = 0
        for step in 1...20 {
            moving.fill_(Double(step * step))
            plain.update()
            corrected.update()
            expected = decay * expected + (1 - decay) * Double(step * step)
            fromZero = decay * fromZero + (1 - decay) * Double(step * step)
            #expect(abs(value(plain) - expected) < 1e-10)
            #expect(abs(value(corrected) - fromZero / (1 - pow(decay, Double(step)))) < 1e-10)
        }
    }

    @Test func swappingRestoresTheParametersAlsoAfterAnError() throws {
        struct Stop: Error {}
        for dtype in [DType.float64, .bfloat16] {
            let moving: Tensor = parameter(1, dtype: dtype).requiringGrad()
            let average: ExponentialMovingAverage = try ExponentialMovingAverage([moving], decay: decay)
            noGrad { moving.fill_(3) }
            average.update()
            let held: Double = value(average)
            #expect(abs(average.withAverage { moving.item(Double.self) } - 1.2) < 0.01)
            #expect(throws: Stop.self) { try average.withAverage { throw Stop() } }
            #expect(moving.item(Double.self) == 3 && value(average) == held)
            average.copyToParameters()
            #expect(abs(moving.item(Double.self) - 1.2) < 0.01)
        }
    }

    /// In bfloat16 an average with decay 0.999 would stand still.
    @Test func halfPrecisionIsAveragedInFloat32() throws {
        let moving: Tensor = parameter(1, dtype: .bfloat16)
        let average: ExponentialMovingAverage = try ExponentialMovingAverage([moving], decay: 0.999)
        moving.fill_(2)
        for _ in 0..<100 { average.update() }
        #expect(abs(value(average) - (2 - pow(0.999, 100))) < 1e-4)
    }

    @Test func aSavedAverageContinuesBitForBit() throws {
        let moving: Tensor = parameter(1)
        let first: ExponentialMovingAverage = try ExponentialMovingAverage([moving], decay: decay, biasCorrected: true)
        for step in 0..<3 {
            moving.fill_(Double(step))
            first.update()
        }
        let second: ExponentialMovingAverage = try ExponentialMovingAverage([moving], decay: decay, biasCorrected: true)
        try second.loadState(first.stateTensors(), updateCount: first.updateCount)
        moving.fill_(7)
        first.update()
        second.update()
        #expect(value(first) == value(second))
        #expect(!first.stateTensors()["0"]!.sharesStorage(with: second.stateTensors()["0"]!))
    }

    @Test func stateOfAnotherModelIsRefused() throws {
        let average: ExponentialMovingAverage = try ExponentialMovingAverage([parameter(1)], names: ["w"], decay: decay)
        let wrong: [([String: Tensor], Int)] = [
            ([:], 1), (["w": Tensor.ones([2], dtype: .float64, device: .cpu)], 1), (["w": Tensor.ones([1], device: .cpu)], 1),
            (["w": parameter(5), "v": parameter(5)], 1), (["w": parameter(5)], -1),
        ]
        for (tensors, count) in wrong {
            #expect(throws: OptimizerStateError.self) { try average.loadState(tensors, updateCount: count) }
        }
        #expect(average.stateTensors()["w"]!.item(Double.self) == 1)
        #expect(throws: ConfigurationError("moving average: decay is 1.0; it has to lie in 0 ..< 1")) {
            try ExponentialMovingAverage([parameter(1)], decay: 1)
        }
    }
}
