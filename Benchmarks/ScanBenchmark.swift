import Foundation
import SequenceModels
import Torch

/// State spaces beside the reference scan in Python's torch, which goes from step to step.
enum ScanBenchmark: Benchmark {
    static let name: String = "scan"
    static let summary: String =
        "selective scan and LSSL's convolution and recurrence beside Python torch's step-by-step scan; growth of LSSL's kernel"

    private static let repetitions: Int = 3
    private static let batch: Int = 2
    private static let order: Int = 16

    static func run() throws {
        Threads.count = 2
        let peer: PythonPeer = try PythonPeer(script: "scan.py")
        printLine("vectors \(FusedKernels.variant), 2 threads, B 2, float32; medians of \(repetitions) in turn")
        printLine("op                   D      T   pass       Linnet ms   Python ms   ratio")
        for (channels, length) in [(128, 512), (256, 512), (256, 2048)] {
            let leaves: [Tensor] = selectiveInputs(channels: channels, length: length)
            for backward in [false, true] {
                try report("selective", channels, length, backward, "selective", peer) { runSelective(leaves, backward: backward) }
            }
        }
        for length in [512, 2048] {
            let system: DiscreteStateSpace = stateSpace()
            let input: Tensor = .normal([batch, 32, length], device: .cpu, generator: RandomGenerator(seed: 1, device: .cpu))
            try report("LSSL convolution", 32, length, false, "dense", peer) { noGrad { _ = system.convolve(input) } }
            try report("LSSL recurrence", 32, length, false, "dense", peer) { noGrad { _ = system.recur(input) } }
        }
        printKernelGrowth()
    }

    private static func report(
        _ label: String, _ width: Int, _ length: Int, _ backward: Bool, _ peerCase: String, _ peer: PythonPeer, _ body: () -> Void
    ) throws {
        let pass: String = backward ? "both" : "forward"
        let (own, other): (Double, Double) = try Timing.inTurn(
            repetitions: repetitions, own: { Timing.seconds(iterations: 3, body) },
            peer: { try peer.seconds("\(peerCase)_\(width)_\(length)_\(pass)", iterations: 1) })
        printLine(
            label.padding(toLength: 18, withPad: " ", startingAt: 0)
                + String(
                    format: "%4d %6d   %@ %11.3f %11.2f %7.1f", width, length, pass.padding(toLength: 9, withPad: " ", startingAt: 0),
                    own * 1e3, other * 1e3, other / own))
    }

    private static func selectiveInputs(channels: Int, length: Int) -> [Tensor] {
        let generator: RandomGenerator = RandomGenerator(seed: 1, device: .cpu)
        func normal(_ shape: [Int]) -> Tensor { .normal(shape, device: .cpu, generator: generator) }
        let (steps, maps): ([Int], [Int]) = ([batch, length, channels], [batch, length, order])
        let matrix: Tensor = -Tensor.arange(1.0, Double(order + 1), step: 1.0, dtype: .float32, device: .cpu).expandedDimensions(axis: 1)
            .expanded(to: [order, channels])
        let all: [Tensor] = [normal(steps), (normal(steps) - 3).softplus(), matrix.contiguous(), normal(maps), normal(maps)]
        return all.map { $0.requiringGrad() }
    }

    private static func runSelective(_ leaves: [Tensor], backward: Bool) {
        func output() -> Tensor { fusedSelectiveScan(u: leaves[0], step: leaves[1], A: leaves[2], B: leaves[3], C: leaves[4]).output }
        if backward {
            _ = gradients(of: [output().sum()], withRespectTo: leaves)
        } else {
            noGrad { _ = output() }
        }
    }

    /// 32 HiPPO-LegS systems of order 32 with one output each.
    private static func stateSpace() -> DiscreteStateSpace {
        let generator: RandomGenerator = RandomGenerator(seed: 2, device: .cpu)
        let (A, B): (Tensor, Tensor) = HiPPO.legs.matrices(order: 32, device: .cpu)
        let discrete: (A: Tensor, B: Tensor) = generalizedBilinear(A: A, B: B, dt: 0.01)
        return DiscreteStateSpace(
            A: discrete.A.asType(.float32).expanded(to: [32, 32, 32]).contiguous(),
            B: discrete.B.asType(.float32).expanded(to: [32, 32]).contiguous(), C: .normal([32, 1, 32], device: .cpu, generator: generator))
    }

    private static func printKernelGrowth() {
        let system: DiscreteStateSpace = stateSpace()
        let lengths: [Int] = [1024, 2048, 4096, 8192, 16384]
        let times: [Double] = lengths.map { length in
            (0..<7).map { _ in Timing.seconds { noGrad { _ = stateSpaceKernel(A: system.A, B: system.B, C: system.C, length: length) } } }
                .min()!
        }
        printLine("LSSL's kernel, H 32, N 32: T, ms, over half the length")
        for (index, length) in lengths.enumerated() {
            let growth: String = index == 0 ? "-" : String(format: "%.2f", times[index] / times[index - 1])
            printLine(String(format: "%6d %9.2f   ", length, times[index] * 1e3) + growth)
        }
    }
}
