import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

/// Attention and feed-forward as a user writes them who never heard of ranks, with a gain on each head's queries.
private final class UserBlock: Module {
    @ModuleInfo(key: "self_attn.q_proj") var query: any LinearMap
    @ModuleInfo(key: "self_attn.k_proj") var key: any LinearMap
    @ModuleInfo(key: "self_attn.v_proj") var value: any LinearMap
    @ModuleInfo(key: "self_attn.out_proj") var output: any LinearMap
    @ModuleInfo var fc1: any LinearMap
    @ModuleInfo var fc2: any LinearMap
    @ParameterInfo(key: "query_gain") var gain: Tensor
    let heads: Int
    /// Whether all channels of the queries are scaled to unit length together, which a rank cannot do alone.
    let normsQueries: Bool

    init(heads: Int, normsQueries: Bool) {
        self.heads = heads
        self.normsQueries = normsQueries
        super.init()
        (query, key, value, output) = (Linear(8, 8), Linear(8, 8), Linear(8, 8), Linear(8, 8))
        (fc1, fc2) = (Linear(8, 12), Linear(12, 8))
        gain = .ones([8 / heads])
    }

    func callAsFunction(_ x: Tensor) -> Tensor {
        func split(_ y: Tensor) -> Tensor { y.reshaped(y.dim(0), y.dim(1), heads, 8 / heads) }
        let queries: Tensor = normsQueries ? query(x) / query(x).norm(axes: [-1], keepDims: true) : query(x)
        let attended: Tensor = softmaxAttention(split(queries) * gain, split(key(x)), split(value(x)), causal: true)
        let mixed: Tensor = x + output(attended.flattened(from: 2))
        return mixed + fc2(fc1(mixed).relu())
    }
}

private final class UserModel: Module {
    @ModuleInfo var embedding: Embedding
    @ModuleInfo var blocks: [UserBlock]
    @ModuleInfo var head: Linear

    init(heads: Int = 4, normsQueries: Bool = false) {
        super.init()
        embedding = Embedding(16, 8)
        blocks = (0..<2).map { _ in UserBlock(heads: heads, normsQueries: normsQueries) }
        head = Linear(8, 16)
    }

    func callAsFunction(_ tokens: Tensor) -> Tensor { head(blocks.reduce(embedding(tokens)) { $1($0) }) }
}

/// Models divided by the rules compute what they computed whole: outputs and all gradients, in float64.
@Suite(.ownRandomNumbers) struct AutoShardTests {
    private static func expectEqual(_ ranks: [ShardComparison], pairs: Int, share: Double = 1) {
        for rank in ranks {
            #expect(rank.outputs < 1e-10)
            #expect(rank.gradients < 1e-9)
            #expect(rank.localPairs.count == pairs, "local \(rank.localPairs), joined \(rank.joinedPairs)")
            #expect(Double(rank.bytes) <= share * Double(rank.wholeBytes))
        }
    }

    private static func plain(rotary: Bool = false) throws -> PlainTransformer {
        shardRandomized(
            PlainTransformer(
                try PlainTransformerConfiguration(
                    vocabularySize: 16, dimensions: 16, layers: 2, heads: 4, maximumContext: 8, rotary: rotary)))
    }

    /// Two sums forward and two backward in each block; one for either table, and the join of the logits. Backward the head's copy.
    @Test(arguments: [2, 4]) func plainTransformer(mp: Int) throws {
        let ranks: [ShardComparison] = try ShardComparison.compare(mp, make: { try Self.plain() }, outputs: { $0(shardTokens()) })
        Self.expectEqual(ranks, pairs: 4, share: mp == 4 ? 0.3 : 0.55)
        for rank in ranks {
            #expect(rank.forwardCollectives == 2 * 2 + 3)
            #expect(rank.backwardCollectives == 2 * 2 + 1)
        }
    }

    @Test(arguments: [true, false]) func gpt2(tied: Bool) throws {
        let ranks: [ShardComparison] = try ShardComparison.compare(4) { () throws -> GPT2Model in
            var configuration: GPT2Configuration = try GPT2Configuration(
                vocabularySize: 16, dimensions: 16, layers: 2, heads: 4, maximumContext: 8)
            configuration.tiedHead = tied
            return shardRandomized(GPT2Model(configuration))
        } outputs: {
            $0(shardTokens())
        }
        Self.expectEqual(ranks, pairs: 4, share: 0.35)
    }

    /// Keys and values of 2 and 1 heads on 4 ranks are held whole; of 4 heads they are cut.
    @Test(arguments: [1, 2, 4], [true, false]) func llama(keyValueHeads: Int, tied: Bool) throws {
        let ranks: [ShardComparison] = try ShardComparison.compare(4) { () throws -> LlamaModel in
            var configuration: LlamaConfiguration = try LlamaConfiguration(
                vocabularySize: 16, dimensions: 16, hiddenDimensions: 24, layers: 2, heads: 8, keyValueHeads: keyValueHeads)
            configuration.tiedHead = tied
            configuration.attentionBias = true
            configuration.feedForwardBias = true
            return shardRandomized(LlamaModel(configuration))
        } outputs: {
            $0(shardTokens())
        }
        Self.expectEqual(ranks, pairs: 4)
    }

    @Test func bert() throws {
        let ranks: [ShardComparison] = try ShardComparison.compare(2) {
            shardRandomized(
                BertModel(
                    try BertConfiguration(vocabularySize: 16, dimensions: 16, hiddenDimensions: 24, layers: 2, heads: 4, maximumContext: 8),
                    hasPooler: false))
        } outputs: {
            $0(shardTokens()).hiddenStates[2]
        }
        Self.expectEqual(ranks, pairs: 4)
    }

    /// Whatever mixer a language model has: what is not known to work with a share of the channels gets all of them.
    @Test(arguments: [MixerKind.softmax, .gla, .deltanet, .mamba]) func languageModels(kind: MixerKind) throws {
        let ranks: [ShardComparison] = try ShardComparison.compare(2) {
            shardRandomized(
                try LanguageModel(
                    LanguageModelConfiguration(vocabularySize: 16, dimensions: 16, layers: 1, mixer: MixerConfiguration(kind, heads: 4))))
        } outputs: {
            $0(shardTokens())
        }
        for rank in ranks {
            #expect(rank.outputs < 1e-9)
            #expect(rank.gradients < 1e-7)
            #expect(rank.bytes < rank.wholeBytes)
        }
    }

    @Test func aProbeFindsThatUserCodeWorksWithShares() throws {
        let ranks: [ShardComparison] = try ShardComparison.compare(
            2, probing: true, make: { shardRandomized(UserModel()) }, outputs: { $0(shardTokens()) })
        Self.expectEqual(ranks, pairs: 4)
        // Each rank's queries give their own part of the gain's gradient.
        for rank in ranks { #expect(rank.partial == ["blocks.0.query_gain", "blocks.1.query_gain"]) }
    }

    @Test func withoutAProbeChannelsAreJoined() throws {
        let ranks: [ShardComparison] = try ShardComparison.compare(
            2, make: { shardRandomized(UserModel()) }, outputs: { $0(shardTokens()) })
        Self.expectEqual(ranks, pairs: 0)
        for rank in ranks { #expect(rank.joinedPairs.count == 4) }
    }

    /// A rank would divide by the length of its own channels, silently.
    @Test func aProbeFindsThatUserCodeNeedsAllChannels() throws {
        let ranks: [ShardComparison] = try ShardComparison.compare(
            2, probing: true, make: { shardRandomized(UserModel(normsQueries: true)) }, outputs: { $0(shardTokens()) })
        Self.expectEqual(ranks, pairs: 2)
        for rank in ranks { #expect(rank.joinedPairs == ["blocks.0.self_attn.q_proj", "blocks.1.self_attn.q_proj"]) }
    }

    /// Two heads on four ranks: a rank's channels are half a head.
    @Test func headsAreNotTorn() throws {
        let ranks: [ShardComparison] = try ShardComparison.compare(
            4, probing: true, make: { shardRandomized(UserModel(heads: 2)) }, outputs: { $0(shardTokens()) })
        Self.expectEqual(ranks, pairs: 2)
    }

    @Test func aProbeThatChangesIsRefused() throws {
        #expect(throws: ShardingError.self) {
            _ = try ProcessGroup.onThreads(2) { group in
                let model: UserModel = shardRandomized(UserModel())
                var calls: Int = 0
                try AutoShard.apply(model, over: group) {
                    calls += 1
                    return model(shardTokens()) + Double(calls)
                }
            }
        }
    }

    @Test func frozenParametersStayFrozen() throws {
        let trained: [[String]] = try ProcessGroup.onThreads(2) { group in
            let model: PlainTransformer = try Self.plain()
            model.freeze { !$0.hasSuffix("expansion.weight") }
            try AutoShard.apply(model, over: group)
            return model.namedParameters().filter { $0.tensor.requiresGrad }.map(\.name)
        }
        for rank in trained { #expect(rank == ["blocks.0.feed_forward.expansion.weight", "blocks.1.feed_forward.expansion.weight"]) }
    }

    /// The pieces put together are the model that was divided, under its names and in its layout.
    @Test func wholeStateComesBack() throws {
        let worst: [Double] = try ProcessGroup.onThreads(4) { group in
            let configuration: GPT2Configuration = try GPT2Configuration(
                vocabularySize: 16, dimensions: 16, layers: 1, heads: 4, maximumContext: 8)
            let whole: GPT2Model = shardRandomized(GPT2Model(configuration))
            let model: GPT2Model = shardRandomized(GPT2Model(configuration))
            let layout: ShardLayout = try AutoShard.apply(model, over: group)
            let state: [String: Tensor] = try layout.wholeState(of: model)
            #expect(Set(state.keys) == Set(whole.stateTensors().map(\.0)))
            #expect(layout.table().contains("transformer.h.*.attn.c_attn.weight: axis 1 in 3 parts"))
            return whole.stateTensors().map { shardDeviation(state[$0.0] ?? $0.1 * 2, $0.1) }.max() ?? .infinity
        }
        for rank in worst { #expect(rank == 0) }
    }

    @Test func generationWithACacheOfOwnHeads() throws {
        let worst: [Double] = try ProcessGroup.onThreads(2) { group in
            let (whole, model): (PlainTransformer, PlainTransformer) = (try Self.plain(rotary: true), try Self.plain(rotary: true))
            try AutoShard.apply(model, over: group)
            var (wanted, found): (LanguageModelState, LanguageModelState) = (whole.initialState(batch: 2), model.initialState(batch: 2))
            return noGrad {
                shardTokens().unbound(axis: 1).map { shardDeviation(model.step($0, state: &found), whole.step($0, state: &wanted)) }.max()
                    ?? .infinity
            }
        }
        for rank in worst { #expect(rank < 1e-10) }
    }
}
