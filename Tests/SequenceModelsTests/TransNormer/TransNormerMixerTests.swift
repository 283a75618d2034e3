import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

/// The identities that the TransNormer paper builds on.
@Suite(.ownRandomNumbers) struct TransNormerMixerTests {
    private func double<Layer: Module>(_ layer: Layer) -> Layer {
        layer.to(dtype: .float64, device: .cpu)
        return layer
    }

    @Test func simpleNormHasRootMeanSquareOne() throws {
        let x: Tensor = normal([3, 5, 24]) * 7
        let norms: Tensor = SimpleRMSNorm()(x).square().mean(axis: -1)
        #expect((norms - 1).abs().max().item(Double.self) < 1e-8)
        #expect(x.zerosLike().simpleRMSNormalized().countNonzero().item(Int.self) == 0)
        try gradientCheck([normal([2, 4])]) { [$0[0].simpleRMSNormalized()] }
    }

    @Test func allStepsByQuadraticAndLinearForm() {
        let (q, k, v): (Tensor, Tensor, Tensor) = (normal([2, 9, 2, 4]), normal([2, 9, 2, 4], seed: 2), normal([2, 9, 2, 3], seed: 3))
        let (output, state): (Tensor, Tensor) = bidirectionalLinearAttention(q: q, k: k, v: v, scale: 1)
        let quadratic: Tensor = pairwiseScores(q, k).matmul(v.swappedAxes(1, 2)).swappedAxes(1, 2)
        #expect(relativeError(output, quadratic) < 1e-12)
        #expect(relativeError(state, linearAttention(q: q, k: k, v: v, mode: .recurrent).state) < 1e-12)
    }

    @Test func causalNormAttentionIsItsQuadraticForm() {
        let layer: NormAttention = double(NormAttention(dimensions: 12, heads: 2, position: LRPE(6)))
        let x: Tensor = normal([2, 21, 12])
        let values: Tensor = layer.valueProjection(x).splitHeads(2).swappedAxes(1, 2)
        let mixed: Tensor = layer.attentionWeights(x).matmul(values).swappedAxes(1, 2).joinedHeads()
        let expected: Tensor = layer.outputProjection(mixed.simpleRMSNormalized())
        for mode in [MixerMode.recurrent, .chunkwise(8), .parallel] { #expect(relativeError(layer(x, mode: mode), expected) < 1e-10) }
    }

    /// A norm takes any factor of the values out; a denominator does not.
    @Test func theSizeOfValuesMattersOnlyToTheScaledForm() {
        let x: Tensor = normal([1, 12, 8])
        let generator: RandomGenerator = RandomGenerator(seed: 7, device: .cpu)
        func change<Layer: SequenceMixer>(_ layer: Layer, _ values: (Layer) -> any LinearMap) -> Double {
            // Large weights, beside which the norm's epsilon is nothing.
            layer.initializeNormal(standardDeviation: 1, generator: generator)
            let before: Tensor = double(layer)(x)
            noGrad { values(layer).denseWeight().multiply_(3) }
            return relativeError(layer(x), before)
        }
        #expect(change(NormAttention(dimensions: 8, heads: 2)) { $0.valueProjection } < 1e-6)
        #expect(change(DiagAttention(dimensions: 8, heads: 2, block: 4)) { $0.valueProjection } < 1e-6)
        #expect(change(ScaledLinearAttention(dimensions: 8, heads: 2)) { $0.valueProjection } > 1)
        #expect(change(DiagAttention(dimensions: 8, heads: 2, block: 4, activation: .softmax)) { $0.valueProjection } > 1)
    }

    @Test func positionsAreRelative() {
        let lrpe: LRPE = double(LRPE(8, generator: RandomGenerator(seed: 7, device: .cpu)))
        let (q, k): (Tensor, Tensor) = (normal([2, 10, 3, 8]), normal([2, 10, 3, 8], seed: 2))
        func scores(_ offset: Int) -> Tensor { pairwiseScores(lrpe(q, offset: offset), lrpe(k, offset: offset)) }
        for shift in [1, 13, 1000] { #expect(scaledError(scores(shift), scores(0)) < 1e-9) }
        #expect(scaledError(scores(0), pairwiseScores(q, k)) > 0.1)
    }

    @Test func reflectionIsOrthogonalAndItsOwnInverse() {
        let lrpe: LRPE = double(LRPE(8, generator: RandomGenerator(seed: 7, device: .cpu)))
        let x: Tensor = normal([1, 4, 2, 8])
        let reflected: Tensor = lrpe.reflect(x)
        #expect(relativeError(lrpe.reflect(reflected), x) < 1e-12)
        #expect(relativeError(reflected.norm(axes: [-1]), x.norm(axes: [-1])) < 1e-12)
        #expect(relativeError(reflected, x) > 0.1)
        let u: Tensor = lrpe.direction
        #expect(scaledError(lrpe.reflect(u), -u) < 1e-12)
    }

    @Test(arguments: BlockActivation.allCases) func blocksAreFullAttentionWithABlockMask(activation: BlockActivation) {
        let generator: RandomGenerator = RandomGenerator(seed: 7, device: .cpu)
        let layer: DiagAttention = double(
            DiagAttention(
                dimensions: 12, heads: 2, block: 8, activation: activation, position: LRPE(6, generator: generator), generator: generator))
        let x: Tensor = normal([2, 37, 12])
        let weights: Tensor = layer.attentionWeights(x)
        let mixed: Tensor = weights.matmul(layer.valueProjection(x).splitHeads(2).swappedAxes(1, 2)).swappedAxes(1, 2).joinedHeads()
        let expected: Tensor = layer.outputProjection(activation == .relu ? mixed.simpleRMSNormalized() : mixed)
        #expect(relativeError(layer(x), expected) < 1e-10)
        // Step 15 ends the second block, step 16 begins the third, and 32 the short one at the end.
        let reach: [Double] = weights[0, 0].array()
        #expect((8...15).contains { reach[15 * 37 + $0] > 0 } && (0..<8).allSatisfy { reach[15 * 37 + $0] == 0 })
        #expect((0..<32).allSatisfy { reach[36 * 37 + $0] == 0 })
        if activation == .softmax { #expect((weights.sum(axis: -1) - 1).abs().max().item(Double.self) < 1e-12) }
    }

    /// Without the factor on the queries the softmax form gives another result.
    @Test func queriesAreScaledInBlocks() {
        let (q, k, v): (Tensor, Tensor, Tensor) = (normal([1, 6, 1, 4]), normal([1, 6, 1, 4], seed: 2), normal([1, 6, 1, 4], seed: 3))
        let found: Tensor = diagonalAttention(q: q, k: k, v: v, block: 6, activation: .softmax)
        #expect(relativeError(found, softmaxAttention(q, k, v, causal: true)) < 1e-12)
        #expect(relativeError(found, diagonalAttention(q: q, k: k, v: v, block: 6, activation: .softmax, scale: 1)) > 0.01)
    }

    @Test func scaledFormIsNormalizedLinearAttention() {
        let layer: ScaledLinearAttention = double(ScaledLinearAttention(dimensions: 12, heads: 3))
        let x: Tensor = normal([2, 19, 12])
        func features(_ projection: any LinearMap) -> Tensor { (projection(x).elu() + 1).splitHeads(3) }
        let expected: Tensor = normalizedLinearAttention(
            q: features(layer.queryProjection), k: features(layer.keyProjection), v: layer.valueProjection(x).splitHeads(3), scale: 1
        ).output
        #expect(relativeError(layer(x), layer.outputProjection(expected.joinedHeads())) < 1e-9)
        let weights: Tensor = layer.attentionWeights(x)
        #expect((weights.sum(axis: -1) - 1).abs().max().item(Double.self) < 1e-9)
        let mixed: Tensor = weights.matmul(layer.valueProjection(x).splitHeads(3).swappedAxes(1, 2)).swappedAxes(1, 2)
        #expect(relativeError(mixed, expected) < 1e-9)
    }

    @Test func softmaxShowsItsWeights() {
        for (window, shared) in [(nil, 4), (3, 2)] as [(Int?, Int)] {
            let layer: SoftmaxAttention = double(SoftmaxAttention(dimensions: 16, heads: 4, window: window, keyValueHeads: shared))
            let x: Tensor = normal([1, 9, 16])
            let values: Tensor = layer.attention.valueProjection(x).splitHeads(shared).repeated(4 / shared, axis: 2)
            let mixed: Tensor = layer.attentionWeights(x).matmul(values.swappedAxes(1, 2)).swappedAxes(1, 2).joinedHeads()
            #expect(relativeError(layer.attention.outputProjection(mixed), layer(x)) < 1e-10)
        }
    }

    @Test func closedFormsOfGradientsAreAutograds() {
        let scores: Tensor = normal([6])
        let values: Tensor = normal([6, 4], seed: 2)
        #expect(relativeError(AttentionGradients.ofSumScaling(scores), jacobian({ $0 / $0.sum() }, at: scores)) < 1e-9)
        #expect(relativeError(AttentionGradients.ofSoftmax(scores), jacobian({ $0.softmax() }, at: scores)) < 1e-9)
        let normed: Tensor = jacobian({ $0.matmul(values).simpleRMSNormalized() }, at: scores)
        #expect(relativeError(AttentionGradients.ofNorm(scores, values: values), normed) < 1e-6)
    }

    @Test func aSoftmaxAnswersByAQuarterAtMost() {
        let sizes: [Double] = [0.1, 1, 10]
        for size in sizes {
            let gradient: Tensor = AttentionGradients.ofSoftmax(normal([200, 16]) * size).abs()
            #expect(gradient.max().item(Double.self) <= 0.25)
        }
        #expect(AttentionGradients.ofSoftmax(Tensor([0.0, 0.0], device: .cpu)).abs().max().item(Double.self) == 0.25)
        // A sum near 0 makes the scaled form's answer as large as one likes.
        let explosive: Tensor = Tensor([1.0, -1.0 + 1e-6], dtype: .float64, device: .cpu)
        #expect(AttentionGradients.ofSumScaling(explosive).abs().max().item(Double.self) > 1e11)
    }
}
