import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct MatryoshkaKVTests {
    /// Ranks that differ between layers, heads, keys and values.
    private static let uneven: KVRankPlan = KVRankPlan(
        layers: [KVRanks(keys: [3, 8], values: [1, 5]), KVRanks(keys: [2, 2], values: [7, 4])], headDimensions: 8)

    private static func compressed(_ model: any CausalLanguageModel) throws -> any CausalLanguageModel {
        model.attachKVProjections(try KVProjection.pca(model, calibration: [TinyTransformer.tokens(6, 12, seed: 3)]))
        return model
    }

    private static func models() throws -> [any CausalLanguageModel] {
        [try compressed(TinyTransformer.make()), try compressed(TinyTransformer.llama())]
    }

    private static func logits(_ model: any CausalLanguageModel, _ plan: KVRankPlan?, training: Bool = false) -> Tensor {
        model.setKVRanks(plan)
        model.train(training)
        defer { model.train(false) }
        return noGrad { model(TinyTransformer.tokens(3, 10)) }
    }

    @Test func withAllChannelsItIsTheAttentionItWasMadeFrom() throws {
        for model in try Self.models() {
            let plain: Tensor = Self.logits(model, nil)
            #expect(relativeError(Self.logits(model, model.fullKVRanks), plain) < 1e-11)
            #expect(relativeError(Self.logits(model, Self.uneven), plain) > 1e-3)
        }
    }

    /// Training hides the channels that inference does not compute with.
    @Test func maskedAndSlicedChannelsAgree() throws {
        for model in try Self.models() {
            let masked: Tensor = Self.logits(model, Self.uneven, training: true)
            #expect(relativeError(masked, Self.logits(model, Self.uneven)) < 1e-12)
        }
    }

    @Test func foldedAndUnfoldedAgree() throws {
        for model in try Self.models() {
            let unfolded: Tensor = Self.logits(model, Self.uneven)
            model.setKVRanks(Self.uneven)
            model.foldKVProjections()
            #expect(model.matryoshkaLayers.isEmpty)
            #expect(relativeError(noGrad { model(TinyTransformer.tokens(3, 10)) }, unfolded) < 1e-11)
        }
    }

    @Test(arguments: [false, true]) func stepsAgreeWithTheWholeText(folded: Bool) throws {
        for model in try Self.models() {
            let whole: Tensor = Self.logits(model, Self.uneven)
            if folded { model.foldKVProjections() }
            var state: LanguageModelState = model.initialState(batch: 3)
            let steps: [Tensor] = noGrad { TinyTransformer.tokens(3, 10).unbound(axis: 1).map { model.step($0, state: &state) } }
            #expect(relativeError(stacked(steps, axis: 1), whole) < 1e-11)
            #expect(state.layers.map(\.offset) == [10, 10])
        }
    }

    /// Masked tokens count as positions, and leave no other trace. (Turned keys are cut off by where they stand, so that moving a text changes it.)
    @Test func paddingLeavesNoTrace() throws {
        let model: any CausalLanguageModel = try Self.compressed(TinyTransformer.make())
        model.setKVRanks(Self.uneven)
        let text: Tensor = TinyTransformer.tokens(2, 7)
        let mask: Tensor = concatenated([.zeros([2, 3], device: .cpu), .ones([2, 7], device: .cpu)], axis: 1)
        let padded: [Tensor] = [8, 9].map { concatenated([TinyTransformer.tokens(2, 3, seed: $0), text], axis: 1) }
        let whole: Tensor = model(padded[0], mask: mask).detached().narrowed(axis: 1, start: 3, length: 7)
        #expect(relativeError(model(padded[1], mask: mask).detached().narrowed(axis: 1, start: 3, length: 7), whole) < 1e-11)
        #expect(relativeError(model(padded[1]).detached().narrowed(axis: 1, start: 3, length: 7), whole) > 1e-3)
        var state: LanguageModelState? = model.initialState(batch: 2)
        _ = model(padded[1][0..., 0..<6], mask: mask[0..., 0..<6], state: &state, mode: nil)
        let rest: Tensor = model(padded[1][0..., 6..<10], mask: nil, state: &state, mode: nil).detached()
        #expect(relativeError(rest, whole.narrowed(axis: 1, start: 3, length: 4)) < 1e-11)
    }

    /// A token takes as many numbers as the ranks say, in every layer.
    @Test func theCacheHoldsTheKeptChannelsAlone() throws {
        for model in try Self.models() {
            model.to(dtype: .float32)
            for folded in [false, true] {
                model.setKVRanks(Self.uneven)
                if folded { model.foldKVProjections() }
                var state: LanguageModelState? = model.initialState(batch: 3)
                _ = noGrad { model(TinyTransformer.tokens(3, 10), mask: nil, state: &state, mode: nil) }
                #expect(state?.layers.map(\.byteCount) == [3 * 10 * 17 * 4, 3 * 10 * 15 * 4])
                #expect(model.stateBytes(batch: 3, length: 10) == 3 * 10 * 32 * 4)
            }
        }
        #expect(Self.uneven.budget == 0.5)
    }

    @Test func packedChannelsComeBackInTheirPlaces() {
        let heads: Tensor = .normal([2, 3, 3, 4], dtype: .float64, device: .cpu)
        let packed: Tensor = CompressedKVCache.packed(heads, ranks: [1, 4, 2])
        #expect(packed.shape == [2, 3, 7])
        let back: Tensor = CompressedKVCache.unpacked(packed, ranks: [1, 4, 2])
        for (head, rank) in [1, 4, 2].enumerated() {
            #expect(back[0..., 0..., head, 0..<rank].isEqual(to: heads[0..., 0..., head, 0..<rank]))
            #expect(rank == 4 || back[0..., 0..., head, rank...].abs().max().item(Double.self) == 0)
        }
        #expect(
            CompressedKVCache.unpacked(CompressedKVCache.packed(heads, ranks: [2, 2, 2]), ranks: [2, 2, 2]).isEqual(
                to: heads[.ellipsis, 0..<2]))
    }

    // MARK: Principal axes

    /// What is lost of turned keys is the variance along the axes that were dropped; keys before their rotation would not give this.
    @Test func theLostVarianceIsThatOfTheDroppedAxes() throws {
        let model: PlainTransformer = try TinyTransformer.make()
        let tokens: Tensor = TinyTransformer.tokens(6, 12, seed: 3)
        let projection: KVProjection = try KVProjection.pca(model, calibration: [tokens, tokens])[0]
        guard let attention = (model.blocks[0].mixer as? SoftmaxAttention)?.attention else { preconditionFailure("softmax attention") }
        let rotary: RotaryEmbedding = try #require(attention.rotary)
        let x: Tensor = model.blocks[0].attentionNorm(model.embedding(tokens)).detached()
        let keys: Tensor = rotary(attention.keyProjection(x).detached().reshaped(6, 12, 2, 8))
        let flat: Tensor = keys.flattened(from: 0, to: 1) - projection.keyMean.detached()
        #expect(flat.mean(axis: 0).abs().max().item(Double.self) < 1e-12)
        let eigenvalues: Tensor = (einsum("nhd,nhe->hde", flat, flat) / 72.0).eigh().values
        let basis: Tensor = projection.key.matrix().detached()
        for rank in [2, 5, 7] {
            let kept: Tensor = basis.narrowed(axis: 2, start: 0, length: rank)
            let back: Tensor = einsum("nhr,hdr->nhd", einsum("nhd,hdr->nhr", flat, kept), kept)
            let lost: Tensor = (flat - back).square().sum(axis: 2).mean(axis: 0)
            let dropped: Tensor = eigenvalues.narrowed(axis: 1, start: 0, length: 8 - rank).sum(axis: 1)
            #expect(relativeError(lost, dropped) < 1e-6)
        }
    }

    @Test func modelsThatCannotBeCompressedAreRefused() throws {
        let plain: PlainTransformer = try TinyTransformer.make()
        let model: any CausalLanguageModel = try Self.compressed(plain)
        #expect(throws: ConfigurationError("the model's caches have projections already")) {
            try KVProjection.pca(model, calibration: [TinyTransformer.tokens(1, 4)])
        }
        let linear: LanguageModel = try LanguageModel(
            LanguageModelConfiguration(vocabularySize: 7, dimensions: 8, layers: 1, mixer: MixerConfiguration(.gla, heads: 1)))
        #expect(throws: ConfigurationError.self) { try KVProjection.pca(linear, calibration: [TinyTransformer.tokens(1, 4)]) }
        #expect(throws: ConfigurationError.self) { try MatryoshkaKVTrainer(linear, MatryoshkaKVTraining()) }
        #expect(throws: ConfigurationError.self) { try RankSearch.greedy(linear, calibration: TinyTransformer.tokens(1, 4), budget: 0.5) }
        #expect(throws: ConfigurationError("a budget of 0.1 cannot be met; it has to lie in 0.125 ... 1")) {
            try RankSearch.greedy(model, calibration: TinyTransformer.tokens(1, 4), budget: 0.1)
        }
        #expect(throws: ConfigurationError.self) { try KVProjection.pca(TinyTransformer.make(), calibration: []) }
        #expect(throws: ConfigurationError.self) { try MatryoshkaKVTraining(distillation: 1.5) }
        #expect(throws: ConfigurationError.self) { try MatryoshkaKVTraining(temperature: 0) }
        #expect(throws: ConfigurationError.self) { try MatryoshkaKVTraining(sampling: .fixed(0)) }
    }
}
