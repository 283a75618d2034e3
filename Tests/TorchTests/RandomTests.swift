import TestSupport
import Testing

@testable import Torch

@Suite struct RandomTests {
    private func draws() -> [[Double]] {
        let drawn: [Tensor] = [
            .normal([4], device: .cpu), .uniform([4], device: .cpu), .randomIntegers([4], high: 1000, device: .cpu),
            .randomPermutation(20, device: .cpu), .bernoulli([40], probability: 0.5, device: .cpu), .gamma(.ones([4], device: .cpu)),
            Tensor.ones([20], device: .cpu).multinomial(8), dropout(.ones([40], device: .cpu), probability: 0.5, training: true),
        ]
        return drawn.map { $0.asType(.float64).array(Double.self) }
    }

    private func own(_ seed: UInt64) async -> [[Double]] {
        await RandomGenerator.withRandomNumbers(from: RandomGenerator(seed: seed, device: .cpu)) {
            (0..<50).flatMap { _ in draws() }
        }
    }

    @Test func tasksSideBySideKeepTheirStreams() async {
        let (first, second, other): ([[Double]], [[Double]], [[Double]]) = await withTaskGroup(of: (Int, [[Double]]).self) { group in
            for (index, seed) in [3, 3, 4].enumerated() { group.addTask { (index, await own(UInt64(seed))) } }
            let found: [Int: [[Double]]] = await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            return (found[0]!, found[1]!, found[2]!)
        }
        #expect(first == second)
        #expect(first[0] != other[0])
        #expect(first[0] != first[8])
    }

    @Test func aSeedOfEverythingSeedsTheTaskToo() async {
        await RandomGenerator.withRandomNumbers(from: RandomGenerator(seed: 1, device: .cpu)) {
            seedEverything(9)
            let first: [[Double]] = draws()
            seedEverything(9)
            #expect(first == draws())
        }
    }

    @Test(.ownRandomNumbers) func dropoutOfATaskKeepsTheMean() {
        let x: Tensor = .ones([20_000], dtype: .float64, device: .cpu)
        let dropped: Tensor = dropout(x, probability: 0.25, training: true)
        #expect(abs(dropped.mean().item(Double.self) - 1) < 0.02)
        #expect(abs((dropped .== 0).asType(.float64).mean().item(Double.self) - 0.25) < 0.02)
        #expect(dropout(x, probability: 0.25, training: false).isEqual(to: x))
        #expect(dropout(x, probability: 1, training: true).isEqual(to: x * 0))
    }

    /// What is run again in the backward pass draws what it drew the first time, from the task's stream too.
    @Test(.ownRandomNumbers) func aCheckpointDrawsTheSameAgain() throws {
        let x: Tensor = Tensor.normal([64], device: .cpu).requiringGrad()
        let kept: Tensor = checkpoint(x) { x in dropout(x, probability: 0.5, training: true) * Tensor.normal([64], device: .cpu) }
        let ratio: Tensor = (kept / x).detached()
        #expect(gradients(of: [kept.sum()], withRespectTo: [x])[0].isClose(to: ratio))
    }
}
