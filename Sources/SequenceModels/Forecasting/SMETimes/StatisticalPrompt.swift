import Foundation

/// Says in words what normalisation takes away from a segment of a series: when it is and at which level.
///
/// Four statements: the range of time, the standard deviation (biased), the change from the first value to the last, and the mean; numbers
/// with four decimals, in the series' own units. The mean stands at the end, since a causal model is read at its last token and a small
/// one remembers best what came last.
public struct StatisticalPrompt: Sendable {
    private let label: @Sendable (Int) -> String

    /// - Parameter label: what a step of the series is called, such as its date.
    public init(label: @escaping @Sendable (Int) -> String) { self.label = label }

    /// - Parameters:
    ///   - segment: values of one variable, in its own units; not empty.
    ///   - start: the step of the series that the segment begins with.
    public func text(segment: [Float], start: Int) -> String {
        precondition(!segment.isEmpty, "a prompt for an empty segment")
        let values: [Double] = segment.map { Double($0) }
        let mean: Double = values.reduce(0, +) / Double(values.count)
        let variance: Double = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count)
        return String(
            format: "from %@ to %@; deviation %.4f; change %.4f; mean %.4f", label(start), label(start + values.count - 1),
            variance.squareRoot(), values[values.count - 1] - values[0], mean)
    }
}

/// Whose statistics the prompts of a variable tell.
public enum PromptSource: String, Codable, Sendable, CaseIterable {
    /// The variable's own.
    case ownColumn = "own-column"
    /// Those of the last column, for all variables: as in the authors' code.
    case lastColumn = "last-column"
}
