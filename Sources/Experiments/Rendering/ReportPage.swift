import Foundation

/// Draws reports as one self-contained HTML page.
public enum ReportPage {
    /// - Parameters:
    ///   - title: heading and window title.
    ///   - notes: paragraphs shown under the title.
    ///   - reports: drawn one below the other.
    public static func html(title: String, notes: [String] = [], reports: [Report]) -> String {
        let head: String = "<h1>\(HTML.escaped(title))</h1>" + notes.map { "<p>\(HTML.escaped($0))</p>" }.joined()
        return HTML.page(title: title, body: head + reports.map(section).joined(separator: "\n"))
    }

    private static func section(_ report: Report) -> String {
        let judged: [String] =
            report.gates.map { item($0.passed ? "passed" : "failed", good: $0.passed, $0.statement) }
            + report.claims.map { item($0.verdict.rawValue, good: $0.verdict == .shown, detail($0)) }
        let verdicts: String = judged.isEmpty ? "" : "<ul>\(judged.joined())</ul>"
        return """
            <section><h2>\(HTML.escaped(report.slug))</h2>
            <p>\(HTML.escaped(report.summary))</p>
            \(HTML.table(report.table()))
            \(verdicts)
            \(ReportChart.charts(of: report.measurements.curves).map { $0.svg() }.joined(separator: "\n"))
            <p class="soft">\(HTML.escaped(provenance(report)))</p></section>
            """
    }

    private static func item(_ verdict: String, good: Bool, _ text: String) -> String {
        "<li><strong class=\"\(good ? "pass" : "fail")\">\(verdict)</strong>: \(HTML.escaped(text))</li>"
    }

    private static func detail(_ claim: ClaimResult) -> String {
        let measured: String = claim.mean.map { "measured \(Report.number($0))" } ?? "not measured"
        let interval: String = claim.interval.map { ", 90 % interval \(Report.number($0[0])) to \(Report.number($0[1]))" } ?? ""
        return "\(claim.statement) (\(measured)\(interval), wanted at least \(Report.number(claim.threshold)))"
    }

    private static func provenance(_ report: Report) -> String {
        let facts: String = report.environment.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: "; ")
        let seeds: String = report.seeds.map(String.init).joined(separator: ", ")
        return "Scale \(report.scale.rawValue), seeds \(seeds), \(Int(report.seconds)) s, \(report.started.formatted(.iso8601)); \(facts)."
    }
}
