import NN
import SequenceModels
import Torch

/// Whole layers, whose weights are loaded from the fixture under the names that checkpoints have for them.
let mixerLayerOperators: [FixtureOperator] = [
    layerInEveryMode("layer_deltanet") { inputs in
        DeltaNet(
            DeltaNetConfiguration(
                dimensions: try inputs.tensor("x").dim(2), heads: try inputs.shape("in.w.b_proj.weight")[0],
                useGate: try inputs.optional("w.g_proj.weight") != nil, allowNegativeEigenvalues: inputs.variant.contains("negeig")))
    },
    layerInEveryMode("layer_gla") { inputs in
        let valueDimensions: Int = try inputs.shape("in.w.g_norm_swish_gate.weight")[0]
        let convolution: Tensor? = try inputs.optional("w.q_conv1d.weight")
        return GatedLinearAttention(
            GatedLinearAttentionConfiguration(
                dimensions: try inputs.tensor("x").dim(2), heads: try inputs.shape("in.w.g_proj.weight")[0] / valueDimensions,
                keyValueHeads: try inputs.shape("in.w.v_proj.weight")[0] / valueDimensions,
                gateLowRank: try inputs.shape("in.w.gk_proj.0.weight")[0], convolutionWidth: convolution?.dim(2)))
    },
]

/// The layer that `make` builds for a file's shapes, with the file's weights, recurrent and in chunks.
private func layerInEveryMode(
    _ name: String, _ make: @escaping @Sendable (FixtureInputs) throws -> any SequenceMixer
) -> FixtureOperator {
    let modes: [(String, MixerMode?)] = [("", nil), ("recurrent", .recurrent), ("chunkwise 16", .chunkwise(16))]
    return .differentiable(
        name,
        forms: modes.map { label, mode in
            (
                label,
                { inputs in
                    let layer: any SequenceMixer = try make(inputs)
                    try use(inputs, asParametersOf: layer)
                    return ["y": layer(try inputs.tensor("x"), mode: mode)]
                }
            )
        })
}

/// Puts the inputs `w.NAME` in the place of a layer's parameters, so that their gradients are recorded. Throws unless the names are the same.
private func use(_ inputs: FixtureInputs, asParametersOf layer: any SequenceMixer) throws {
    var weights: [String: Tensor] = [:]
    for name in inputs.names("in") where name.hasPrefix("w.") { weights[String(name.dropFirst(2))] = try inputs.tensor(name) }
    let difference: CheckpointDifference = layer.difference(from: weights)
    if !difference.isEmpty { throw difference }
    for (name, parameter) in layer.namedParameters() { parameter.replace(with: weights[name]!) }
}
