import Torch

/// Sums gradients of several small batches, so that they count as one large batch.
///
///     for batch in batches { accumulator.add(gradients(of: batch)) }
///     optimizer.step(accumulator.takeMean())
public final class GradientAccumulator {
    private var sums: [Tensor?] = []
    private var weight: Double = 0

    public init() {}

    /// Batches added since the last result.
    public private(set) var count: Int = 0

    /// Adds a batch's gradients.
    /// - Parameters:
    ///   - gradients: in the same order and number every time; nil counts as zeros. They are not kept or written to.
    ///   - weight: of this batch in the mean, for instance its number of examples where batches differ; above 0.
    public func add(_ gradients: [Tensor?], weight: Double = 1) {
        precondition(weight > 0 && weight.isFinite, "a batch's weight of \(weight); it has to be above 0")
        precondition(count == 0 || gradients.count == sums.count, "\(gradients.count) gradients after \(sums.count)")
        noGrad {
            if count == 0 { sums = Array(repeating: nil, count: gradients.count) }
            let known: [Int] = gradients.indices.filter { gradients[$0] != nil && sums[$0] != nil }
            TensorList.add_(known.map { sums[$0]! }, known.map { gradients[$0]! }, scale: weight)
            let new: [Int] = gradients.indices.filter { gradients[$0] != nil && sums[$0] == nil }
            for (index, sum) in zip(new, TensorList.multiply(new.map { gradients[$0]! }, by: weight)) { sums[index] = sum }
        }
        count += 1
        self.weight += weight
    }

    /// The weighted mean of what was added, and a fresh start; nil where no batch had a gradient. Traps before the first batch.
    public func takeMean() -> [Tensor?] {
        precondition(count > 0, "takeMean() before any gradients were added")
        let share: Double = 1 / weight
        noGrad { TensorList.multiply_(sums.compactMap { $0 }, by: share) }
        defer {
            sums = []
            weight = 0
            count = 0
        }
        return sums
    }
}
