import Efficiency
import Foundation
import NN
import Torch

/// MemoryFormer's lookup beside the dense layer of the same shape, forward and backward.
enum MemoryBenchmark: Benchmark {
    static let name: String = "memory"
    static let summary: String =
        "time of a memory layer's lookup as a share of the dense layer's at equal shapes, forward and with backward"

    private static let repetitions: Int = 15
    private static let bits: Int = 8

    static func run() throws {
        Threads.count = 2
        printLine(
            "D to D channels, 8 bits, float32, 2 threads; medians of up to \(repetitions) in turn; a ratio above 1 is in favour of the lookup"
        )
        printLine("   D    rows   pass      lookup ms   dense ms   dense/lookup   tables MB   dense MB")
        for (width, rows) in [128, 512, 1024].flatMap({ width in [1, 16, 256, 2048].map { (width, $0) } }) {
            for backward in [false, true] { measure(width, rows, backward: backward) }
        }
    }

    private static func measure(_ width: Int, _ rows: Int, backward: Bool) {
        let memory: MemoryLayer = MemoryLayer(width, width, bits: bits)
        let dense: Linear = Linear(width, width)
        let x: Tensor = Tensor.normal([rows, width], device: .cpu).requiringGrad()
        let gradient: Tensor = .normal([rows, width], device: .cpu)
        let iterations: Int = max(1, 4096 / rows)
        func seconds(_ layer: any UnaryLayer, _ iterations: Int) -> Double {
            let inputs: [Tensor] = [x] + layer.parameters()
            return Timing.seconds(iterations: iterations) {
                if backward {
                    _ = gradients(of: [layer(x)], withRespectTo: inputs, outputGradients: [gradient])
                } else {
                    noGrad { _ = layer(x) }
                }
            }
        }
        // A backward pass writes a gradient as large as the tables, however few rows there are.
        let runs: Int = backward ? min(iterations, 16) : iterations
        let (own, other): (Double, Double) = Timing.inTurn(
            repetitions: repetitions, own: { seconds(memory, runs) }, peer: { seconds(dense, runs) })
        printLine(
            String(
                format: "%4d %7d   %@ %9.3f %10.3f %14.2f %11.1f %10.2f", width, rows, backward ? "both   " : "forward", own * 1e3,
                other * 1e3, other / own, Double(CostModel(of: memory).bytes) / 1e6, Double(CostModel(of: dense).bytes) / 1e6))
    }
}
