import NN
import SequenceModels
import Torch

/// Whole layers, built from the shapes of the file's weights; what shapes cannot tell stands in the file's name.
let layerOperators: [FixtureOperator] = [
    inEveryMode("layer_deltanet") { inputs, mode in
        let weights: LayerWeights = try LayerWeights(inputs)
        let (width, keys): (Int, Int) = (try weights.inputs(of: "q_proj.weight"), try weights.outputs(of: "q_proj.weight"))
        let layer: DeltaNet = DeltaNet(
            DeltaNetConfiguration(
                dimensions: width, heads: try weights.outputs(of: "b_proj.weight"), expandKey: Double(keys) / Double(width),
                expandValue: Double(try weights.outputs(of: "v_proj.weight")) / Double(width), convolutionWidth: weights.convolutionWidth,
                useGate: weights.has("g_proj.weight"), allowNegativeEigenvalues: inputs.variant.contains("negeig")))
        return ["y": try weights.placed(in: layer, inputs)(try inputs.tensor("x"), mode: mode)]
    },
    inEveryMode("layer_gla") { inputs, mode in
        let weights: LayerWeights = try LayerWeights(inputs)
        let (width, keys): (Int, Int) = (try weights.inputs(of: "q_proj.weight"), try weights.outputs(of: "q_proj.weight"))
        let (values, headValues): (Int, Int) = (
            try weights.inputs(of: "o_proj.weight"), try weights.outputs(of: "g_norm_swish_gate.weight")
        )
        let layer: GatedLinearAttention = GatedLinearAttention(
            GatedLinearAttentionConfiguration(
                dimensions: width, heads: values / headValues, keyValueHeads: try weights.outputs(of: "v_proj.weight") / headValues,
                expandKey: Double(keys) / Double(width), expandValue: Double(values) / Double(width),
                gateLowRank: try weights.outputs(of: "gk_proj.0.weight"), convolutionWidth: weights.convolutionWidth))
        return ["y": try weights.placed(in: layer, inputs)(try inputs.tensor("x"), mode: mode)]
    },
    inEveryMode("layer_mamba") { inputs, mode in
        let weights: LayerWeights = try LayerWeights(inputs)
        let (width, inner): (Int, Int) = (try weights.inputs(of: "in_proj.weight"), try weights.outputs(of: "D"))
        let layer: SelectiveSSM = SelectiveSSM(
            dim: width, state: try weights.inputs(of: "A_log"), conv: try inputs.shape("in.w.conv1d.weight")[2],
            expand: Double(inner) / Double(width), dtRank: try weights.inputs(of: "dt_proj.weight"))
        return ["y": try weights.placed(in: layer, inputs)(try inputs.tensor("x"), mode: mode)]
    },
    inEveryMode("layer_gated_deltanet") { inputs, mode in
        let weights: LayerWeights = try LayerWeights(inputs)
        let heads: Int = try weights.outputs(of: "A_log")
        let layer: GatedDeltaNet = GatedDeltaNet(
            GatedDeltaNetConfiguration(
                dimensions: try weights.inputs(of: "q_proj.weight"), heads: heads,
                headDimensions: try weights.outputs(of: "q_proj.weight") / heads,
                valueHeadDimensions: try weights.outputs(of: "o_norm.weight"), convolutionWidth: weights.convolutionWidth))
        return ["y": try weights.placed(in: layer, inputs)(try inputs.tensor("x"), mode: mode)]
    },
    inEveryMode("layer_hgrn") { inputs, mode in
        let weights: LayerWeights = try LayerWeights(inputs)
        let layer: HGRN = HGRN(dimensions: try weights.inputs(of: "i_proj.weight"))
        return ["y": try weights.placed(in: layer, inputs)(try inputs.tensor("x"), mode: mode)]
    },
    inEveryMode("layer_mom") { inputs, mode in
        let weights: LayerWeights = try LayerWeights(inputs)
        let heads: Int = try weights.outputs(of: "A_log")
        let layer: MixtureOfMemories = MixtureOfMemories(
            MixtureOfMemoriesConfiguration(
                dimensions: try weights.inputs(of: "q_proj.weight"), heads: heads,
                headDimensions: try weights.outputs(of: "q_proj.weight") / heads,
                valueHeadDimensions: try weights.outputs(of: "o_norm.weight"), memories: try weights.outputs(of: "gate.weight"),
                topK: try inputs.shape("out.selected").last ?? 0, sharedMemory: weights.has("shared_k.weight"),
                convolutionWidth: weights.convolutionWidth))
        let x: Tensor = try inputs.tensor("x")
        let output: Tensor = try weights.placed(in: layer, inputs)(x, mode: mode)
        let routing: MemoryRouting = layer.router(x)
        return ["y": output, "router_logits": routing.logits, "selected": routing.indices]
    },
    inEveryMode("layer_lightnet") { inputs, mode in
        let weights: LayerWeights = try LayerWeights(inputs)
        let (width, keys): (Int, Int) = (try weights.inputs(of: "q_proj.weight"), try weights.outputs(of: "q_proj.weight"))
        // The one file's expand_ratio, which no shape tells: key channels of a head.
        let headKeys: Int = 16
        let layer: LightNetAttention = LightNetAttention(
            LightNetConfiguration(
                dimensions: width, heads: keys / headKeys, expandKey: Double(keys) / Double(width), position: .none,
                gateRank: try weights.outputs(of: "g_proj.0.weight")))
        return ["y": try weights.placed(in: layer, inputs)(try inputs.tensor("x"), mode: mode)]
    },
]

/// The tensors `in.w.*` of a layer's fixture.
private struct LayerWeights {
    let tensors: [String: Tensor]

    init(_ inputs: FixtureInputs) throws {
        let names: [String] = inputs.names("in").filter { $0.hasPrefix("w.") }.map { String($0.dropFirst(2)) }
        tensors = Dictionary(uniqueKeysWithValues: try names.map { ($0, try inputs.tensor("w.\($0)")) })
    }

    func has(_ name: String) -> Bool { tensors[name] != nil }

    /// Rows of a linear weight `[out, in]`, or the length of a vector.
    func outputs(of name: String) throws -> Int { try found(name).dim(0) }

    /// Columns of a linear weight `[out, in]`.
    func inputs(of name: String) throws -> Int { try found(name).dim(1) }

    /// Steps that the short convolutions see, or nil where the layer has none.
    var convolutionWidth: Int? { tensors["q_conv1d.weight"]?.dim(-1) }

    /// The layer with these very tensors as its parameters, so that gradients flow to them.
    /// - Throws: `CheckpointDifference` where names or shapes differ.
    func placed<Layer: Module>(in layer: Layer, _ inputs: FixtureInputs) throws -> Layer {
        layer.to(dtype: inputs.dtype, device: .cpu)
        try layer.load(tensors.mapValues { $0.detached() })
        for (name, parameter) in layer.namedParameters() {
            if let tensor = tensors[name] { parameter.replace(with: tensor) }
        }
        return layer
    }

    private func found(_ name: String) throws -> Tensor {
        guard let tensor = tensors[name] else { throw FixtureError("the file has no in.w.\(name)") }
        return tensor
    }
}
