import Torch

/// Sums of the gradients of the last steps before a choice.
struct GradientWindow {
    let length: Int
    private(set) var sums: [Tensor] = []
    private(set) var count: Int = 0

    /// A window that has been filled in part.
    init(length: Int, sums: [Tensor] = [], count: Int = 0) { (self.length, self.sums, self.count) = (length, sums, count) }

    mutating func add(_ gradients: [Tensor]) {
        if count == 0 { sums = gradients.map { $0.detached().cloned() } } else { TensorList.add_(sums, gradients) }
        count += 1
    }

    /// The mean of what was added, and a fresh start; nil where nothing was.
    mutating func takeMean() -> [Tensor]? {
        guard count > 0 else { return nil }
        defer { (sums, count) = ([], 0) }
        return TensorList.multiply(sums, by: 1 / Double(count))
    }
}
