import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// Stability of the chunked forms, and how the gated operators contain one another.
@Suite(.ownRandomNumbers) struct GatedLinearAttentionTests {
    private func inputs(length: Int = 130, dtype: DType = .float64) -> (q: Tensor, k: Tensor, v: Tensor) {
        let found: [Tensor] = KernelUnderTest.linearAttention.inputs(KernelSizes(batch: 2, length: length, heads: 2), dtype: dtype)
        return (found[0], found[1], found[2])
    }

    @Test(arguments: [1, 4, 16, 64])
    func strongGatesStayFinite(subchunk: Int) {
        let (q, k, v): (Tensor, Tensor, Tensor) = inputs(dtype: .float32)
        let gate: Tensor = .full(k.shape, -20.0, device: .cpu)
        func run(_ mode: MixerMode) -> (outputs: [Tensor], gradients: [Tensor]) {
            outputsAndGradients([q, k, v, gate]) {
                let result: (Tensor, Tensor) = gatedLinearAttention(
                    q: $0[0], k: $0[1], v: $0[2], logGate: $0[3], mode: mode, subchunk: subchunk)
                return [result.0, result.1]
            }
        }
        let (found, expected): (([Tensor], [Tensor]), ([Tensor], [Tensor])) = (run(.chunkwise(64)), run(.recurrent))
        for (one, other) in zip(found.0 + found.1, expected.0 + expected.1) {
            #expect(one.isFinite().all().item(Bool.self))
            #expect(scaledError(one, other) < 1e-4)
        }
    }

    @Test func strongHeadGatesStayFinite() {
        let (q, k, v): (Tensor, Tensor, Tensor) = inputs(dtype: .float32)
        let gate: Tensor = .full(Array(k.shape.dropLast()), -20.0, device: .cpu)
        func run(_ mode: MixerMode) -> (outputs: [Tensor], gradients: [Tensor]) {
            outputsAndGradients([q, k, v, gate]) {
                let result: (Tensor, Tensor) = simpleGatedLinearAttention(q: $0[0], k: $0[1], v: $0[2], logGate: $0[3], mode: mode)
                return [result.0, result.1]
            }
        }
        let (found, expected): (([Tensor], [Tensor]), ([Tensor], [Tensor])) = (run(.chunkwise(64)), run(.recurrent))
        for (one, other) in zip(found.0 + found.1, expected.0 + expected.1) {
            #expect(one.isFinite().all().item(Bool.self))
            #expect(scaledError(one, other) < 1e-4)
        }
    }

    @Test func factoringOverAWholeChunkOverflows() {
        // The reason for the secondary chunking: k ⊙ exp(−b) is not representable after five steps of g = −20.
        let sums: Tensor = Tensor.full([64], -20.0, device: .cpu).cumulativeSum(axis: 0)
        #expect((-sums).exp().isInf().any().item(Bool.self))
        let scores: Tensor = sums.exp().expandedDimensions(axis: 1) * (-sums).exp()
        #expect(scores.isNaN().any().item(Bool.self))
    }

    @Test func openGateIsLinearAttention() {
        let (q, k, v): (Tensor, Tensor, Tensor) = inputs()
        let expected: (output: Tensor, state: Tensor) = linearAttention(q: q, k: k, v: v, mode: .recurrent)
        let channels: (output: Tensor, state: Tensor) = gatedLinearAttention(
            q: q, k: k, v: v, logGate: k.zerosLike(), mode: .chunkwise(32))
        let heads: (output: Tensor, state: Tensor) = simpleGatedLinearAttention(
            q: q, k: k, v: v, logGate: k.sum(axis: 3).zerosLike(), mode: .chunkwise(32))
        for found in [channels, heads] {
            #expect(relativeError(found.output, expected.output) < 1e-12)
            #expect(relativeError(found.state, expected.state) < 1e-12)
        }
    }

    @Test func equalGatesAreRetention() {
        let (q, k, v): (Tensor, Tensor, Tensor) = inputs()
        let decay: Tensor = retentionLogDecay(heads: 2, dtype: .float64, device: .cpu)
        let gate: Tensor = decay.reshaped(1, 1, 2, 1).expanded(to: k.shape)
        let expected: (output: Tensor, state: Tensor) = retention(q: q, k: k, v: v, mode: .chunkwise(32))
        let found: (output: Tensor, state: Tensor) = gatedLinearAttention(q: q, k: k, v: v, logGate: gate, mode: .chunkwise(64))
        #expect(relativeError(found.output, expected.output) < 1e-12)
        #expect(relativeError(found.state, expected.state) < 1e-12)
    }

    @Test func retentionDecaysFollowTheHeads() {
        let decays: [Double] = retentionLogDecay(heads: 3, dtype: .float64, device: .cpu).exp().array()
        for (found, expected) in zip(decays, [1 - 1.0 / 32, 1 - 1.0 / 64, 1 - 1.0 / 128]) { #expect(abs(found - expected) < 1e-15) }
    }

    @Test func chunksRoundUpToHalves() {
        let gate: Gate = .channels(.zeros([1], device: .cpu), subchunk: 16)
        #expect(ChannelDecay.chunk(atLeast: 64, gate: gate) == 64)
        #expect(ChannelDecay.chunk(atLeast: 16, gate: gate) == 16)
        #expect(ChannelDecay.chunk(atLeast: 37, gate: gate) == 40)
        #expect(ChannelDecay.chunk(atLeast: 37, gate: .none) == 37)
    }

    @Test func normalizedWeightsSumToOne() {
        let (q, k, _): (Tensor, Tensor, Tensor) = inputs()
        let ones: Tensor = .ones(Array(k.shape.dropLast()) + [3], dtype: .float64, device: .cpu)
        let found: Tensor = normalizedLinearAttention(q: q.elu() + 1, k: k.elu() + 1, v: ones, mode: .chunkwise(32)).output
        #expect(relativeError(found, ones) < 1e-8)
    }
}
