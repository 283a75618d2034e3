import Foundation
import SequenceModels
import Torch

/// The chunkwise operators beside the same algorithms in Python's torch, and beside a large matrix product.
enum KernelBenchmark: Benchmark {
    static let name: String = "kernels"
    static let summary: String =
        "chunkwise operators: time beside Python torch's, and their FLOP rate as a share of a large matrix product's"

    private static let repetitions: Int = 5

    static func run() throws {
        Threads.count = 2
        let peer: PythonPeer = try PythonPeer(script: "kernels.py")
        printLine("vectors \(FusedKernels.variant), 2 threads, B 2, H 4, float32; medians of up to \(repetitions) in turn")
        printLine("op          D      T   pass       Linnet ms   Python ms   ratio   GFLOP/s   sgemm GFLOP/s   share")
        for name in KernelCase.names {
            for (width, length) in [(64, 512), (64, 2048), (64, 16384), (128, 512), (128, 2048), (128, 16384)] {
                let item: KernelCase = KernelCase(name, width: width, length: length)
                for backward in [false, true] { try measure(item, backward: backward, peer) }
            }
        }
    }

    private static func measure(_ item: KernelCase, backward: Bool, _ peer: PythonPeer) throws {
        let pass: String = backward ? "both" : "forward"
        let label: String = "\(item.name)_\(item.width)_\(item.length)_\(pass)"
        let iterations: Int = max(1, 2048 / item.length)
        var limits: [Double] = []
        let (own, other): (Double, Double) = try Timing.inTurn(
            repetitions: repetitions,
            own: {
                limits.append(matrixProductRate())
                return Timing.seconds(iterations: iterations) { item.run(backward: backward) }
            },
            peer: { try peer.seconds(label, iterations: iterations) })
        let rate: Double = item.operations(backward: backward) / own
        let limit: Double = Timing.median(limits)
        let columns: String = String(
            format: "%4d %6d   %@ %11.2f %11.2f %7.1f %9.1f %15.1f   %5.2f", item.width, item.length,
            pass.padding(toLength: 9, withPad: " ", startingAt: 0), own * 1e3, other * 1e3, other / own, rate / 1e9, limit / 1e9,
            rate / limit)
        printLine(item.name.padding(toLength: 9, withPad: " ", startingAt: 0) + columns)
    }

    /// FLOPs a second of a product of two 1024 x 1024 matrices, the fastest of three.
    private static func matrixProductRate() -> Double {
        let matrix: Tensor = .normal([1024, 1024], device: .cpu, generator: RandomGenerator(seed: 0, device: .cpu))
        let fastest: Double = (0..<3).map { _ in Timing.seconds { _ = matrix.matmul(matrix) } }.min()!
        return 2 * pow(1024, 3) / fastest
    }
}
