import Foundation

extension Report {
    /// The report for a terminal: a table of methods by metrics (mean ± standard deviation), then gates and claims.
    public func text() -> String {
        let head: String = "\(slug) at \(scale.rawValue): \(summary)"
        let verdicts: [String] =
            gates.map { "  gate   \($0.passed ? "passed " : "FAILED ")  \($0.statement)" + Self.seedList($0) } + claims.map(Self.line)
        let resumed: String = resumedSeeds.map { " (continued: an earlier run had measured \($0.count))" } ?? ""
        let time: String = String(format: "%.0f s, %d seed%@", seconds, seeds.count, seeds.count == 1 ? "" : "s") + resumed
        return ([head, "", Self.aligned(table()), ""] + verdicts + ["  \(time)"]).joined(separator: "\n")
    }

    /// Rows of the measured table, the first being the header.
    public func table() -> [[String]] {
        let metrics: [String] = measurements.metrics
        return [["method"] + metrics]
            + measurements.methods.map { method in
                [method] + metrics.map { metric in measurements.summary(method, metric).map(Self.formatted) ?? "" }
            }
    }

    private static func formatted(_ summary: Summary) -> String {
        summary.count > 1 ? "\(number(summary.mean)) ± \(number(summary.standardDeviation))" : number(summary.mean)
    }

    /// A number as the tables show it: four digits or so, whole numbers without a fraction.
    public static func number(_ value: Double) -> String {
        let size: Double = abs(value)
        if value == value.rounded(), size < 1e9 { return String(format: "%.0f", value) }
        return size >= 1000 ? String(format: "%.1f", value) : size >= 0.001 ? String(format: "%.3f", value) : String(format: "%.2e", value)
    }

    private static func seedList(_ gate: GateResult) -> String {
        gate.failedSeeds.isEmpty ? "" : " (seeds \(gate.failedSeeds.map(String.init).joined(separator: ", ")))"
    }

    private static func line(_ claim: ClaimResult) -> String {
        let measured: String = claim.mean.map { "measured \(number($0))" } ?? "not measured"
        let interval: String = claim.interval.map { " [\(number($0[0])), \(number($0[1]))]" } ?? ""
        return "  claim  \(claim.verdict.rawValue)  \(claim.statement): \(measured)\(interval), wanted at least \(number(claim.threshold))"
    }

    private static func aligned(_ rows: [[String]]) -> String {
        let widths: [Int] = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            "  " + zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
