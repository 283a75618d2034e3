import NN
import Torch

extension ParityCase {
    static let all: [ParityCase] = simple + normalizations + convolutions + pools + recurrent + activations + composed + attention + losses

    private static let simple: [ParityCase] = [
        .layer("linear") { Linear(5, 3) },
        .layer("linear_no_bias") { Linear(5, 3, bias: false) },
        .layer("embedding") { Embedding(7, 4) },
        .layer("embedding_padding") { Embedding(7, 4, paddingIndex: 2) },
        .layer("dropout_eval", training: false) { Dropout(0.4) },
    ]

    private static let normalizations: [ParityCase] =
        [
            .layer("layer_norm") { LayerNorm(6) },
            .layer("layer_norm_no_bias") { LayerNorm(6, eps: 1e-3, bias: false) },
            .layer("layer_norm_plain") { LayerNorm(6, affine: false) },
            .layer("rms_norm") { RMSNorm(6) },
            .layer("rms_norm_plain") { RMSNorm(6, eps: 1e-2, affine: false) },
            .layer("group_norm") { GroupNorm(groupCount: 3, 6) },
            .layer("group_norm_images") { GroupNorm(groupCount: 2, 6, eps: 1e-3) },
            .module("batch_norm_cumulative", { BatchNorm(4, momentum: nil) }, run: { layer, x in [layer(x[0]), layer(x[1])] }),
            .layer("batch_norm_untracked", training: false) { BatchNorm(4, tracksStatistics: false) },
        ]
        + ["flat", "sequences", "images"].flatMap { kind -> [ParityCase] in
            [
                .layer("batch_norm_\(kind)_train") { BatchNorm(4) },
                .layer("batch_norm_\(kind)_eval", training: false) { BatchNorm(4) },
            ]
        }

    private static let convolutions: [ParityCase] = [
        .layer("conv1d") { Conv1d(4, 6, kernelSize: 3, stride: 2, padding: 1, dilation: 2, groups: 2) },
        .layer("conv1d_no_bias") { Conv1d(4, 6, kernelSize: 3, bias: false) },
        .layer("conv2d") {
            Conv2d(4, 6, kernelSize: Pair(3, 2), stride: Pair(2, 1), padding: Pair(1, 0), dilation: Pair(1, 2), groups: 2)
        },
        .layer("conv_transposed1d") { ConvTransposed1d(4, 6, kernelSize: 3, stride: 2, padding: 1, outputPadding: 1, groups: 2) },
        .layer("conv_transposed2d") {
            ConvTransposed2d(
                4, 6, kernelSize: Pair(3, 2), stride: Pair(2, 3), padding: Pair(1, 0), outputPadding: Pair(1, 0), dilation: Pair(2, 1))
        },
        .layer("short_convolution") { ShortConvolution(4, width: 3, bias: true, activation: .silu) },
        .layer("short_convolution_one") { ShortConvolution(4, width: 1) },
    ]

    private static let pools: [ParityCase] = [
        .layer("max_pool1d") { MaxPool1d(3, stride: 2, padding: 1) },
        .layer("max_pool2d") { MaxPool2d(Pair(2, 3)) },
        .layer("average_pool1d") { AveragePool1d(3, stride: 2, padding: 1) },
        .layer("average_pool2d") { AveragePool2d(Pair(3, 2), padding: Pair(1, 0)) },
        .layer("adaptive_average_pool1d") { AdaptiveAveragePool1d(3) },
        .layer("adaptive_average_pool2d") { AdaptiveAveragePool2d(Pair(2, 3)) },
    ]

    private static let recurrent: [ParityCase] = [
        .module("gru", { GRU(4, 3) }, run: runGRU),
        .module("gru_deep", { GRU(4, 3, layers: 2, bidirectional: true) }, run: runGRU),
        .module("gru_no_bias", { GRU(4, 3, bias: false) }, run: runGRU),
        .module("lstm", { LSTM(4, 3) }, run: runLSTM),
        .module("lstm_deep", { LSTM(4, 3, layers: 2, bidirectional: true) }, run: runLSTM),
    ]

    private static let activations: [ParityCase] =
        Activation.allCases.map { activation in .layer("activation_\(activation.rawValue)") { ActivationLayer(activation) } }
        + [
            .layer("softmax") { Softmax(axis: 1) },
            .layer("prelu") { PReLU() },
            .layer("prelu_channels") { PReLU(3) },
        ]

    private static let composed: [ParityCase] = [
        .layer("swiglu") { SwiGLU(4, 6) },
        .layer("geglu") { GEGLU(4, 6, bias: true) },
        .layer("reglu") { ReGLU(4, 6) },
        .layer("mlp") { MLP([4, 5, 6, 2], activation: .gelu) },
        .layer("sequential") { Sequential(Linear(4, 5), ActivationLayer(.relu), LayerNorm(5), Linear(5, 2)) },
        .layer("residual") { Residual(Linear(4, 4), norm: LayerNorm(4)) },
    ]

    private static let attention: [ParityCase] = [
        .layer("torch_attention", translate: separated) { MultiHeadAttention(8, heads: 2) },
        .layer("torch_attention_causal", translate: separated) { MultiHeadAttention(8, heads: 2, causal: true) },
        .layer("attention_grouped") {
            MultiHeadAttention(
                AttentionConfiguration(dimensions: 8, heads: 4, keyValueHeads: 2, headDimensions: 4, queryKeyValueBias: true))
        },
        .layer("attention_causal") {
            MultiHeadAttention(
                AttentionConfiguration(dimensions: 8, heads: 4, keyValueHeads: 2, headDimensions: 4, causal: true, queryKeyValueBias: true))
        },
        .layer("attention_window") {
            MultiHeadAttention(
                AttentionConfiguration(dimensions: 8, heads: 4, keyValueHeads: 1, headDimensions: 4, causal: true, window: 3))
        },
        .module(
            "attention_context", { MultiHeadAttention(AttentionConfiguration(dimensions: 8, heads: 2)) },
            run: { layer, x in [layer(x[0], context: x[1], mask: nil)] }),
    ]

    private static let runGRU: @Sendable (GRU, [Tensor]) -> [Tensor] = { layer, x in
        let (output, state) = layer(x[0], state: x.count > 1 ? x[1] : nil)
        return [output, state]
    }

    private static let runLSTM: @Sendable (LSTM, [Tensor]) -> [Tensor] = { layer, x in
        let (output, state) = layer(x[0], state: x.count > 2 ? (x[1], x[2]) : nil)
        return [output, state.hidden, state.cell]
    }

    /// torch keeps the projections of queries, keys and values as one matrix.
    private static let separated: @Sendable ([String: Tensor]) -> [String: Tensor] = { state in
        var result: [String: Tensor] = ["o_proj.weight": state["out_proj.weight"]!, "o_proj.bias": state["out_proj.bias"]!]
        for kind in ["weight", "bias"] {
            let joined: Tensor = state["in_proj_\(kind)"]!
            for (name, part) in zip(["q", "k", "v"], joined.split(size: joined.dim(0) / 3)) { result["\(name)_proj.\(kind)"] = part }
        }
        return result
    }
}
