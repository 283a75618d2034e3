import TestSupport
import Testing
import Torch

/// Convolutions, pooling, norms, attention and losses against Python's torch.
@Suite(
    .ownRandomNumbers,
    .enabled(if: TorchReference.isAvailable, "needs the Python packages torch and safetensors: make test installs them")
)
struct NeuralParityTests {
    @Test func convolutions() throws {
        let t: [String: Tensor] = try TorchReference.tensors(
            """
            t["x1"], t["w1"], t["b"] = g(2, 4, 11), g(6, 2, 3), g(6)
            t["x2"], t["w2"] = g(2, 4, 9, 8), g(6, 2, 3, 2)
            t["wt1"], t["wt2"], t["bt"] = g(4, 3, 3), g(4, 3, 3, 2), g(6)
            t["conv1"] = F.conv1d(t["x1"], t["w1"], t["b"], 2, 3, 2, 2)
            t["conv2"] = F.conv2d(t["x2"], t["w2"], t["b"], (2, 1), (1, 3), (1, 2), 2)
            t["transposed1"] = F.conv_transpose1d(t["x1"], t["wt1"], t["bt"], 3, 1, 2, 2, 2)
            t["transposed2"] = F.conv_transpose2d(t["x2"], t["wt2"], t["bt"], (2, 3), (1, 0), (1, 2), 2, (1, 2))
            """)
        let (x1, x2): (Tensor, Tensor) = (try #require(t["x1"]), try #require(t["x2"]))
        let (w1, w2): (Tensor, Tensor) = (try #require(t["w1"]), try #require(t["w2"]))
        let (wt1, wt2): (Tensor, Tensor) = (try #require(t["wt1"]), try #require(t["wt2"]))
        expectClose(x1.conv1d(weight: w1, bias: t["b"], stride: 2, padding: 3, dilation: 2, groups: 2), t["conv1"])
        expectClose(
            x2.conv2d(weight: w2, bias: t["b"], stride: Pair(2, 1), padding: Pair(1, 3), dilation: Pair(1, 2), groups: 2), t["conv2"])
        expectClose(
            x1.convTransposed1d(weight: wt1, bias: t["bt"], stride: 3, padding: 1, outputPadding: 2, dilation: 2, groups: 2),
            t["transposed1"])
        let transposed: Tensor = x2.convTransposed2d(
            weight: wt2, bias: t["bt"], stride: Pair(2, 3), padding: Pair(1, 0), outputPadding: Pair(1, 2), dilation: Pair(1, 2), groups: 2)
        expectClose(transposed, t["transposed2"])
    }

    @Test func pooling() throws {
        let t: [String: Tensor] = try TorchReference.tensors(
            """
            t["x1"], t["x2"] = g(2, 3, 11), g(2, 3, 9, 8)
            t["max1"] = F.max_pool1d(t["x1"], 3, 2, 1, 2, True)
            t["max2"] = F.max_pool2d(t["x2"], (3, 2), (2, 1), (1, 0))
            t["default"] = F.max_pool2d(t["x2"], 2)
            t["average1"] = F.avg_pool1d(t["x1"], 4, 3, 1, True, False)
            t["average2"] = F.avg_pool2d(t["x2"], (3, 2), (2, 1), (1, 1), False, True)
            t["adaptive1"], t["adaptive2"] = F.adaptive_avg_pool1d(t["x1"], 4), F.adaptive_avg_pool2d(t["x2"], (4, 3))
            t["adaptiveMax1"], t["adaptiveMax2"] = F.adaptive_max_pool1d(t["x1"], 4), F.adaptive_max_pool2d(t["x2"], (4, 3))
            """)
        let (x1, x2): (Tensor, Tensor) = (try #require(t["x1"]), try #require(t["x2"]))
        expectClose(x1.maxPool1d(size: 3, stride: 2, padding: 1, dilation: 2, ceiling: true), t["max1"])
        expectClose(x2.maxPool2d(size: Pair(3, 2), stride: Pair(2, 1), padding: Pair(1, 0)), t["max2"])
        expectClose(x2.maxPool2d(size: 2), t["default"])
        expectClose(x1.averagePool1d(size: 4, stride: 3, padding: 1, ceiling: true, countingPadding: false), t["average1"])
        expectClose(x2.averagePool2d(size: Pair(3, 2), stride: Pair(2, 1), padding: 1), t["average2"])
        expectClose(x1.adaptiveAveragePool1d(outputSize: 4), t["adaptive1"])
        expectClose(x2.adaptiveAveragePool2d(outputSize: Pair(4, 3)), t["adaptive2"])
        expectClose(x1.adaptiveMaxPool1d(outputSize: 4), t["adaptiveMax1"])
        expectClose(x2.adaptiveMaxPool2d(outputSize: Pair(4, 3)), t["adaptiveMax2"])
    }

    @Test func normsAndLinear() throws {
        let t: [String: Tensor] = try TorchReference.tensors(
            """
            t["x"], t["w"], t["b"] = g(3, 6, 5), g(6), g(6)
            t["w2"], t["b2"] = g(6, 5), g(6, 5)
            t["layer"] = F.layer_norm(t["x"], (6, 5), t["w2"], t["b2"], 1e-3)
            t["group"] = F.group_norm(t["x"], 3, t["w"], t["b"], 1e-3)
            t["rms"] = F.rms_norm(t["x"], (5,), None, 1e-3)
            t["rmsDefault"] = F.rms_norm(t["x"], (6, 5), t["w2"])
            m, v = g(6), g(6).abs()
            t["mean"], t["variance"] = m.clone(), v.clone()
            t["batch"] = F.batch_norm(t["x"], m, v, t["w"], t["b"], True, 0.3, 1e-3)
            t["newMean"], t["newVariance"] = m, v
            t["eval"] = F.batch_norm(t["x"], m, v, t["w"], t["b"], False, 0.3, 1e-3)
            t["weight"], t["bias"] = g(4, 5), g(4)
            t["linear"] = F.linear(t["x"], t["weight"], t["bias"])
            t["indices"] = torch.tensor([[0, 3], [5, 5]])
            t["embedding"] = F.embedding(t["indices"], t["w2"])
            t["cosine"] = F.cosine_similarity(t["w2"], t["b2"], dim=-1)
            t["glu"] = F.glu(t["x"], 1)
            """)
        let x: Tensor = try #require(t["x"])
        let (w2, b2): (Tensor, Tensor) = (try #require(t["w2"]), try #require(t["b2"]))
        expectClose(layerNorm(x, normalizedShape: [6, 5], weight: w2, bias: b2, epsilon: 1e-3), t["layer"])
        expectClose(groupNorm(x, groups: 3, weight: t["w"], bias: t["b"], epsilon: 1e-3), t["group"])
        expectClose(rmsNorm(x, normalizedShape: [5], epsilon: 1e-3), t["rms"])
        expectClose(rmsNorm(x, normalizedShape: [6, 5], weight: w2), t["rmsDefault"])
        let (mean, variance): (Tensor, Tensor) = (try #require(t["mean"]).cloned(), try #require(t["variance"]).cloned())
        func normalized(training: Bool) -> Tensor {
            batchNorm(
                x, weight: t["w"], bias: t["b"], runningMean: mean, runningVariance: variance, training: training, momentum: 0.3,
                epsilon: 1e-3)
        }
        expectClose(normalized(training: true), t["batch"])
        expectClose(mean, t["newMean"])
        expectClose(variance, t["newVariance"])
        expectClose(normalized(training: false), t["eval"])
        expectClose(linear(x, weight: try #require(t["weight"]), bias: t["bias"]), t["linear"])
        expectClose(embedding(try #require(t["indices"]), weight: w2), t["embedding"])
        expectClose(cosineSimilarity(w2, b2), t["cosine"])
        expectClose(gatedLinearUnit(x, axis: 1), t["glu"])
    }

    @Test func attention() throws {
        let t: [String: Tensor] = try TorchReference.tensors(
            """
            t["q"], t["k"], t["v"] = g(2, 4, 5, 8), g(2, 4, 6, 8), g(2, 4, 6, 3)
            t["mask"], t["bias"] = torch.rand(5, 6) > 0.3, g(4, 5, 6)
            t["mask"][:, 0] = True
            t["plain"] = F.scaled_dot_product_attention(t["q"], t["k"], t["v"])
            t["causal"] = F.scaled_dot_product_attention(t["q"], t["k"], t["v"], is_causal=True, scale=0.2)
            t["masked"] = F.scaled_dot_product_attention(t["q"], t["k"], t["v"], t["mask"])
            t["biased"] = F.scaled_dot_product_attention(t["q"], t["k"], t["v"], t["bias"])
            t["grouped"] = F.scaled_dot_product_attention(t["q"], t["k"][:, :2], t["v"][:, :2], enable_gqa=True)
            """)
        let (q, k, v): (Tensor, Tensor, Tensor) = (try #require(t["q"]), try #require(t["k"]), try #require(t["v"]))
        expectClose(scaledDotProductAttention(query: q, key: k, value: v), t["plain"])
        expectClose(scaledDotProductAttention(query: q, key: k, value: v, causal: true, scale: 0.2), t["causal"])
        expectClose(scaledDotProductAttention(query: q, key: k, value: v, mask: t["mask"]), t["masked"])
        expectClose(scaledDotProductAttention(query: q, key: k, value: v, mask: t["bias"]), t["biased"])
        let grouped: Tensor = scaledDotProductAttention(query: q, key: k[0..., ..<2], value: v[0..., ..<2], groupedHeads: true)
        expectClose(grouped, t["grouped"])
    }

    @Test func losses() throws {
        let t: [String: Tensor] = try TorchReference.tensors(
            """
            t["x"], t["w"], t["y"] = g(5, 4), g(4).abs(), torch.tensor([0, 3, 1, -100, 2])
            t["p"], t["z"] = torch.softmax(g(5, 4), -1), g(5, 4)
            t["ce"] = F.cross_entropy(t["x"], t["y"], t["w"], label_smoothing=0.1)
            t["ceSoft"] = F.cross_entropy(t["x"], t["p"], reduction="none")
            t["nll"] = F.nll_loss(F.log_softmax(t["x"], -1), t["y"], t["w"], reduction="sum")
            t["mse"], t["l1"] = F.mse_loss(t["x"], t["z"]), F.l1_loss(t["x"], t["z"], reduction="sum")
            t["smooth"], t["huber"] = F.smooth_l1_loss(t["x"], t["z"], beta=0.4), F.huber_loss(t["x"], t["z"], delta=0.4)
            t["kl"] = F.kl_div(F.log_softmax(t["x"], -1), t["p"], reduction="sum")
            t["bce"] = F.binary_cross_entropy(torch.sigmoid(t["x"]), t["p"])
            t["bceLogits"] = F.binary_cross_entropy_with_logits(t["x"], t["p"], pos_weight=t["w"])
            """)
        let (x, z, p): (Tensor, Tensor, Tensor) = (try #require(t["x"]), try #require(t["z"]), try #require(t["p"]))
        let y: Tensor = try #require(t["y"])
        expectClose(crossEntropy(x, y, weight: t["w"], labelSmoothing: 0.1), t["ce"])
        expectClose(crossEntropy(x, p, reduction: .none), t["ceSoft"])
        expectClose(negativeLogLikelihood(x.logSoftmax(), y, weight: t["w"], reduction: .sum), t["nll"])
        expectClose(meanSquaredError(x, z), t["mse"])
        expectClose(meanAbsoluteError(x, z, reduction: .sum), t["l1"])
        expectClose(smoothL1Loss(x, z, beta: 0.4), t["smooth"])
        expectClose(huberLoss(x, z, delta: 0.4), t["huber"])
        expectClose(klDivergence(x.logSoftmax(), p, reduction: .sum), t["kl"])
        expectClose(binaryCrossEntropy(x.sigmoid(), p), t["bce"])
        expectClose(binaryCrossEntropyWithLogits(x, p, positiveWeight: t["w"]), t["bceLogits"])
    }
}
