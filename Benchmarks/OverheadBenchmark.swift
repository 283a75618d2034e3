import Foundation
import Torch

/// What a call costs beside Python's torch, on tensors so small that nothing else counts.
enum OverheadBenchmark: Benchmark {
    static let name: String = "overhead"
    static let summary: String = "time of small operators and of a tiny forward and backward, as a share of Python torch's"

    private struct Case {
        let name: String
        let iterations: Int
        /// The share of Python's time that the design allows.
        let target: Double
        let body: () -> Void
    }

    private static let repetitions: Int = 15

    static func run() throws {
        Threads.count = 1
        try onOneProcessor(compareAll)
    }

    private static func compareAll() throws {
        let peer: PythonPeer = try PythonPeer(script: "overhead.py")
        print("case              Linnet us   Python us   ratio   target")
        for item in [multiplication(), fiveLayers()] {
            let (own, other): (Double, Double) = try compare(item, peer)
            let columns: [String] = [own * 1e6, other * 1e6].map { String(format: "%9.3f", $0) }
            let label: String = item.name.padding(toLength: 18, withPad: " ", startingAt: 0)
            print("\(label)\(columns[0])   \(columns[1])   \(String(format: "%5.2f   %6.2f", own / other, item.target))")
        }
    }

    /// Medians over repetitions that take turns, so that both sides see the same machine.
    private static func compare(_ item: Case, _ peer: PythonPeer) throws -> (own: Double, other: Double) {
        var own: [Double] = []
        var other: [Double] = []
        for _ in 0...repetitions {
            own.append(seconds(item))
            other.append(try peer.seconds(item.name, iterations: item.iterations))
        }
        // The first of each is the warm-up.
        return (median(own.dropFirst()), median(other.dropFirst()))
    }

    private static func seconds(_ item: Case) -> Double {
        let clock: ContinuousClock = ContinuousClock()
        let elapsed: Duration = clock.measure { for _ in 0..<item.iterations { item.body() } }
        return elapsed / .seconds(1) / Double(item.iterations)
    }

    private static func median(_ values: ArraySlice<Double>) -> Double { values.sorted()[values.count / 2] }

    private static func multiplication() -> Case {
        let x: Tensor = Tensor.ones([4, 4], device: .cpu)
        let y: Tensor = Tensor.ones([4, 4], device: .cpu)
        return Case(name: "mul", iterations: 20_000, target: 0.7) { _ = x * y }
    }

    private static func fiveLayers() -> Case {
        let x: Tensor = Tensor.ones([4, 8], device: .cpu)
        let layers: [(weight: Tensor, bias: Tensor)] = (0..<5).map { _ in
            (Tensor.full([8, 8], 0.1, device: .cpu).requiringGrad(), Tensor.zeros([8], device: .cpu).requiringGrad())
        }
        let parameters: [Tensor] = layers.flatMap { [$0.weight, $0.bias] }
        return Case(name: "five_layers", iterations: 500, target: 0.75) {
            var h: Tensor = x
            for layer in layers { h = linear(h, weight: layer.weight, bias: layer.bias).tanh() }
            _ = gradients(of: [h.square().mean()], withRespectTo: parameters)
        }
    }
}
