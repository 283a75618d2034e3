import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// The fused selective scan against its definition, step by step.
@Suite(.ownRandomNumbers) struct FusedSelectiveScanTests {
    private struct Sizes: Sendable, CustomTestStringConvertible {
        let length: Int
        let channels: Int
        let order: Int
        var testDescription: String { "T \(length), D \(channels), N \(order)" }
    }

    private static let sizes: [Sizes] = [
        Sizes(length: 1, channels: 3, order: 2), Sizes(length: 37, channels: 16, order: 16), Sizes(length: 64, channels: 5, order: 1),
        Sizes(length: 65, channels: 40, order: 4), Sizes(length: 130, channels: 17, order: 7),
    ]

    /// u, Δ, A, B, C and a state, in float64.
    private func inputs(_ sizes: Sizes) -> [Tensor] {
        let generator: RandomGenerator = RandomGenerator(seed: 3, device: .cpu)
        func normal(_ shape: [Int]) -> Tensor { .normal(shape, dtype: .float64, device: .cpu, generator: generator) }
        let (steps, maps): ([Int], [Int]) = ([2, sizes.length, sizes.channels], [2, sizes.length, sizes.order])
        return [
            normal(steps), (normal(steps) - 1).softplus(), -normal([sizes.order, sizes.channels]).exp(), normal(maps), normal(maps),
            normal([2, sizes.order, sizes.channels]),
        ]
    }

    private func recurrence(_ inputs: [Tensor]) -> [Tensor] {
        let (u, step, B, C): ([Tensor], [Tensor], [Tensor], [Tensor]) = (
            inputs[0].unbound(axis: 1), inputs[1].unbound(axis: 1), inputs[3].unbound(axis: 1), inputs[4].unbound(axis: 1)
        )
        var state: Tensor = inputs.count > 5 ? inputs[5] : .zeros([2] + inputs[2].shape, dtype: .float64, device: .cpu)
        var outputs: [Tensor] = []
        for t in u.indices {
            let decay: Tensor = (step[t].expandedDimensions(axis: 1) * inputs[2]).exp()
            state = decay * state + B[t].expandedDimensions(axis: 2) * (step[t] * u[t]).expandedDimensions(axis: 1)
            outputs.append((C[t].expandedDimensions(axis: 2) * state).sum(axis: 1))
        }
        return [stacked(outputs, axis: 1), state]
    }

    private func fused(_ inputs: [Tensor]) -> [Tensor] {
        let found: (output: Tensor, state: Tensor) = fusedSelectiveScan(
            u: inputs[0], step: inputs[1], A: inputs[2], B: inputs[3], C: inputs[4], initialState: inputs.count > 5 ? inputs[5] : nil)
        return [found.output, found.state]
    }

    @Test(arguments: sizes)
    private func agreesWithTheRecurrence(sizes: Sizes) {
        for count in [5, 6] {
            let wide: [Tensor] = Array(inputs(sizes).prefix(count))
            let expected: ([Tensor], [Tensor]) = outputsAndGradients(wide, recurrence)
            let found: ([Tensor], [Tensor]) = outputsAndGradients(wide.map { $0.asType(.float32) }, fused)
            for (index, pair) in zip(found.0 + found.1, expected.0 + expected.1).enumerated() {
                let error: Double = scaledError(pair.0, pair.1)
                #expect(error < 1e-5, "\(sizes), result \(index): \(error)")
            }
        }
    }

    @Test func longStepsForgetWithoutOverflow() {
        var inputs: [Tensor] = inputs(Sizes(length: 70, channels: 17, order: 3))
        inputs[1] = .full(inputs[1].shape, 500.0, dtype: .float64, device: .cpu)
        let expected: ([Tensor], [Tensor]) = outputsAndGradients(inputs, recurrence)
        let found: ([Tensor], [Tensor]) = outputsAndGradients(inputs.map { $0.asType(.float32) }, fused)
        for (one, other) in zip(found.0 + found.1, expected.0 + expected.1) {
            #expect(one.isFinite().all().item(Bool.self))
            #expect(relativeError(one, other) < 1e-5)
        }
    }
}
