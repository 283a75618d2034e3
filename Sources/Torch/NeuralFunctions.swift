private let linearOp: Operator = Operator("linear")
private let embeddingOp: Operator = Operator("embedding")
private let embeddingBagOp: Operator = Operator("embedding_bag")
private let layerNormOp: Operator = Operator("layer_norm")
private let groupNormOp: Operator = Operator("group_norm")
private let batchNormOp: Operator = Operator("batch_norm")
private let rmsNormOp: Operator = Operator("rms_norm")
private let attentionOp: Operator = Operator("scaled_dot_product_attention")
private let dropoutOp: Operator = Operator("dropout")
private let gluOp: Operator = Operator("glu")
private let cosineSimilarityOp: Operator = Operator("cosine_similarity")

/// `x Wᵀ + b` over the last axis: `[..., inputs]` with `weight` `[outputs, inputs]` gives `[..., outputs]`.
public func linear(_ x: Tensor, weight: Tensor, bias: Tensor? = nil) -> Tensor { linearOp(x, weight, bias) }

/// Rows of `weight` `[count, D]` at integer `indices` `[...]`: `[..., D]`. The row `paddingIndex` receives no gradient.
public func embedding(_ indices: Tensor, weight: Tensor, paddingIndex: Int? = nil) -> Tensor {
    embeddingOp(weight, indices, paddingIndex ?? -1)
}

/// Weighted sums of K rows of a table each, without a tensor of the rows themselves: `out[n] = Σ_k weights[n, k] · table[indices[n, k]]`.
/// - Parameters:
///   - indices: `[N, K]` (int64).
///   - table: `[count, D]`.
///   - weights: `[N, K]`, of the table's dtype.
/// - Returns: `[N, D]`.
public func weightedRowSums(_ indices: Tensor, table: Tensor, weights: Tensor) -> Tensor {
    precondition(
        indices.ndim == 2 && weights.shape == indices.shape && table.ndim == 2,
        "weightedRowSums: indices \(indices.shape), weights \(weights.shape) and a table \(table.shape) do not fit")
    let (rows, picked): (Int, Int) = (indices.dim(0), indices.dim(1))
    let starts: Tensor = .arange(0, rows * picked, step: max(picked, 1), dtype: .int64, device: indices.device)
    let sum: Int = 0
    return embeddingBagOp.tensors(table, indices.flattened(), starts, false, sum, false, weights.flattened())[0]
}

/// Mean 0 and variance 1 over the trailing axes of length `normalizedShape`, then scaled and shifted.
public func layerNorm(
    _ x: Tensor, normalizedShape: [Int], weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5
) -> Tensor {
    layerNormOp(x, normalizedShape, weight, bias, epsilon)
}

/// Mean 0 and variance 1 over each group of channels of `[B, C, ...]`, then scaled and shifted by channel.
public func groupNorm(_ x: Tensor, groups: Int, weight: Tensor? = nil, bias: Tensor? = nil, epsilon: Double = 1e-5) -> Tensor {
    groupNormOp(x, groups, weight, bias, epsilon)
}

/// Mean 0 and variance 1 for each channel of `[B, C, ...]`, then scaled and shifted.
///
/// While training the statistics are the batch's, and the running ones move towards them in place by `momentum` (the variance
/// as the unbiased estimate); otherwise the running ones are used.
public func batchNorm(
    _ x: Tensor, weight: Tensor? = nil, bias: Tensor? = nil, runningMean: Tensor?, runningVariance: Tensor?, training: Bool,
    momentum: Double = 0.1, epsilon: Double = 1e-5
) -> Tensor {
    batchNormOp(x, weight, bias, runningMean, runningVariance, training, momentum, epsilon, true)
}

/// Divided by the root mean square over the trailing axes of length `normalizedShape`, then scaled. Without `epsilon`, the
/// dtype's own rounding unit.
public func rmsNorm(_ x: Tensor, normalizedShape: [Int], weight: Tensor? = nil, epsilon: Double? = nil) -> Tensor {
    rmsNormOp(x, normalizedShape, weight, epsilon)
}

/// `softmax(q kᵀ · scale + mask) v` over heads: queries `[B, H, T, D]`, keys `[B, H, S, D]`, values `[B, H, S, V]`.
/// - Parameters:
///   - query: `[B, H, T, D]`.
///   - key: `[B, H, S, D]`.
///   - value: `[B, H, S, V]`.
///   - mask: broadcasts to `[B, H, T, S]`; `.bool` (true attends) or numbers that are added to the scores.
///   - causal: query `t` attends to the keys `0 ... t`; not together with a mask.
///   - scale: `1 / √D` unless given.
///   - groupedHeads: keys and values may have fewer heads, each shared by as many queries' heads.
///   - dropout: probability of dropping an attention weight.
public func scaledDotProductAttention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor? = nil, causal: Bool = false, scale: Double? = nil,
    groupedHeads: Bool = false, dropout: Double = 0
) -> Tensor {
    attentionOp(query, key, value, mask, dropout, causal, scale, groupedHeads)
}

/// Zeros elements with the given probability and divides the others by its complement; `x` itself unless training.
/// Draws from the device's shared stream.
public func dropout(_ x: Tensor, probability: Double, training: Bool) -> Tensor {
    guard training, 0 < probability, probability < 1, let stream: RandomGenerator = .ofTask(on: x.device) else {
        return dropoutOp(x, probability, training)
    }
    let kept: Tensor = .bernoulli(x.shape, probability: 1 - probability, dtype: x.dtype, device: x.device, generator: stream)
    return x * kept / (1 - probability)
}

/// The first half of an axis times the sigmoid of the second.
public func gatedLinearUnit(_ x: Tensor, axis: Int = -1) -> Tensor { gluOp(x, axis) }

/// Cosine of the angle between vectors along an axis.
public func cosineSimilarity(_ left: Tensor, _ right: Tensor, axis: Int = -1, epsilon: Double = 1e-8) -> Tensor {
    cosineSimilarityOp(left, right, axis, epsilon)
}
