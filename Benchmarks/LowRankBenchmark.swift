import Efficiency
import Foundation
import NN
import Torch

/// A linear layer as two factors beside the dense one of the same shape.
enum LowRankBenchmark: Benchmark {
    static let name: String = "lowrank"
    static let summary: String = "a linear layer as two factors beside the dense one: time, multiply-accumulates and bytes by rank"

    private static let repetitions: Int = 7

    static func run() throws {
        Threads.count = 2
        printLine("2 threads, float32, forward without a gradient; medians of up to \(repetitions) in turn")
        printLine("shape         rank     rows    dense ms  factors ms   speed-up   multiply-accumulates   bytes")
        for (inputs, outputs) in [(1024, 1024), (1024, 4096), (4096, 4096)] {
            let dense: Linear = Linear(inputs, outputs, bias: false, generator: RandomGenerator(seed: 0, device: .cpu))
            for divisor in [2, 4, 8] {
                let rank: Int = min(inputs, outputs) / divisor
                // Random factors: time does not depend on the values, and a decomposition of the largest takes half a minute.
                let factors: LowRankLinear = LowRankLinear(
                    inputs, outputs, rank: rank, bias: false, generator: RandomGenerator(seed: 1, device: .cpu))
                for rows in [1, 16, 256] { measure(dense, factors, rows: rows) }
            }
        }
    }

    private static func measure(_ dense: Linear, _ factors: LowRankLinear, rows: Int) {
        let x: Tensor = .normal([rows, dense.inputDimensions], device: .cpu, generator: RandomGenerator(seed: 2, device: .cpu))
        let iterations: Int = max(1, 512 / rows)
        let (whole, low): (Double, Double) = Timing.inTurn(
            repetitions: repetitions,
            own: { Timing.seconds(iterations: iterations) { noGrad { _ = dense(x) } } },
            peer: { Timing.seconds(iterations: iterations) { noGrad { _ = factors(x) } } })
        let shape: String = "\(dense.inputDimensions)x\(dense.outputDimensions)".padding(toLength: 11, withPad: " ", startingAt: 0)
        let (costs, sizes): (Double, Double) = (
            Double(factors.multiplyAccumulates) / Double(dense.multiplyAccumulates),
            Double(CostModel(of: factors).bytes) / Double(CostModel(of: dense).bytes)
        )
        printLine(
            shape
                + String(
                    format: " %6d %8d %11.3f %11.3f %10.2f %22.3f %7.3f", factors.rank, rows, whole * 1e3, low * 1e3, whole / low, costs,
                    sizes))
    }
}
