import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct SimplifiedLinearAttentionTests {
    private func normal(_ shape: [Int], seed: UInt64 = 1) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private func layer(heads: Int, grid: Pair? = nil, kernel: Pair? = 5) -> SimplifiedLinearAttention {
        let layer: SimplifiedLinearAttention = SimplifiedLinearAttention(
            dimensions: 12, heads: heads, grid: grid, kernel: kernel, generator: RandomGenerator(seed: 2))
        layer.to(dtype: .float64)
        return layer
    }

    /// Sums over j written out, against both forms.
    @Test func formsAgreeWithTheDefinition() {
        let (q, k, v): (Tensor, Tensor, Tensor) = (
            normal([2, 7, 3, 4]).relu(), normal([2, 7, 3, 4], seed: 2).relu(), normal([2, 7, 3, 5])
        )
        let weights: Tensor = einsum("bihk,bjhk->bhij", q, k)
        let expected: Tensor = einsum("bhij,bjhv->bihv", weights / (weights.sum(axis: 3, keepDims: true) + 1e-6), v)
        #expect(relativeError(normalizedBidirectionalLinearAttention(q: q, k: k, v: v), expected) < 1e-10)
        #expect(relativeError(normalizedBidirectionalLinearAttention(q: q, k: k, v: v, parallel: true), expected) < 1e-10)
    }

    @Test func queriesWithoutAFeatureGiveZeros() {
        let (q, k, v): (Tensor, Tensor, Tensor) = (
            .zeros([1, 4, 1, 3], dtype: .float64), normal([1, 4, 1, 3]).relu(), normal([1, 4, 1, 2])
        )
        for parallel in [false, true] {
            let output: Tensor = normalizedBidirectionalLinearAttention(q: q, k: k, v: v, parallel: parallel)
            #expect(output.countNonzero().item(Int.self) == 0)
            #expect(output.isFinite().all().item(Bool.self))
        }
    }

    @Test func gradients() throws {
        try gradientCheck([normal([1, 4, 2, 3]).abs() + 0.1, normal([1, 4, 2, 3], seed: 5).abs() + 0.1, normal([1, 4, 2, 2])]) {
            [normalizedBidirectionalLinearAttention(q: $0[0], k: $0[1], v: $0[2])]
        }
    }

    @Test func withoutTheConvolutionTokensMayChangePlaces() {
        let (attention, x): (SimplifiedLinearAttention, Tensor) = (layer(heads: 2, kernel: nil), normal([2, 9, 12]))
        let order: Tensor = Tensor([4, 2, 8, 0, 1, 7, 3, 6, 5])
        let moved: Tensor = attention(x.indexSelect(axis: 1, indices: order))
        #expect(relativeError(moved, attention(x).indexSelect(axis: 1, indices: order)) < 1e-12)
        let placed: SimplifiedLinearAttention = layer(heads: 2, grid: 3)
        #expect(
            relativeError(placed(x.indexSelect(axis: 1, indices: order)), placed(x).indexSelect(axis: 1, indices: order)) > 1e-3)
    }

    /// A kernel with a single 1 moves the values of the grid; in the middle it adds them.
    @Test func theConvolutionReadsTheGrid() throws {
        let (plain, attention): (SimplifiedLinearAttention, SimplifiedLinearAttention) = (
            layer(heads: 3, kernel: nil), layer(heads: 3, grid: Pair(3, 4))
        )
        try attention.load(Dictionary(uniqueKeysWithValues: plain.stateTensors()), mode: .lenient)
        let convolution: Conv2d = try #require(attention.convolution)
        let x: Tensor = normal([2, 12, 12])
        let value: Tensor = plain.inputProjection(x).narrowed(axis: 2, start: 24, length: 12)
        noGrad {
            convolution.weight.zero_()
            convolution.bias?.zero_()
            convolution.weight[.ellipsis, 2, 2] = Tensor.ones([12, 1], dtype: .float64)
        }
        let added: Tensor = plain(x) + linear(value, weight: plain.outputProjection.weight)
        #expect(relativeError(attention(x), added) < 1e-12)
        noGrad {
            convolution.weight.zero_()
            convolution.weight[.ellipsis, 3, 2] = Tensor.ones([12, 1], dtype: .float64)
        }
        // The tap below the middle reads the next row, four tokens on; below the last row there is nothing.
        let below: Tensor = concatenated(
            [value.narrowed(axis: 1, start: 4, length: 8), Tensor.zeros([2, 4, 12], dtype: .float64)], axis: 1)
        let shifted: Tensor = plain(x) + linear(below, weight: plain.outputProjection.weight)
        #expect(relativeError(attention(x), shifted) < 1e-12)
    }

    @Test func maskedTokensLeaveNoTrace() {
        let (attention, x): (SimplifiedLinearAttention, Tensor) = (layer(heads: 2), normal([2, 6, 12]))
        let softmax: FullSoftmaxAttention = FullSoftmaxAttention(dimensions: 12, heads: 2, generator: RandomGenerator(seed: 3))
        softmax.to(dtype: .float64)
        let padded: Tensor = concatenated([x, normal([2, 3, 12], seed: 9)], axis: 1)
        let mask: Tensor = concatenated([.ones([2, 6], device: .cpu), .zeros([2, 3], device: .cpu)], axis: 1)
        for mixer in [attention as any NonCausalMixer, softmax] {
            let found: Tensor = mixer(padded, mask: mask).narrowed(axis: 1, start: 0, length: 6)
            #expect(relativeError(found, mixer(x)) < 1e-12)
        }
    }

    @Test func headsCostNoParameters() {
        #expect(Set([1, 2, 3, 6].map { layer(heads: $0).parameterCount }).count == 1)
        #expect(layer(heads: 2).parameterCount == layer(heads: 2, kernel: nil).parameterCount + 12 * 26)
    }

    @Test func factoryAndLanguageModel() throws {
        let configuration: MixerConfiguration = MixerConfiguration(.simplifiedLinear, heads: 2)
        let mixer: any SequenceMixer = try configuration.make(dimensions: 8)
        let output: Tensor = mixer(normal([1, 5, 8]).asType(.float32))
        #expect(output.shape == [1, 5, 8])
        let even: MixerConfiguration = MixerConfiguration(.simplifiedLinear, heads: 2, convolution: 4)
        #expect(throws: ConfigurationError.self) { _ = try even.make(dimensions: 8) }
        let language: LanguageModelConfiguration = try LanguageModelConfiguration(
            vocabularySize: 5, dimensions: 8, layers: 1, mixer: configuration)
        #expect(throws: ConfigurationError.self) { _ = try LanguageModel(language) }
    }
}
