import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct DuoLLMTests {
    static func model(layers: Int = 3, rotary: Bool = false, allowSkip: Bool = false) throws -> DuoTransformer {
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: TinyTransformer.vocabulary, dimensions: 8, layers: layers, heads: 2, hiddenDimensions: 16, maximumContext: 12,
            rotary: rotary)
        let model: DuoTransformer = DuoTransformer(configuration, smallHidden: 3, allowSkip: allowSkip)
        model.base.initializeNormal(standardDeviation: 0.4, generator: RandomGenerator(seed: 5, device: .cpu))
        model.to(dtype: .float64).train(false)
        return model
    }

    private static func random(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    @Test func gatheredTokensGiveWhatDenseExecutionGives() throws {
        let layer: DuoFFN = DuoFFN(dims: 6, bigHidden: 16, smallHidden: 2, allowSkip: true)
        layer.to(dtype: .float64)
        let x: Tensor = Self.random([3, 7, 6], seed: 1)
        let choices: Tensor = .randomIntegers([3, 7], high: 3, device: .cpu, generator: RandomGenerator(seed: 2, device: .cpu))
        func results(_ output: (Tensor) -> Tensor) -> [Tensor] {
            let leaf: Tensor = x.detached().requiringGrad()
            let y: Tensor = output(leaf)
            return [y.detached()]
                + gradients(of: [(y * Self.random([3, 7, 6], seed: 3)).sum()], withRespectTo: [leaf] + layer.parameters())
        }
        for (found, expected) in zip(results { layer($0, choices: choices) }, results { layer.dense($0, choices: choices) }) {
            #expect(relativeError(found, expected) < 1e-13)
        }
        let skipped: Tensor = noGrad { layer(x, choices: Tensor.zeros([3, 7], dtype: .int64, device: .cpu)) }
        #expect(skipped.countNonzero().item(Int.self) == 0)
        // Weights that are all on one module choose it.
        let weights: Tensor = choices.oneHot(3).asType(.float64)
        #expect(relativeError(noGrad { layer.mixed(x, weights: weights) }, noGrad { layer.dense(x, choices: choices) }) < 1e-13)
    }

    /// With the big modules everywhere it is a transformer with those feed-forwards.
    @Test(arguments: [false, true]) func allBigIsThePlainTransformer(rotary: Bool) throws {
        let duo: DuoTransformer = try Self.model(rotary: rotary)
        let plain: PlainTransformer = PlainTransformer(duo.base.configuration)
        for (index, feedForward) in duo.feedForwards.enumerated() { plain.blocks[index].feedForward = feedForward.big }
        plain.to(dtype: .float64).train(false)
        let shared: [(String, Tensor)] = duo.stateTensors().compactMap { name, tensor in
            if name.contains(".small.") { return nil }
            return (name.replacingOccurrences(of: "feed_forward.big.", with: "feed_forward."), tensor)
        }
        try plain.load(Dictionary(uniqueKeysWithValues: shared))
        let tokens: Tensor = TinyTransformer.tokens(2, 9)
        let expected: Tensor = noGrad { plain(tokens) }
        let big: RoutingPath = RoutingPath(.big, layers: 3)
        let routes: [DuoRoutes] = [
            .fixed(big), .paths(Tensor([big], device: .cpu).reshaped(1, 1, 3).expanded(to: [2, 9, 3]).contiguous()),
        ]
        for route in routes { #expect(relativeError(noGrad { duo(tokens, routes: route) }, expected) < 1e-13) }
        #expect(relativeError(noGrad { duo(tokens) }, expected) < 1e-13)
        let small: Tensor = noGrad { duo(tokens, routes: .fixed(RoutingPath(.small, layers: 3))) }
        #expect(relativeError(small, expected) > 1e-2)
    }

    /// A path of its own for each token is the fixed path where all have the same, and reaches no earlier token.
    @Test func tokensAreRoutedAlone() throws {
        let model: DuoTransformer = try Self.model()
        let tokens: Tensor = TinyTransformer.tokens(1, 6)
        let mixed: RoutingPath = RoutingPath(big: [1], layers: 3)
        let paths: Tensor = Tensor([mixed], device: .cpu).reshaped(1, 1, 3).expanded(to: [1, 6, 3]).contiguous()
        let expected: Tensor = noGrad { model(tokens, routes: .fixed(mixed)) }
        #expect(relativeError(noGrad { model(tokens, routes: .paths(paths)) }, expected) < 1e-13)
        let changed: Tensor = paths.cloned()
        changed[0, 3] = Tensor([2, 1, 2], device: .cpu)
        let found: Tensor = noGrad { model(tokens, routes: .paths(changed)) }
        let difference: [Double] = (found - expected).abs().max(axis: 2).flattened().array()
        #expect(difference.prefix(3).allSatisfy { $0 < 1e-13 } && difference[3] > 1e-4 && difference[4] > 1e-6)
    }

    /// Half of the tokens take each module, drawn for every token and layer alone.
    @Test func randomRoutesAreFair() throws {
        let model: DuoTransformer = try Self.model()
        let generator: RandomGenerator = RandomGenerator(seed: 3, device: .cpu)
        var seen: [[Int64]] = []
        for _ in 0..<3 {
            // What `.random` draws in a layer, and the next layer's draw after it.
            seen.append(Tensor.randomIntegers([40, 50], low: 1, high: 3, device: .cpu, generator: generator).flattened().array())
        }
        let deviation: Double = (0.25 / 2000).squareRoot()
        for (index, draw) in seen.enumerated() {
            #expect(abs(Double(draw.count { $0 == 2 }) / 2000 - 0.5) < 3 * deviation)
            for other in 0..<index {
                #expect(abs(Double(zip(draw, seen[other]).count { $0 == $1 }) / 2000 - 0.5) < 3 * deviation)
            }
        }
        let tokens: Tensor = TinyTransformer.tokens(2, 9)
        let paths: Tensor = noGrad {
            let drawn: RandomGenerator = RandomGenerator(seed: 8, device: .cpu)
            return stacked((0..<3).map { _ in Tensor.randomIntegers([2, 9], low: 1, high: 3, device: .cpu, generator: drawn) }, axis: 2)
        }
        let found: Tensor = noGrad { model(tokens, routes: .random(RandomGenerator(seed: 8, device: .cpu))) }
        #expect(relativeError(found, noGrad { model(tokens, routes: .paths(paths)) }) < 1e-13)
    }

    @Test func pathsHaveTheirBudget() {
        #expect(RoutingPath.all(layers: 6, big: 3).count == 20 && Set(RoutingPath.all(layers: 6, big: 3)).count == 20)
        #expect(RoutingPath.all(layers: 4, big: 2, allowSkip: true).count == 24)
        let sampled: [RoutingPath] = RoutingPath.all(layers: 12, big: 5, most: 50)
        #expect(sampled.count == 50 && Set(sampled).count == 50 && sampled.allSatisfy { $0.bigCount == 5 })
        #expect(RoutingPath.all(layers: 12, big: 0).count == 1)
        #expect(RoutingPath.first(2, of: 6) == RoutingPath(big: [0, 1], layers: 6))
        #expect(RoutingPath.last(2, of: 6) == RoutingPath(big: [4, 5], layers: 6))
        #expect(RoutingPath.spread(3, of: 6) == RoutingPath(big: [1, 3, 5], layers: 6))
    }
}
