import Testing
import Torch

@testable import SequenceModels

/// The fused recurrence of a dense state space against its definition.
extension FusedKernelTests {
    struct SystemSizes: Sendable, CustomTestStringConvertible {
        let length: Int
        let order: Int
        let channels: Int
        var batch: Int = 2
        var features: Int = 3
        var testDescription: String { "B \(batch), H \(features), T \(length), N \(order), M \(channels)" }
    }

    /// Partial and full chunks, orders on both sides of a vector's width.
    private static let systems: [SystemSizes] = [
        SystemSizes(length: 1, order: 1, channels: 1), SystemSizes(length: 37, order: 16, channels: 2),
        SystemSizes(length: 64, order: 5, channels: 1), SystemSizes(length: 65, order: 17, channels: 3),
        SystemSizes(length: 200, order: 40, channels: 1, batch: 5, features: 1),
    ]

    /// u, A, B, C and a state, in float64; A's powers neither vanish nor grow within the lengths used here.
    private func inputs(_ s: SystemSizes) -> [Tensor] {
        let generator: RandomGenerator = RandomGenerator(seed: 5, device: .cpu)
        func normal(_ shape: [Int]) -> Tensor { .normal(shape, dtype: .float64, device: .cpu, generator: generator) }
        let identity: Tensor = .eye(s.order, dtype: .float64, device: .cpu)
        return [
            normal([s.batch, s.features, s.length]),
            identity * 0.9 + normal([s.features, s.order, s.order]) * (0.2 / Double(s.order).squareRoot()),
            normal([s.features, s.order]), normal([s.features, s.channels, s.order]), normal([s.batch, s.features, s.order]),
        ]
    }

    private func recur(_ inputs: [Tensor], mask: Tensor? = nil) -> [Tensor] {
        let found: (output: Tensor, state: Tensor) = DiscreteStateSpace(A: inputs[1], B: inputs[2], C: inputs[3])
            .recur(inputs[0], initialState: inputs.count > 4 ? inputs[4] : nil, mask: mask)
        return [found.output, found.state]
    }

    private func mask(_ s: SystemSizes) -> Tensor {
        Tensor((0..<s.batch * s.length).map { ($0 * $0 + $0 / 3) % 4 == 0 ? 0.0 : 1 }, [s.batch, s.length], device: .cpu)
    }

    @Test(arguments: systems)
    private func theRecurrenceOfAStateSpaceIsItsDefinition(sizes: SystemSizes) {
        for (count, mask) in [(4, nil), (5, nil), (5, mask(sizes))] as [(Int, Tensor?)] {
            let wide: [Tensor] = Array(inputs(sizes).prefix(count))
            // Float64 takes the form made of operators.
            let expected: ([Tensor], [Tensor]) = outputsAndGradients(wide) { recur($0, mask: mask) }
            onEachVariant { variant in
                let found: ([Tensor], [Tensor]) = outputsAndGradients(wide.map { $0.asType(.float32) }) { recur($0, mask: mask) }
                for (index, pair) in zip(found.0 + found.1, expected.0 + expected.1).enumerated() {
                    let error: Double = scaledError(pair.0, pair.1)
                    #expect(error < 1e-5, "\(sizes.testDescription) \(variant), result \(index): \(error)")
                }
            }
        }
    }

    @Test func aStateSpaceReadsStridedInputs() {
        let sizes: SystemSizes = SystemSizes(length: 70, order: 6, channels: 2)
        let plain: [Tensor] = inputs(sizes).map { $0.asType(.float32) }
        let scattered: [Tensor] = [
            plain[0].swappedAxes(0, 1).contiguous().swappedAxes(0, 1), plain[1].mT.contiguous().mT, plain[2], plain[3].mT.contiguous().mT,
            plain[4],
        ]
        onEachVariant { _ in
            for (one, other) in zip(recur(scattered), recur(plain)) { #expect(one.isEqual(to: other)) }
        }
    }

    @Test func threadsDoNotChangeAStateSpace() {
        let inputs: [Tensor] = inputs(SystemSizes(length: 130, order: 20, channels: 2, batch: 4, features: 2)).map { $0.asType(.float32) }
        func run(threads: Int) -> [Tensor] {
            let before: Int = Threads.count
            defer { Threads.count = before }
            Threads.count = threads
            let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs) { recur($0) }
            return found.0 + found.1
        }
        onEachVariant { _ in
            for (one, other) in zip(run(threads: 1), run(threads: 8)) { #expect(scaledError(one, other) < 1e-6) }
        }
    }

    @Test func secondDerivativesOfAStateSpaceTakeTheOtherForm() {
        let sizes: SystemSizes = SystemSizes(length: 9, order: 3, channels: 2)
        func squaredGradient(_ values: [Tensor]) -> [Tensor] {
            let leaves: [Tensor] = values.map { $0.requiringGrad() }
            let first: [Tensor] = gradients(of: [recur(leaves)[0].square().sum()], withRespectTo: leaves, createGraph: true)
            let loss: Tensor = first.map { $0.square().sum().asType(.float64) }.reduce(Tensor(0.0, device: .cpu), +)
            return gradients(of: [loss], withRespectTo: leaves)
        }
        let expected: [Tensor] = squaredGradient(inputs(sizes))
        onEachVariant { _ in
            for (found, other) in zip(squaredGradient(inputs(sizes).map { $0.asType(.float32) }), expected) {
                #expect(scaledError(found, other) < 1e-4)
            }
        }
    }

    /// The graph keeps inputs, not the states of all steps.
    @Test func aStateSpaceKeepsNoStates() {
        let leaves: [Tensor] = inputs(SystemSizes(length: 1024, order: 32, channels: 1)).map { $0.asType(.float32).requiringGrad() }
        func remaining(fused: Bool) -> Int {
            FusedKernels.$isEnabled.withValue(fused) { Memory.measure { recur(leaves) }.usage.remainingByteCount }
        }
        let allStates: Int = 2 * 3 * 1024 * 32 * 4
        #expect(remaining(fused: true) < allStates / 4)
        #expect(remaining(fused: false) > allStates)
    }
}
