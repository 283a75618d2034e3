import Foundation
import Torch

/// Compares one computed tensor with one expected.
struct FixtureComparison {
    let expected: Tensor
    let actual: Tensor
    /// Greatest allowed difference, relative to `scale`. Integers and truth values have to be equal.
    let tolerance: Double
    /// The largest entry of what is expected, unless given.
    var scale: Double?

    /// What is wrong, or nil.
    func failure() -> String? {
        guard expected.shape == actual.shape else { return "shape \(actual.shape), expected \(expected.shape)" }
        if !expected.dtype.isFloatingPoint { return exactFailure() }
        let wanted: [Double] = expected.array()
        let found: [Double] = actual.array()
        let largest: Double = wanted.reduce(0) { max($0, abs($1)) }
        let reference: Double = scale ?? (largest > 0 ? largest : 1)
        var worst: (index: Int, error: Double) = (0, 0)
        for (index, (value, other)) in zip(wanted, found).enumerated() {
            guard value.isFinite, other.isFinite else { return "element \(index) is \(other), expected \(value)" }
            if abs(value - other) > worst.error { worst = (index, abs(value - other)) }
        }
        if worst.error <= tolerance * reference { return nil }
        let relative: String = String(format: "%.2g", worst.error / reference)
        return "element \(worst.index) is \(found[worst.index]), expected \(wanted[worst.index]): off by \(relative), allowed \(tolerance)"
    }

    private func exactFailure() -> String? {
        let wanted: [Int] = expected.array()
        let found: [Int] = actual.array()
        guard let index = wanted.indices.first(where: { wanted[$0] != found[$0] }) else { return nil }
        return "element \(index) is \(found[index]), expected \(wanted[index])"
    }
}
