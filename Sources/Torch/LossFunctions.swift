private let crossEntropyOp: Operator = Operator("cross_entropy_loss")
private let nllOp: Operator = Operator("nll_loss_nd")
private let mseOp: Operator = Operator("mse_loss")
private let l1Op: Operator = Operator("l1_loss")
private let smoothL1Op: Operator = Operator("smooth_l1_loss")
private let huberOp: Operator = Operator("huber_loss")
private let klOp: Operator = Operator("kl_div")
private let binaryCrossEntropyOp: Operator = Operator("binary_cross_entropy")
private let binaryCrossEntropyWithLogitsOp: Operator = Operator("binary_cross_entropy_with_logits")

/// What becomes of the losses of the single elements. Raw values are libtorch's own codes.
public enum LossReduction: Int, Sendable, Codable, CaseIterable {
    case none = 0
    case mean = 1
    case sum = 2
}

extension LossReduction: OperatorArgument {
    public func encode(into arguments: inout ArgumentEncoder) { rawValue.encode(into: &arguments) }
}

/// Cross entropy of unnormalised log-probabilities `[N, C]` or `[N, C, ...]` against classes `[N]`, `[N, ...]` (int64) or
/// probabilities of the logits' shape. Targets equal to `ignoredIndex` count neither in the sum nor in the mean.
/// - Parameters:
///   - logits: `[N, C]` or `[N, C, ...]`.
///   - targets: classes, or probabilities.
///   - weight: `[C]`, by class; the mean is then the weighted one.
///   - reduction: of the losses.
///   - ignoredIndex: class that is passed over.
///   - labelSmoothing: probability that is spread over all classes, in `0 ... 1`.
public func crossEntropy(
    _ logits: Tensor, _ targets: Tensor, weight: Tensor? = nil, reduction: LossReduction = .mean, ignoredIndex: Int = -100,
    labelSmoothing: Double = 0
) -> Tensor {
    crossEntropyOp(logits, targets, weight, reduction, ignoredIndex, labelSmoothing)
}

/// Negative of the log-probability `[N, C]` or `[N, C, ...]` of each target class `[N]`, `[N, ...]` (int64).
public func negativeLogLikelihood(
    _ logProbabilities: Tensor, _ targets: Tensor, weight: Tensor? = nil, reduction: LossReduction = .mean, ignoredIndex: Int = -100
) -> Tensor {
    nllOp(logProbabilities, targets, weight, reduction, ignoredIndex)
}

public func meanSquaredError(_ prediction: Tensor, _ target: Tensor, reduction: LossReduction = .mean) -> Tensor {
    mseOp(prediction, target, reduction)
}

public func meanAbsoluteError(_ prediction: Tensor, _ target: Tensor, reduction: LossReduction = .mean) -> Tensor {
    l1Op(prediction, target, reduction)
}

/// `d² / (2 beta)` where the difference `d` is below `beta`, else `|d| - beta / 2`.
public func smoothL1Loss(_ prediction: Tensor, _ target: Tensor, beta: Double = 1, reduction: LossReduction = .mean) -> Tensor {
    smoothL1Op(prediction, target, reduction, beta)
}

/// `d² / 2` where the difference `d` is below `delta`, else `delta (|d| - delta / 2)`.
public func huberLoss(_ prediction: Tensor, _ target: Tensor, delta: Double = 1, reduction: LossReduction = .mean) -> Tensor {
    huberOp(prediction, target, reduction, delta)
}

/// Kullback-Leibler divergence: `target · (log target - logPrediction)` for each element. `.mean` divides by the number of elements.
/// - Parameters:
///   - logPrediction: log-probabilities.
///   - target: probabilities of the same shape.
///   - logTarget: the targets are log-probabilities too.
///   - reduction: of the losses.
public func klDivergence(_ logPrediction: Tensor, _ target: Tensor, logTarget: Bool = false, reduction: LossReduction = .mean) -> Tensor {
    klOp(logPrediction, target, reduction, logTarget)
}

/// Cross entropy of probabilities in `[0, 1]` against targets in `[0, 1]`.
public func binaryCrossEntropy(_ probabilities: Tensor, _ targets: Tensor, weight: Tensor? = nil, reduction: LossReduction = .mean)
    -> Tensor
{
    binaryCrossEntropyOp(probabilities, targets, weight, reduction)
}

/// Cross entropy of `sigmoid(logits)` against targets in `[0, 1]`, without overflow.
/// - Parameters:
///   - logits: any shape.
///   - targets: of the logits' shape.
///   - weight: broadcasts to the losses.
///   - positiveWeight: factor of the positive term, broadcast.
///   - reduction: of the losses.
public func binaryCrossEntropyWithLogits(
    _ logits: Tensor, _ targets: Tensor, weight: Tensor? = nil, positiveWeight: Tensor? = nil, reduction: LossReduction = .mean
) -> Tensor {
    binaryCrossEntropyWithLogitsOp(logits, targets, weight, positiveWeight, reduction)
}
