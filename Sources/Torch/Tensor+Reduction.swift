private let sumToSizeOp: Operator = Operator("sum_to_size")
private let sumAllOp: Operator = Operator("sum")
private let sumOp: Operator = Operator("sum", "dim_IntList")
private let meanAllOp: Operator = Operator("mean")
private let meanOp: Operator = Operator("mean", "dim")
private let prodAllOp: Operator = Operator("prod")
private let prodOp: Operator = Operator("prod", "dim_int")
private let varOp: Operator = Operator("var", "correction")
private let stdOp: Operator = Operator("std", "correction")
private let amaxOp: Operator = Operator("amax")
private let aminOp: Operator = Operator("amin")
private let argmaxOp: Operator = Operator("argmax")
private let argminOp: Operator = Operator("argmin")
private let logsumexpOp: Operator = Operator("logsumexp")
private let cumsumOp: Operator = Operator("cumsum")
private let cumprodOp: Operator = Operator("cumprod")
private let logcumsumexpOp: Operator = Operator("logcumsumexp")
private let normOp: Operator = Operator("linalg_vector_norm")
private let anyOp: Operator = Operator("any")
private let anyDimOp: Operator = Operator("any", "dim")
private let allOp: Operator = Operator("all")
private let allDimOp: Operator = Operator("all", "dim")
private let softmaxOp: Operator = Operator("softmax", "int")
private let logSoftmaxOp: Operator = Operator("log_softmax", "int")
private let sortOp: Operator = Operator("sort", "stable")
private let argsortOp: Operator = Operator("argsort", "stable")
private let topkOp: Operator = Operator("topk")
private let kthOp: Operator = Operator("kthvalue")
private let medianOp: Operator = Operator("median")
private let quantileOp: Operator = Operator("quantile", "scalar")
private let bincountOp: Operator = Operator("bincount")
private let countNonzeroOp: Operator = Operator("count_nonzero")

// Reductions: over every element, or over the given axes, which are dropped unless `keepDims`.
extension Tensor {
    public func sum() -> Tensor { sumAllOp(self) }
    public func sum(axis: Int, keepDims: Bool = false) -> Tensor { sumOp(self, [axis], keepDims) }
    public func sum(axes: [Int], keepDims: Bool = false) -> Tensor { sumOp(self, axes, keepDims) }

    /// Summed over the axes along which `shape` was broadcast to this tensor's shape.
    public func summed(to shape: [Int]) -> Tensor { sumToSizeOp(self, shape) }

    public func mean() -> Tensor { meanAllOp(self) }
    public func mean(axis: Int, keepDims: Bool = false) -> Tensor { meanOp(self, [axis], keepDims) }
    public func mean(axes: [Int], keepDims: Bool = false) -> Tensor { meanOp(self, axes, keepDims) }

    public func product() -> Tensor { prodAllOp(self) }
    public func product(axis: Int, keepDims: Bool = false) -> Tensor { prodOp(self, axis, keepDims) }

    /// Mean squared deviation, divided by `n - correction`; nil axes means all.
    public func variance(axes: [Int]? = nil, correction: Int = 0, keepDims: Bool = false) -> Tensor {
        varOp(self, axes, correction, keepDims)
    }

    /// Square root of ``variance(axes:correction:keepDims:)``.
    public func standardDeviation(axes: [Int]? = nil, correction: Int = 0, keepDims: Bool = false) -> Tensor {
        stdOp(self, axes, correction, keepDims)
    }

    public func max() -> Tensor { amaxOp(self) }
    public func max(axis: Int, keepDims: Bool = false) -> Tensor { amaxOp(self, [axis], keepDims) }
    public func min() -> Tensor { aminOp(self) }
    public func min(axis: Int, keepDims: Bool = false) -> Tensor { aminOp(self, [axis], keepDims) }

    /// Index of the largest element along an axis (int64).
    public func argMax(axis: Int, keepDims: Bool = false) -> Tensor { argmaxOp(self, axis, keepDims) }
    public func argMin(axis: Int, keepDims: Bool = false) -> Tensor { argminOp(self, axis, keepDims) }

    public func logSumExp(axis: Int, keepDims: Bool = false) -> Tensor { logsumexpOp(self, [axis], keepDims) }

    public func any() -> Tensor { anyOp(self) }
    public func any(axis: Int, keepDims: Bool = false) -> Tensor { anyDimOp(self, axis, keepDims) }
    public func all() -> Tensor { allOp(self) }
    public func all(axis: Int, keepDims: Bool = false) -> Tensor { allDimOp(self, axis, keepDims) }

    /// Vector norm of the given order over the axes, or over everything.
    public func norm(order: Double = 2, axes: [Int]? = nil, keepDims: Bool = false) -> Tensor {
        normOp(self, order, axes, keepDims)
    }

    /// The middle element; the lower of two.
    public func median() -> Tensor { medianOp(self) }

    /// Linear interpolation between order statistics; floating tensors only.
    public func quantile(_ fraction: Double, axis: Int? = nil, keepDims: Bool = false) -> Tensor {
        quantileOp(self, fraction, axis, keepDims)
    }

    /// How often each of `0, 1, …` occurs in a vector of integers.
    public func binCounts(weights: Tensor? = nil, minimumLength: Int = 0) -> Tensor { bincountOp(self, weights, minimumLength) }

    public func countNonzero() -> Tensor { countNonzeroOp(self) }
}

// Scans along one axis, each including its own element.
extension Tensor {
    public func cumulativeSum(axis: Int) -> Tensor { cumsumOp(self, axis) }
    public func cumulativeProduct(axis: Int) -> Tensor { cumprodOp(self, axis) }
    public func logCumulativeSumExp(axis: Int) -> Tensor { logcumsumexpOp(self, axis) }

    /// Sums from each element to the end.
    public func reverseCumulativeSum(axis: Int) -> Tensor { flipped(axes: [axis]).cumulativeSum(axis: axis).flipped(axes: [axis]) }
}

// Softmax family and order statistics.
extension Tensor {
    public func softmax(axis: Int = -1) -> Tensor { softmaxOp(self, axis) }
    public func logSoftmax(axis: Int = -1) -> Tensor { logSoftmaxOp(self, axis) }

    /// Sorted values and the int64 indices they came from; equal elements keep their order.
    public func sorted(axis: Int = -1, descending: Bool = false) -> (values: Tensor, indices: Tensor) {
        pair(sortOp.tensors(self, true, axis, descending))
    }

    public func argSort(axis: Int = -1, descending: Bool = false) -> Tensor { argsortOp(self, true, axis, descending) }

    /// The `k` largest (or smallest) along an axis in order, and their indices.
    public func topK(_ k: Int, axis: Int = -1, largest: Bool = true) -> (values: Tensor, indices: Tensor) {
        pair(topkOp.tensors(self, k, axis, largest, true))
    }

    /// The `k`-th smallest (from 1) along an axis, and its index.
    public func kthSmallest(_ k: Int, axis: Int = -1, keepDims: Bool = false) -> (values: Tensor, indices: Tensor) {
        pair(kthOp.tensors(self, k, axis, keepDims))
    }
}

/// The two results of an operator; after a captured failure there is only a placeholder, given twice.
func pair(_ tensors: [Tensor]) -> (values: Tensor, indices: Tensor) { (tensors[0], tensors[tensors.count - 1]) }
