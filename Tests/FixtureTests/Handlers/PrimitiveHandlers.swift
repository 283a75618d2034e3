import NN
import Torch

/// The building blocks of the mixers: normalisations, short convolution, rotary positions and softmax attention.
let primitiveOperators: [FixtureOperator] = [
    .differentiable("l2norm") { inputs in
        ["y": try inputs.tensor("x").l2Normalized(eps: try inputs.double("eps"))]
    },
    .differentiable("rmsnorm") { inputs in
        ["y": try inputs.tensor("x").rmsNormalized(weight: try inputs.tensor("weight"), eps: try inputs.double("eps"))]
    },
    .differentiable("rmsnorm_gated") { inputs in
        let (weight, gate): (Tensor, Tensor) = (try inputs.tensor("weight"), try inputs.tensor("gate"))
        return ["y": try inputs.tensor("x").gatedRMSNormalized(gate: gate, weight: weight, eps: try inputs.double("eps"))]
    },
    .differentiable("short_conv", shortConvolutionOfFixture),
    .differentiable("rope") { inputs in
        let rotated: Tensor = rotary(
            try inputs.tensor("x"), offset: try inputs.int("offset"), theta: try inputs.double("theta"),
            rotaryDimensions: try inputs.int("rotary_dim"), interleaved: try inputs.int("interleaved") != 0)
        return ["y": rotated]
    },
    .differentiable("swa") { inputs in
        let window: Int = try inputs.int("window")
        let output: Tensor = softmaxAttention(
            try inputs.tensor("q"), try inputs.tensor("k"), try inputs.tensor("v"), causal: true, window: window > 0 ? window : nil)
        return ["o": output]
    },
]

/// The files keep the last W inputs as `[B, D, W]`, one more than the convolution reads.
private func shortConvolutionOfFixture(_ inputs: FixtureInputs) throws -> [String: Tensor] {
    let (x, weight): (Tensor, Tensor) = (try inputs.tensor("x"), try inputs.tensor("weight"))
    let zeros: Tensor = .zeros([x.dim(0), weight.dim(1), x.dim(2)], dtype: x.dtype, device: .cpu)
    let before: Tensor = try inputs.optional("state")?.swappedAxes(1, 2) ?? zeros
    let (output, state) = shortConvolution(
        x, weight: weight, bias: try inputs.optional("bias"), state: before, activation: .silu)
    return ["y": output, "state": state.swappedAxes(1, 2)]
}
