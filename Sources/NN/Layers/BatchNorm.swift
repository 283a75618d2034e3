import Torch

/// Mean 0 and variance 1 for each channel of `[B, C]`, `[B, C, T]` or `[B, C, H, W]`, then scaled and shifted (arXiv 1502.03167).
///
/// While training the statistics are the batch's and the running ones follow them; in evaluation the running ones are used.
public final class BatchNorm: Module, UnaryLayer {
    /// `[C]`, ones at the start.
    public let weight: Tensor?
    /// `[C]`, zeros at the start.
    public let bias: Tensor?
    /// `[C]`; nil without running statistics.
    @Buffer(key: "running_mean") public var runningMean: Tensor?
    /// `[C]`; nil without running statistics.
    @Buffer(key: "running_var") public var runningVariance: Tensor?
    /// Training batches seen, `[]` (int64).
    @Buffer(key: "num_batches_tracked") public var batchCount: Tensor?
    public let eps: Double
    public let momentum: Double?

    /// - Parameters:
    ///   - channels: C of the input.
    ///   - eps: added to the variance.
    ///   - momentum: weight of the newest batch in the running statistics; nil makes them the plain mean over all batches.
    ///   - affine: whether the result is scaled and shifted.
    ///   - tracksStatistics: without running statistics the batch's are used in evaluation too.
    public init(_ channels: Int, eps: Double = 1e-5, momentum: Double? = 0.1, affine: Bool = true, tracksStatistics: Bool = true) {
        weight = affine ? .ones([channels]) : nil
        bias = affine ? .zeros([channels]) : nil
        self.eps = eps
        self.momentum = momentum
        super.init()
        runningMean = tracksStatistics ? .zeros([channels]) : nil
        runningVariance = tracksStatistics ? .ones([channels]) : nil
        batchCount = tracksStatistics ? .zeros([], dtype: .int64) : nil
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        precondition(x.ndim >= 2, "BatchNorm needs channels on the second axis; shape is \(x.shape)")
        if isTraining { batchCount?.add_(1) }
        return batchNorm(
            x, weight: weight, bias: bias, runningMean: runningMean, runningVariance: runningVariance,
            training: isTraining || runningMean == nil, momentum: momentumNow, epsilon: eps)
    }

    private var momentumNow: Double {
        if let momentum { return momentum }
        guard isTraining, let batchCount else { return 0 }
        return 1 / batchCount.item(Double.self)
    }
}
