import Foundation
import Optim
import Torch

/// One AdamW step over many small tensors, beside the three ways in which Python's torch can do it.
enum AdamWStepBenchmark: Benchmark {
    static let name: String = "adamw"
    static let summary: String = "time of an AdamW step over 200 small tensors, as a share of Python torch's default, foreach and fused"

    private static let parameterCount: Int = 200
    private static let repetitions: Int = 15
    private static let iterations: Int = 10
    private static let variants: [String] = ["default", "foreach", "fused"]

    static func run() throws {
        Threads.count = 1
        try onOneProcessor(compareAll)
    }

    private static func compareAll() throws {
        let peer: PythonPeer = try PythonPeer(script: "adamw.py")
        print("200 tensors of    Linnet us   " + variants.map { "torch \($0) us (ratio)" }.joined(separator: "   "))
        for size in [8, 32, 64] {
            let (own, others): (Double, [Double]) = try compare(size, peer)
            let columns: [String] = others.map { String(format: "%12.1f (%.2f)", $0 * 1e6, own / $0) }
            let label: String = "\(size) x \(size)".padding(toLength: 18, withPad: " ", startingAt: 0)
            print(label + String(format: "%9.1f   ", own * 1e6) + columns.joined(separator: "   "))
        }
    }

    /// The fastest of repetitions that take turns, so that all sides see the same machine.
    private static func compare(_ size: Int, _ peer: PythonPeer) throws -> (own: Double, others: [Double]) {
        let step: () -> Void = try ownStep(size)
        var own: Double = .infinity
        var others: [Double] = variants.map { _ in .infinity }
        for _ in 0..<repetitions {
            let elapsed: Duration = ContinuousClock().measure { for _ in 0..<iterations { step() } }
            own = min(own, elapsed / .seconds(1) / Double(iterations))
            for (index, variant) in variants.enumerated() {
                others[index] = min(others[index], try peer.seconds("\(variant)_\(size)", iterations: iterations))
            }
        }
        return (own, others)
    }

    private static func ownStep(_ size: Int) throws -> () -> Void {
        let parameters: [Tensor] = (0..<parameterCount).map { _ in Tensor.ones([size, size], device: .cpu) }
        let gradients: [Tensor] = parameters.map { $0 * 0.01 }
        let optimizer: AdamW = try AdamW(parameters: parameters, configuration: AdamWConfiguration())
        return { optimizer.step(gradients) }
    }
}
