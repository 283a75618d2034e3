import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

/// The layouts that Megatron has by hand, inferred from names and shapes.
@Suite(.ownRandomNumbers) struct ShardingRulesTests {
    private static func axes(_ list: [(String, [Int])], shards: Int = 4) -> [String: Int?] {
        let parameters: [ShardableParameter] = list.map { ShardableParameter(path: $0.0, shape: $0.1) }
        return ShardingRules.infer(for: parameters, shards: shards).mapValues(\.axis)
    }

    private static func expect(_ list: [(String, [Int], Int?)], shards: Int = 4) {
        let found: [String: Int?] = axes(list.map { ($0.0, $0.1) }, shards: shards)
        for (name, shape, axis) in list { #expect(found[name] == .some(axis), "\(name) \(shape)") }
    }

    @Test func gptJ() {
        Self.expect([
            ("transformer.wte.weight", [64, 16], 0),
            ("transformer.h.0.ln_1.weight", [16], nil),
            ("transformer.h.0.attn.q_proj.weight", [16, 16], 0), ("transformer.h.0.attn.k_proj.weight", [16, 16], 0),
            ("transformer.h.0.attn.v_proj.weight", [16, 16], 0), ("transformer.h.0.attn.out_proj.weight", [16, 16], 1),
            ("transformer.h.0.mlp.fc_in.weight", [64, 16], 0), ("transformer.h.0.mlp.fc_in.bias", [64], 0),
            ("transformer.h.0.mlp.fc_out.weight", [16, 64], 1), ("transformer.h.0.mlp.fc_out.bias", [16], nil),
            ("lm_head.weight", [64, 16], 0), ("lm_head.bias", [64], 0),
        ])
    }

    @Test func llama() {
        Self.expect([
            ("model.embed_tokens.weight", [64, 16], 0),
            ("model.layers.0.self_attn.q_proj.weight", [16, 16], 0), ("model.layers.0.self_attn.k_proj.weight", [8, 16], 0),
            ("model.layers.0.self_attn.v_proj.weight", [8, 16], 0), ("model.layers.0.self_attn.o_proj.weight", [16, 16], 1),
            ("model.layers.0.mlp.gate_proj.weight", [48, 16], 0), ("model.layers.0.mlp.up_proj.weight", [48, 16], 0),
            ("model.layers.0.mlp.down_proj.weight", [16, 48], 1),
            ("model.layers.1.mlp.down_proj.weight", [16, 48], 1),
            ("model.norm.weight", [16], nil), ("lm_head.weight", [64, 16], 0),
        ])
    }

    @Test func t5() {
        Self.expect([
            ("shared.weight", [64, 16], 0),
            ("encoder.block.0.layer.0.SelfAttention.q.weight", [16, 16], 0),
            ("encoder.block.0.layer.0.SelfAttention.k.weight", [16, 16], 0),
            ("encoder.block.0.layer.0.SelfAttention.v.weight", [16, 16], 0),
            ("encoder.block.0.layer.0.SelfAttention.o.weight", [16, 16], 1),
            ("encoder.block.0.layer.1.DenseReluDense.wi_0.weight", [32, 16], 0),
            ("encoder.block.0.layer.1.DenseReluDense.wi_1.weight", [32, 16], 0),
            ("encoder.block.0.layer.1.DenseReluDense.wo.weight", [16, 32], 1),
            ("decoder.block.0.layer.1.EncDecAttention.q.weight", [16, 16], 0),
            ("decoder.block.0.layer.1.EncDecAttention.o.weight", [16, 16], 1),
            ("decoder.block.0.layer.2.DenseReluDense.wi.weight", [32, 16], 0),
            ("decoder.block.0.layer.2.DenseReluDense.wo.weight", [16, 32], 1),
        ])
    }

    @Test func opt() {
        Self.expect([
            ("model.decoder.embed_tokens.weight", [64, 16], 0), ("model.decoder.embed_positions.weight", [24, 16], 0),
            ("model.decoder.layers.0.self_attn.k_proj.weight", [16, 16], 0), ("model.decoder.layers.0.self_attn.k_proj.bias", [16], 0),
            ("model.decoder.layers.0.self_attn.v_proj.weight", [16, 16], 0),
            ("model.decoder.layers.0.self_attn.q_proj.weight", [16, 16], 0),
            ("model.decoder.layers.0.self_attn.out_proj.weight", [16, 16], 1),
            ("model.decoder.layers.0.self_attn.out_proj.bias", [16], nil),
            ("model.decoder.layers.0.fc1.weight", [64, 16], 0), ("model.decoder.layers.0.fc2.weight", [16, 64], 1),
            ("model.decoder.layers.1.fc1.weight", [64, 16], 0), ("model.decoder.layers.1.fc2.weight", [16, 64], 1),
        ])
    }

    @Test func ownModels() throws {
        let gpt2: GPT2Model = GPT2Model(
            try GPT2Configuration(vocabularySize: 16, dimensions: 8, layers: 2, heads: 4, maximumContext: 8))
        let specs: [String: ShardSpec] = ShardingRules.infer(for: gpt2, shards: 4)
        // Stored [in, out]: the outputs are axis 1, and queries, keys and values are cut one by one.
        #expect(specs["transformer.h.1.attn.c_attn.weight"] == ShardSpec(axis: 1, parts: 3, isTransposed: true))
        #expect(specs["transformer.h.1.attn.c_attn.bias"] == ShardSpec(axis: 0, parts: 3))
        #expect(specs["transformer.h.1.attn.c_proj.weight"] == ShardSpec(axis: 0, isTransposed: true))
        #expect(specs["transformer.h.1.mlp.c_fc.weight"] == ShardSpec(axis: 1, isTransposed: true))
        #expect(specs["transformer.h.1.mlp.c_proj.weight"] == ShardSpec(axis: 0, isTransposed: true))
        #expect(specs["transformer.h.1.mlp.c_proj.bias"] == .replicated)
        let bert: BertModel = BertModel(
            try BertConfiguration(vocabularySize: 16, dimensions: 8, hiddenDimensions: 16, layers: 1, heads: 4, maximumContext: 8))
        let layout: [String: Int?] = ShardingRules.infer(for: bert, shards: 4).mapValues(\.axis)
        #expect(layout["encoder.layer.0.attention.self.query.weight"] == .some(0))
        #expect(layout["encoder.layer.0.attention.output.dense.weight"] == .some(1))
        #expect(layout["encoder.layer.0.intermediate.dense.weight"] == .some(0))
        #expect(layout["encoder.layer.0.output.dense.weight"] == .some(1))
        #expect(layout["encoder.layer.0.output.LayerNorm.weight"] == .some(nil))
    }

    /// Sorted by name, `contract` would come before `expand`, and each block would need two sums.
    @Test func alternationFollowsTheModules() {
        Self.expect([
            ("blocks.0.expand.weight", [32, 16], 0), ("blocks.0.contract.weight", [16, 32], 1),
            ("blocks.1.expand.weight", [32, 16], 0), ("blocks.1.contract.weight", [16, 32], 1),
        ])
    }

    @Test func anIndivisibleAxisIsNeverCut() {
        Self.expect([
            // 65 characters and 5 ranks' worth of nothing: the other axis, or none.
            ("embedding.weight", [65, 16], 1), ("head.weight", [65, 16], 1), ("blocks.0.attention.q_proj.weight", [6, 16], 1),
            ("blocks.0.attention.k_proj.weight", [6, 15], nil), ("blocks.0.attention.k_proj.bias", [6], nil),
        ])
        for shards in 1...7 {
            let shapes: [(String, [Int])] = [("a.0.up.weight", [12, 10]), ("a.0.down.weight", [10, 12]), ("wte.weight", [14, 6])]
            let found: [String: Int?] = Self.axes(shapes, shards: shards)
            for (name, shape) in shapes { if let axis = found[name] ?? nil { #expect(shape[axis] % shards == 0) } }
        }
    }

    /// Matrices of one name are cut alike: one layer that does not divide decides for all.
    @Test func layersOfOneNameAreAlike() {
        Self.expect([("blocks.0.up.weight", [8, 16], 1), ("blocks.1.up.weight", [6, 16], 1)])
    }
}
