import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct MixtureOfDepthTests {
    private static let image: Int = 6
    private static let patchDimensions: Int = 5

    private static func random(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private static func model(rotary: Bool = false) throws -> MultimodalDecoder {
        let model: MultimodalDecoder = MultimodalDecoder(
            try TinyTransformer.make(layers: 3, rotary: rotary, context: 12), patchDimensions: patchDimensions,
            generator: RandomGenerator(seed: 4, device: .cpu))
        model.to(dtype: .float64).train(false)
        return model
    }

    private static func converted(
        rotary: Bool = false, capacity: Double = 0.5, protectsText: Bool = true, compact: Bool = false, threshold: Double = 0.5,
        sharedRouter: Bool = true
    ) throws -> MultimodalDecoder {
        let model: MultimodalDecoder = try Self.model(rotary: rotary)
        try GammaMoD.convert(
            model, plan: MoDPlan(layers: 3, keepDense: [0]),
            routing: DepthRouting(
                capacity: capacity, imageTokens: image, protectsText: protectsText, compactPositions: compact, threshold: threshold),
            sharedRouter: sharedRouter, generator: RandomGenerator(seed: 6, device: .cpu))
        return model
    }

    private static func sample(_ rows: Int, _ length: Int = 4) -> (patches: Tensor, tokens: Tensor) {
        (random([rows, image, patchDimensions], seed: 11), TinyTransformer.tokens(rows, length))
    }

    /// π becomes 1 for every token: the norm's first channel is large, and the router looks at it alone.
    private static func forceRouter(_ layer: MixtureOfDepthLayer) {
        let bias: Tensor = layer.base.attentionNorm.namedParameters().first { $0.name == "bias" }?.tensor ?? .zeros([1])
        let weight: Tensor = layer.router.projection.weight.detached()
        bias.detached()[0] = 60
        weight.zero_()
        weight[1, 0] = 1
    }

    @Test func withFullCapacityAndPiOfOneItIsTheDenseLayer() throws {
        let model: MultimodalDecoder = try Self.converted(capacity: 1)
        let layer: MixtureOfDepthLayer = model.depthLayers[0]
        Self.forceRouter(layer)
        let x: Tensor = Self.random([2, 10, 16], seed: 5)
        var none: MixerState?
        let dense: Tensor = layer.base(x, state: &none).detached()
        for training in [true, false] {
            layer.train(training)
            #expect(relativeError(layer(x, state: &none).detached(), dense) < 1e-12)
        }
    }

    @Test(arguments: [true, false]) func theOthersPassUnchangedAndInOrder(protectsText: Bool) throws {
        let model: MultimodalDecoder = try Self.converted(protectsText: protectsText)
        let layer: MixtureOfDepthLayer = model.depthLayers[0]
        layer.train()
        let x: Tensor = Self.random([4, 10, 16], seed: 5)
        var none: MixerState?
        let output: Tensor = layer(x, state: &none).detached()
        let kept: Tensor = try #require(layer.kept)
        // ⌈10 − 0.5 · 6⌉ of the 10.
        #expect(kept.asType(.int64).sum(axis: 1).array(Int64.self) == [7, 7, 7, 7])
        #expect(layer.routing.kept(of: 10) == 7 && layer.routing.kept(of: 6) == 3)
        let changed: Tensor = (output .!= x).any(axis: 2)
        #expect(changed.isEqual(to: kept))
        let text: Tensor = kept.narrowed(axis: 1, start: Self.image, length: 4)
        #expect(text.all().item(Bool.self) == protectsText)
        // The definition, row by row, for the tokens in the order of their positions.
        let need: Tensor = layer.router(layer.base.attentionNorm(x)).softmax().detached()
        for row in 0..<4 {
            let places: Tensor = kept[row].nonzero().flattened()
            let chosen: Tensor = x[row].indexSelect(axis: 0, indices: places).expandedDimensions(axis: 0)
            let mixed: Tensor = (chosen + layer.base.mixer(layer.base.attentionNorm(chosen))).detached()
            let scale: Tensor = need[row].indexSelect(axis: 0, indices: places)[0..., 1].reshaped(1, -1, 1)
            let expected: Tensor = (mixed + layer.base.feedForward(layer.base.feedForwardNorm(mixed)) * scale).detached()
            #expect(relativeError(output[row].indexSelect(axis: 0, indices: places).expandedDimensions(axis: 0), expected) < 1e-12)
        }
    }

    /// Without protection the tokens with the largest π run, whatever they are.
    @Test func theLargestNeedsRun() throws {
        let model: MultimodalDecoder = try Self.converted(protectsText: false)
        let layer: MixtureOfDepthLayer = model.depthLayers[1]
        layer.train()
        let x: Tensor = Self.random([3, 10, 16], seed: 5)
        var none: MixerState?
        _ = layer(x, state: &none)
        let need: Tensor = layer.router(layer.base.attentionNorm(x)).softmax().detached().selected(axis: 2, index: 1)
        let kept: Tensor = try #require(layer.kept)
        let least: Tensor = which(kept, need, 2.0).min(axis: 1)
        let most: Tensor = which(kept, -1.0, need).max(axis: 1)
        #expect((least .> most).all().item(Bool.self))
    }

    @Test func oneRouterIsShared() throws {
        let shared: MultimodalDecoder = try Self.converted()
        #expect(shared.depthLayers.count == 2 && shared.depthLayers[0].router === shared.depthLayers[1].router)
        #expect(shared.namedParameters().filter { $0.name.contains("router") }.map(\.name) == ["blocks.1.router.projection.weight"])
        let separate: MultimodalDecoder = try Self.converted(sharedRouter: false)
        #expect(separate.depthLayers[0].router !== separate.depthLayers[1].router)
        #expect(!(separate.blocks[0] is MixtureOfDepthLayer))
    }

    /// The router learns through π, the factor of the feed-forward, and not through the choice.
    @Test func theRouterLearnsThroughPi() throws {
        let model: MultimodalDecoder = try Self.converted()
        let layer: MixtureOfDepthLayer = model.depthLayers[0]
        layer.train()
        let x: Tensor = Self.random([2, 10, 16], seed: 5)
        func value() -> Tensor {
            var none: MixerState?
            return (layer(x, state: &none) * Self.random([2, 10, 16], seed: 6)).sum()
        }
        let weight: Tensor = layer.router.projection.weight
        let gradient: Tensor = gradients(of: [value()], withRespectTo: [weight])[0]
        #expect(gradient.abs().max().item(Double.self) > 1e-3)
        for place in [0, 9, 20] {
            #expect(abs(gradient.flattened()[place].item(Double.self) - differenceQuotient(weight, at: place) { value() }) < 1e-6)
        }
        // With the feed-forward's output at 0 nothing of π is left.
        guard let feedForward = layer.base.feedForward as? PlainFeedForward else { preconditionFailure("a plain feed-forward") }
        feedForward.contraction.denseWeight().detached().zero_()
        #expect(gradients(of: [value()], withRespectTo: [weight])[0].abs().max().item(Double.self) == 0)
    }

    /// Two tokens of which one runs: the mean of −log π of the one and −log (1 − π) of the other, times the weight, summed over layers.
    @Test func theRoutersLossIsClosed() throws {
        let model: MultimodalDecoder = try Self.converted()
        model.train()
        for layer in model.depthLayers { layer.routing.imageTokens = 2 }
        let x: Tensor = Self.random([1, 2, 16], seed: 5)
        var expected: Double = 0
        for layer in model.depthLayers {
            var none: MixerState?
            _ = layer(x, state: &none)
            let need: [Double] = layer.router(layer.base.attentionNorm(x)).softmax().detached()[0, 0..., 1].array()
            expected -= 0.01 * (log(need.max() ?? 0) + log(1 - (need.min() ?? 0))) / 2
        }
        let found: Tensor = try #require(model.takeAuxiliaryLoss())
        #expect(abs(found.item(Double.self) - expected) < 1e-12)
        #expect(model.takeAuxiliaryLoss() == nil)
        model.train(false)
        _ = model.hidden(patches: Self.sample(1).patches, tokens: Self.sample(1).tokens)
        #expect(model.takeAuxiliaryLoss() == nil)
    }

    // MARK: Evaluation

    /// Rows that run different numbers of tokens give what each gives alone, and a text in pieces what it gives at once.
    @Test(arguments: [(false, false), (true, false), (true, true)]) func cachedDecodingIsTheWholeSequence(rotary: Bool, compact: Bool)
        throws
    {
        let model: MultimodalDecoder = try Self.converted(rotary: rotary, compact: compact, threshold: 0.55)
        let (patches, tokens): (Tensor, Tensor) = Self.sample(4, 6)
        let whole: Tensor = model(patches: patches, tokens: tokens).detached()
        let kept: [Int64] = try #require(model.depthLayers[0].kept).asType(.int64).sum(axis: 1).array()
        #expect(Set(kept).count > 1)
        var state: LanguageModelState? = model.initialState(batch: 4)
        var pieces: [Tensor] = [model(patches: patches, tokens: tokens[0..., 0..<2], state: &state).detached()]
        for t in 2..<6 { pieces.append(model(patches: nil, tokens: tokens[0..., t..<t + 1], state: &state).detached()) }
        #expect(relativeError(concatenated(pieces, axis: 1), whole) < 1e-11)
        #expect(state?.layers.map(\.offset) == [12, 12, 12])
        for row in 0..<4 {
            let alone: Tensor = model(patches: patches[row..<row + 1], tokens: tokens[row..<row + 1]).detached()
            #expect(relativeError(alone, whole[row..<row + 1]) < 1e-11)
        }
    }

    /// A token that is passed by leaves nothing in the layer's cache.
    @Test func skippedTokensLeaveNoKeys() throws {
        let model: MultimodalDecoder = try Self.converted(threshold: 0.55)
        let (patches, tokens): (Tensor, Tensor) = Self.sample(1, 6)
        var state: LanguageModelState? = model.initialState(batch: 1)
        _ = model(patches: patches, tokens: tokens, state: &state)
        for (layer, cache) in zip(model.depthLayers, (state?.layers.dropFirst() ?? []).map(\.kv)) {
            let kept: Int = try #require(layer.kept).asType(.int64).sum().item(Int.self)
            #expect(cache?.count == kept && kept < 12)
        }
        for layer in model.depthLayers { layer.routing.threshold = 1 }
        let nothing: Tensor = model.hidden(patches: patches, tokens: tokens).detached()
        var x: Tensor = concatenated([model.projector(patches), model.embedding(tokens)], axis: 1)
        let positions: Embedding = try #require(model.positions)
        x = x + positions(.arange(12, device: .cpu))
        var none: MixerState?
        #expect(relativeError(nothing, model.norm(model.blocks[0](x, mask: nil, state: &none, mode: nil)).detached()) < 1e-12)
    }

    @Test func theThresholdMeetsTheCapacity() throws {
        let model: MultimodalDecoder = try Self.converted(capacity: 0.4)
        let samples: [(patches: Tensor, tokens: Tensor)] = [Self.sample(40), Self.sample(30)]
        let threshold: Double = GammaMoD.calibrateThreshold(of: model, samples: samples)
        let statistics: RoutingStatistics = RoutingStatistics.measure(model, samples: samples)
        #expect(abs(statistics.imageRate - 0.4) < 0.03 && (0...1).contains(threshold))
        #expect(statistics.textRate > 0 && statistics.textRate < 1)
    }

    @Test func workIsCountedFromTheTokensThatRan() throws {
        let (dense, model): (MultimodalDecoder, MultimodalDecoder) = (try Self.model(), try Self.converted())
        let samples: [(patches: Tensor, tokens: Tensor)] = [Self.sample(3)]
        let block: Int = 4 * 16 * 16 + 2 * 16 * 64
        func work(_ tokens: Int) -> Int { tokens * block + tokens * (tokens + 1) * 16 }
        #expect(RoutingStatistics.measure(dense, samples: samples).multiplyAccumulates == Double(3 * work(10)))
        model.train()
        // Seven of ten tokens in each of two layers, and the router on all ten.
        let statistics: RoutingStatistics = RoutingStatistics.measure(model, samples: samples)
        #expect(statistics.multiplyAccumulates == Double(work(10) + 2 * (work(7) + 10 * 2 * 16)))
        #expect(statistics.textRate == 1 && statistics.imageRate == 0.5)
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let model: MultimodalDecoder = try Self.converted()
        let routing: DepthRouting = try DepthRouting(imageTokens: 6)
        #expect(throws: ConfigurationError("the plan is for 4 layers; the model has 3")) {
            try GammaMoD.convert(model, plan: MoDPlan(layers: 4, keepDense: []), routing: routing)
        }
        #expect(throws: ConfigurationError("block 1 is a MixtureOfDepthLayer, which has no form as a mixture of depths")) {
            try GammaMoD.convert(model, plan: MoDPlan(layers: 3, keepDense: []), routing: routing)
        }
        #expect(throws: ConfigurationError("capacity is 1.5; it has to lie in 0 ... 1")) { try DepthRouting(capacity: 1.5, imageTokens: 6) }
        #expect(throws: ConfigurationError.self) { try DepthRouting(imageTokens: -1) }
    }
}
