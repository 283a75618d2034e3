import Efficiency
import Foundation
import NN
import Torch

/// A layer of packed codes beside the dense one of the same shape.
enum QuantizedBenchmark: Benchmark {
    static let name: String = "quantized"
    static let summary: String = "time of a Linear with 2, 3, 4 and 8 bits, and how many times faster than float32, for 1 and 16 rows"

    private static let sizes: [Int] = [1024, 2048, 4096]
    private static let rows: [Int] = [1, 16]
    private static let groupSize: Int = 64

    static func run() throws {
        for threads in [1, 2] {
            Threads.count = threads
            printLine("d x d, groups of \(groupSize), \(threads) thread\(threads == 1 ? "" : "s"), \(FusedKernels.variant)")
            printLine("   d  rows  dense ms   " + PackedWidth.all.map { "\($0) bits ms (times as fast)" }.joined(separator: "   "))
            for size in sizes { try measure(size) }
        }
    }

    private enum PackedWidth { static let all: [Int] = [2, 3, 4, 8] }

    private static func measure(_ size: Int) throws {
        let dense: Linear = Linear(size, size)
        let packed: [QuantizedLinear] = try PackedWidth.all.map {
            QuantizedLinear(dense, quantizer: try GroupQuantizer(bits: $0, groupSize: groupSize))
        }
        for rows in rows {
            let x: Tensor = .normal([rows, size])
            let iterations: Int = max(2, (1 << 25) / (size * size))
            let pairs: [(own: Double, peer: Double)] = packed.map { layer in
                noGrad {
                    Timing.inTurn(
                        repetitions: 9, own: { Timing.seconds(iterations: iterations) { _ = layer(x) } },
                        peer: { Timing.seconds(iterations: iterations) { _ = dense(x) } })
                }
            }
            let columns: [String] = pairs.map { String(format: "%9.3f (%5.2f)       ", $0.own * 1e3, $0.peer / $0.own) }
            printLine(
                String(format: "%5d %4d %9.3f   ", size, rows, Timing.median(pairs.map(\.peer)) * 1e3) + columns.joined(separator: "   "))
        }
    }
}
