import Foundation
import Optim
import Torch

/// Every optimizer's step and state beside AdamW's, and ways of choosing a low-rank basis beside a thin SVD.
enum OptimizerBenchmark: Benchmark {
    static let name: String = "optimizers"
    static let summary: String =
        "step time and state bytes of every optimizer against AdamW; choosing a basis by cosine transform, QR and random against thin SVD"

    private static let repetitions: Int = 7

    static func run() throws {
        Threads.count = 2
        try compareSteps()
        compareProjections()
    }

    // MARK: Steps

    /// The matrices of one transformer layer of width 512, and its norms.
    private static let shapes: [[Int]] = Array(repeating: [512, 512], count: 4) + [[2048, 512], [512, 2048], [512], [512]]

    private static func compareSteps() throws {
        printLine(
            "one transformer layer of width 512 (3.1 M parameters), float32, 2 threads, rank 64; medians of \(repetitions) in turn with AdamW"
        )
        printLine("optimizer                      step ms   by AdamW   state MB   by AdamW")
        let (reference, referenceBytes): (() -> Void, Int) = try step(.adamw(AdamWConfiguration()))
        for (label, configuration) in try optimizers() {
            let (own, bytes): (() -> Void, Int) = try step(configuration)
            let times: (own: Double, peer: Double) = Timing.inTurn(
                repetitions: repetitions, own: { Timing.seconds(iterations: 3, own) },
                peer: { Timing.seconds(iterations: 3, reference) })
            printLine(
                label.padding(toLength: 28, withPad: " ", startingAt: 0)
                    + String(
                        format: "%10.2f %10.2f %10.2f %10.3f", times.own * 1e3, times.own / times.peer, Double(bytes) / 1e6,
                        Double(bytes) / Double(referenceBytes)))
        }
    }

    private static func optimizers() throws -> [(String, OptimizerConfiguration)] {
        [
            ("SGD, momentum", .sgd(try SGDConfiguration(momentum: 0.9))), ("Adam", .adam(try AdamConfiguration())),
            ("Adafactor", .adafactor(try AdafactorConfiguration())), ("Lion", .lion(try LionConfiguration())),
            ("RMSprop", .rmsprop(try RMSpropConfiguration())), ("Adagrad", .adagrad(try AdagradConfiguration())),
            ("Kar", .kar(try KarConfiguration())), ("LAMB", .lamb(try LAMBConfiguration())), ("LARS", .lars(try LARSConfiguration())),
            ("GaLore, SVD every step", .galore(try GaLoreConfiguration(rank: 64, updateGap: 1))),
            ("GaLore, SVD every 200", .galore(try GaLoreConfiguration(rank: 64))),
            ("GaLore, power every step", .galore(try GaLoreConfiguration(rank: 64, updateGap: 1, projector: .blockPower))),
            ("DCT-AdamW", .dctAdamW(try DCTAdamWConfiguration(rank: 64))),
            ("DCT-AdamW, Makhoul", .dctAdamW(try DCTAdamWConfiguration(rank: 64, method: .makhoul))),
            ("DCT-AdamW, 8-bit feedback", .dctAdamW(try DCTAdamWConfiguration(rank: 64, errorFeedback: .bits8))),
            ("Trion", .trion(try TrionConfiguration(rank: 64))),
        ]
    }

    /// One step on gradients that stay, and the bytes of the state after it.
    private static func step(_ configuration: OptimizerConfiguration) throws -> (step: () -> Void, bytes: Int) {
        let generator: RandomGenerator = RandomGenerator(seed: 3, device: .cpu)
        let parameters: [Tensor] = shapes.map { .normal($0, device: .cpu, generator: generator) }
        let gradients: [Tensor] = shapes.map { .normal($0, device: .cpu, generator: generator) }
        let optimizer: any Optimizer = try configuration.makeOptimizer(groups: [ParameterGroup(parameters: parameters)])
        optimizer.step(gradients)
        return ({ optimizer.step(gradients) }, optimizer.stateByteCount)
    }

    // MARK: Projections

    private static func compareProjections() {
        printLine("choosing n / 8 directions for an n x n gradient, ms (by the thin SVD's time)")
        printLine("   n    thin SVD           QR power step      DCT matmul         DCT Makhoul        random (QR)")
        for width in [256, 512, 1024] {
            let matrix: Tensor = .normal([width, width], device: .cpu, generator: RandomGenerator(seed: 1, device: .cpu))
            let rank: Int = width / 8
            let start: Tensor = RandomOrthogonalProjector().basis(for: matrix, rank: rank, previous: nil, seed: 1)
            let ways: [any LowRankProjector] = [
                SVDProjector(), BlockPowerProjector(), DCTProjector(), DCTProjector(method: .makhoul), RandomOrthogonalProjector(),
            ]
            let times: [Double] = ways.map { projector in
                func once() { noGrad { _ = projector.basis(for: matrix, rank: rank, previous: start, seed: 1) } }
                once()
                return Timing.median((0..<5).map { _ in Timing.seconds { once() } })
            }
            let columns: [String] = times.map { String(format: "%9.2f (%6.3f)", $0 * 1e3, $0 / times[0]) }
            printLine(String(format: "%5d", width) + columns.joined(separator: " "))
        }
    }
}
