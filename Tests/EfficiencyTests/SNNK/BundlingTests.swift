import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct BundlingTests {
    private static func layer(_ inputs: Int, _ outputs: Int, seed: UInt64) -> Linear {
        Linear(weight: normal([outputs, inputs], seed: seed) * 0.3, bias: normal([outputs], seed: seed + 1) * 0.3)
    }

    @Test(arguments: [RandomFeatureKind.relu, .universal(.gaussian)]) func aBundleOfOneLayerIsItsKernel(kind: RandomFeatureKind) {
        let layer: Linear = Self.layer(5, 7, seed: 1)
        let map: any RandomFeatureMap = kind.precise(5, count: 12)
        let kernel: SNNKLinear = SNNKLinear(map, weight: layer.weight, bias: layer.bias)
        let x: Tensor = vectors(4, 5, length: 0.8, seed: 3)
        #expect(kernel(x).isEqual(to: Bundling.bundle([layer], maps: [map])(x)))
        #expect(
            kernel.outputDimensions == 7 && CostModel(of: kernel).linearMultiplyAccumulates == kernel.weight.count + map.multiplyAccumulates
        )
    }

    @Test func twoLayersAreTheNestedExpression() {
        let (first, second): (Linear, Linear) = (Self.layer(5, 7, seed: 1), Self.layer(7, 3, seed: 3))
        let maps: [any RandomFeatureMap] = [
            RandomFeatureKind.relu.precise(5, count: 10, seed: 1), RandomFeatureKind.relu.precise(10, count: 6, seed: 2),
        ]
        let g: [Tensor] = maps.map { ($0 as? ReLURandomFeatures)!.directions }
        let x: Tensor = normal([4, 5], seed: 5)
        func rectified(_ v: Tensor, _ g: Tensor) -> Tensor { v.matmul(g.mT).relu() / Double(g.dim(0)).squareRoot() }
        func row(_ weight: Tensor, _ bias: Tensor) -> Tensor { concatenated([weight, bias.reshaped(-1, 1)], axis: 1) }
        let one: Tensor = .ones([4, 1], dtype: .float64, device: .cpu)
        // The features of the first layer's parameters, and of the second's seen through them.
        let parameters: Tensor = rectified(row(first.weight, first.bias!), g[0])
        let collapsed: Tensor = rectified(row(second.weight.matmul(parameters), second.bias!), g[1])
        let inner: Tensor = rectified(concatenated([x, one], axis: 1), g[0])
        let expected: Tensor = rectified(concatenated([inner, one], axis: 1), g[1]).matmul(collapsed.mT)
        #expect(largest(Bundling.bundle([first, second], maps: maps)(x) - expected) < 1e-10)
    }

    @Test func aPerceptronKeepsTheLayersOutsideTheRange() {
        let network: MLP = MLP([6, 8, 8, 8, 3])
        let middle: Sequential = Bundling.bundle(network, range: 1..<3, count: 5)
        #expect(middle(.normal([2, 6])).shape == [2, 3])
        #expect(middle.parameters().contains { $0 === network.layers[0].weight })
        #expect(middle.parameters().contains { $0 === network.layers[3].weight })
        let outside: Int = network.layers[0].parameterCount + network.layers[3].parameterCount
        #expect(middle.parameterCount == outside + 8 * 5)
        let tail: Sequential = Bundling.bundle(network, range: 2..<4, count: 5)
        #expect(tail(.normal([2, 6])).shape == [2, 3])
        #expect(tail.parameterCount == network.layers[0].parameterCount + network.layers[1].parameterCount + 3 * 5 + 3)
    }

    /// The output's bias stays what it was, and its matrix multiplies the bundle of what comes before.
    @Test func aBundledOutputMultipliesWhatComesBefore() {
        let (first, second): (Linear, Linear) = (Self.layer(5, 7, seed: 1), Self.layer(7, 3, seed: 3))
        let generators: [RandomGenerator] = (0..<2).map { _ in RandomGenerator(seed: 9, device: .cpu) }
        let map: any RandomFeatureMap = RandomFeatureKind.relu.make(5, count: 10, generator: generators[0])
        let single: BundledLayer = Bundling.bundle(
            [Linear(weight: first.weight.asType(.float32), bias: first.bias?.asType(.float32))], maps: [map])
        let both: BundledLayer = Bundling.bundle(
            expansion: Linear(weight: first.weight.asType(.float32), bias: first.bias?.asType(.float32)),
            contraction: Linear(weight: second.weight.asType(.float32), bias: second.bias?.asType(.float32)), count: 10,
            generator: generators[1])
        let x: Tensor = normal([4, 5], seed: 5).asType(.float32)
        let expected: Tensor = single(x).matmul(second.weight.asType(.float32).mT) + second.bias!.asType(.float32)
        #expect(largest(both(x) - expected) < 1e-5)
        #expect(!(both.bias === second.bias))
    }

    @Test func aTransformersFeedForwardIsCalibratedAndReplaced() throws {
        let shape: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: 9, dimensions: 12, layers: 1, heads: 2, maximumContext: 8)
        let model: PlainTransformer = PlainTransformer(shape)
        guard let dense = model.blocks[0].feedForward as? PlainFeedForward else { preconditionFailure("a plain block") }
        let bundled: BundledLayer = Bundling.bundle(expansion: dense.expansion, contraction: dense.contraction, count: 256)
        let x: Tensor = .normal([200, 12], device: .cpu)
        let wanted: Tensor = noGrad { dense(x) }
        let before: Double = noGrad { meanSquaredError(bundled(x), wanted).item() }
        bundled.fit(x, wanted, ridge: 1e-3)
        let after: Double = noGrad { meanSquaredError(bundled(x), wanted).item() }
        let size: Double = wanted.square().mean().item()
        #expect(after < before && after < 0.05 * size)
        model.replaceModule(at: "blocks.0.feed_forward", with: bundled)
        #expect(model(.zeros([1, 4], dtype: .int64)).shape == [1, 4, 9])
        #expect(model.namedParameters().contains { $0.name == "blocks.0.feed_forward.weight" })
    }

    @Test func theRidgeSolutionHasNoGradient() {
        let (z, y): (Tensor, Tensor) = (normal([50, 12], seed: 1), normal([50, 3], seed: 2))
        let weight: Tensor = ridgeSolution(z, y, ridge: 0.3)
        #expect(largest((z.matmul(weight.mT) - y).mT.matmul(z) + weight * 0.3) < 1e-8)
        let network: FullyBundledNetwork = FullyBundledNetwork(4, 3, layers: 2, count: 16)
        network.to(dtype: .float64)
        let x: Tensor = normal([50, 4], seed: 3)
        network.fit(x, y, ridge: 0.7)
        let features: Tensor = noGrad { network.features(x) }
        #expect(largest((features.matmul(network.bundle.weight.mT) - y).mT.matmul(features) + network.bundle.weight * 0.7) < 1e-8)
        let fitted: Tensor = network.bundle.weight.detached().cloned()
        #expect(network.fit(x, y, choosing: [1e9, 0.7], validation: (x, y)) == 0.7)
        #expect(largest(network.bundle.weight - fitted) < 1e-8)
    }

    @Test func theLogisticFitReachesTheMinimum() {
        let network: FullyBundledNetwork = FullyBundledNetwork(2, 3, layers: 1, count: 24)
        network.to(dtype: .float64)
        let x: Tensor = normal([90, 2], seed: 1)
        let labels: Tensor = (x.selected(axis: 1, index: 0) .> 0).asType(.int64) + (x.selected(axis: 1, index: 1) .> 0).asType(.int64)
        network.fitLogistic(x, labels: labels, ridge: 1e-2, steps: 2000)
        let weight: Tensor = network.bundle.weight
        let loss: Tensor = crossEntropy(network(x), labels) + weight.square().sum() * 0.005
        #expect(largest(gradients(of: [loss], withRespectTo: [weight])[0]) < 1e-8)
        #expect((network(x).argMax(axis: 1) .== labels).asType(.float64).mean().item(Double.self) > 0.85)
    }

    @Test func aBundleWithABiasIsFittedAboutTheMeans() {
        let map: any RandomFeatureMap = RandomFeatureKind.relu.precise(4, count: 30)
        let layer: BundledLayer = BundledLayer(
            [map], weight: .zeros([2, 30], dtype: .float64, device: .cpu), bias: .zeros([2], dtype: .float64, device: .cpu))
        let x: Tensor = normal([40, 4], seed: 1)
        let y: Tensor = normal([40, 2], seed: 2) + 100
        layer.fit(x, y, ridge: 10)
        // The ridge does not pull the mean towards 0.
        #expect(largest((layer(x) - y).mean(axis: 0)) < 1e-9)
    }
}
