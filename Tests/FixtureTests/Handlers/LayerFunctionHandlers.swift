import NN
import Torch

/// Normalisations, rotary embedding, short convolution and windowed attention.
let layerFunctionOperators: [FixtureOperator] = [
    .differentiable("l2norm") { inputs in ["y": try inputs.tensor("x").l2Normalized(eps: try inputs.double("eps"))] },
    .differentiable("rmsnorm") { inputs in
        ["y": try inputs.tensor("x").rmsNormalized(weight: try inputs.tensor("weight"), eps: try inputs.double("eps"))]
    },
    .differentiable("rmsnorm_gated") { inputs in
        let weight: Tensor = try inputs.tensor("weight")
        let gate: Tensor = try inputs.tensor("gate")
        return ["y": try inputs.tensor("x").gatedRMSNormalized(gate: gate, weight: weight, eps: try inputs.double("eps"))]
    },
    .differentiable("rope") { inputs in
        [
            "y": rotary(
                try inputs.tensor("x"), offset: try inputs.int("offset"), theta: try inputs.double("theta"),
                rotaryDimensions: try inputs.int("rotary_dim"), interleaved: try inputs.int("interleaved") == 1)
        ]
    },
    .differentiable("short_conv") { inputs in
        let (x, weight): (Tensor, Tensor) = (try inputs.tensor("x"), try inputs.tensor("weight"))
        // The file's state has time last and as many steps as the weights; without one, time begins with zeros.
        let start: Tensor = Tensor.zeros([x.dim(0), weight.dim(1), x.dim(2)], dtype: x.dtype, device: .cpu)
        let state: Tensor = try inputs.optional("state")?.swappedAxes(1, 2) ?? start
        let result: (output: Tensor, state: Tensor) = shortConvolution(
            x, weight: weight, bias: try inputs.optional("bias"), state: state, activation: .silu)
        return ["y": result.output, "state": result.state.swappedAxes(1, 2)]
    },
    .differentiable("swa") { inputs in
        let window: Int = try inputs.int("window")
        let (q, k, v): (Tensor, Tensor, Tensor) = (try inputs.tensor("q"), try inputs.tensor("k"), try inputs.tensor("v"))
        return ["o": softmaxAttention(q, k, v, causal: true, window: window == 0 ? nil : window)]
    },
]
