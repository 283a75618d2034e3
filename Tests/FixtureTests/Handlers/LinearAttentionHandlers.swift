import SequenceModels
import Torch

/// The kernels of linear-time attention, each in all of its forms.
let linearAttentionOperators: [FixtureOperator] = [
    inEveryMode("delta_rule") { inputs, mode in
        named(
            deltaRule(
                q: try inputs.tensor("q"), k: try inputs.tensor("k"), v: try inputs.tensor("v"), beta: try inputs.tensor("beta"),
                initialState: try inputs.optional("state"), mode: mode))
    },
    inEveryMode("gated_delta_rule") { inputs, mode in
        named(
            gatedDeltaRule(
                q: try inputs.tensor("q"), k: try inputs.tensor("k"), v: try inputs.tensor("v"), logGate: try inputs.tensor("g"),
                beta: try inputs.tensor("beta"), initialState: try inputs.optional("state"), mode: mode))
    },
    inEveryMode("hgrn") { inputs, mode in
        named(
            elementwiseRecurrence(
                try inputs.tensor("x"), logGate: try inputs.tensor("g"), initialState: try inputs.optional("state"), mode: mode))
    },
    inEveryMode("gla") { inputs, mode in
        named(
            gatedLinearAttention(
                q: try inputs.tensor("q"), k: try inputs.tensor("k"), v: try inputs.tensor("v"), logGate: try inputs.tensor("g"),
                initialState: try inputs.optional("state"), mode: mode))
    },
    inEveryMode("simple_gla") { inputs, mode in
        named(
            simpleGatedLinearAttention(
                q: try inputs.tensor("q"), k: try inputs.tensor("k"), v: try inputs.tensor("v"), logGate: try inputs.tensor("g"),
                initialState: try inputs.optional("state"), mode: mode))
    },
    inEveryMode("retention") { inputs, mode in
        let q: Tensor = try inputs.tensor("q")
        let result: (output: Tensor, state: Tensor) = retention(
            q: q, k: try inputs.tensor("k"), v: try inputs.tensor("v"), initialState: try inputs.optional("state"), mode: mode)
        let decay: Tensor = retentionLogDecay(heads: q.dim(2), dtype: inputs.dtype, device: .cpu)
        return named(result).merging(["const.log_decay": decay]) { $1 }
    },
    inEveryMode("linear_attn_plain") { inputs, mode in
        named(
            linearAttention(
                q: try inputs.tensor("q"), k: try inputs.tensor("k"), v: try inputs.tensor("v"),
                initialState: try inputs.optional("state"), mode: mode))
    },
    inEveryMode("linear_attn_norm") { inputs, mode in
        let result: (output: Tensor, state: Tensor, normalizer: Tensor) = normalizedLinearAttention(
            q: try inputs.tensor("q"), k: try inputs.tensor("k"), v: try inputs.tensor("v"), initialState: try inputs.optional("state"),
            initialNormalizer: try inputs.optional("zstate"), mode: mode)
        return ["o": result.output, "state": result.state, "zstate": result.normalizer]
    },
    inEveryMode("mamba_scan") { inputs, mode in
        let result: (output: Tensor, state: Tensor) = selectiveScan(
            u: try inputs.tensor("u"), delta: try inputs.tensor("delta"), A: try inputs.tensor("A"), B: try inputs.tensor("B"),
            C: try inputs.tensor("C"), D: try inputs.tensor("D"), z: try inputs.tensor("z"), deltaBias: try inputs.tensor("delta_bias"),
            initialState: try inputs.optional("state"), mode: mode)
        return ["y": result.output, "state": result.state]
    },
    inEveryMode("lightnet") { inputs, mode in
        let result: (output: Tensor, state: AdditiveState) = additiveRecurrence(
            q: try inputs.tensor("q").silu(), keyLogits: try inputs.tensor("k"), v: try inputs.tensor("v"), mode: mode)
        return ["o": result.output, "state": result.state.memory, "z_last": result.state.logMass]
    },
]

/// The operator as it is by default, step by step, in chunks that leave a ragged end, and in one piece.
func inEveryMode(
    _ name: String, _ function: @escaping @Sendable (FixtureInputs, MixerMode?) throws -> [String: Tensor]
) -> FixtureOperator {
    let modes: [(String, MixerMode?)] = [
        ("", nil), ("recurrent", .recurrent), ("chunkwise 16", .chunkwise(16)), ("parallel", .parallel),
    ]
    return .differentiable(name, forms: modes.map { label, mode in (label, { inputs in try function(inputs, mode) }) })
}

private func named(_ result: (output: Tensor, state: Tensor)) -> [String: Tensor] { ["o": result.output, "state": result.state] }
