import Foundation

/// Run records as text, for the command line.
public enum RunTable {
    /// One line for each run: id, name, kind, status, start, duration, seed.
    public static func list(_ runs: [Run], now: Date = Date()) -> String {
        guard !runs.isEmpty else { return "no runs are recorded\n" }
        let header = ["run", "name", "kind", "status", "started (UTC)", "took", "seed"]
        let rows = runs.map { run in
            [
                run.id, run.name, run.kind, run.status.rawValue, time(run.started), duration(run, now: now),
                run.seed.map(String.init) ?? "-",
            ]
        }
        return table([header] + rows, numeric: [5, 6])
    }

    /// A run's description, its configuration and its metrics.
    public static func show(_ run: Run, metrics: [MetricSummary], now: Date = Date()) throws -> String {
        var facts = [
            ["run", run.id], ["name", run.name], ["kind", run.kind], ["status", run.status.rawValue],
            ["started", time(run.started) + " UTC"],
            ["took", duration(run, now: now)], ["command", run.command], ["machine", run.machine],
        ]
        if let commit = run.commit { facts.append(["commit", commit]) }
        if let seed = run.seed { facts.append(["seed", "\(seed)"]) }
        let settings = try RunStore.settings(of: run).filter { !$0.key.hasPrefix("(") }.sorted { $0.key < $1.key }
        var text = table(facts)
        if !settings.isEmpty { text += "\nconfiguration\n" + table(settings.map { ["  " + $0.key, $0.value] }) }
        guard !metrics.isEmpty else { return text + "\nno metrics\n" }
        let header = ["metric", "points", "first", "last", "best", "at step"]
        let rows = metrics.map { metric in
            [
                metric.name, "\(metric.count)", number(metric.first.value), number(metric.last.value), number(metric.best?.value),
                metric.best.map { "\($0.step)" } ?? "-",
            ]
        }
        return text + "\n" + table([header] + rows, numeric: [1, 2, 3, 4, 5])
    }

    /// The settings that differ and each metric's last and best value, a column for each run.
    public static func compare(_ comparison: RunComparison) -> String {
        let runs = comparison.runs
        let numeric = Set(1...max(1, runs.count))
        var rows = [[""] + runs.map(\.id), ["name"] + runs.map(\.name), ["status"] + runs.map(\.status.rawValue)]
        rows += comparison.differences.map { [$0.setting] + $0.values.map { $0 ?? "-" } }
        for metric in comparison.metrics {
            rows.append(["last \(metric.name)"] + metric.summaries.map { number($0?.last.value) })
            rows.append(["best \(metric.name)"] + metric.summaries.map { number($0?.best?.value) })
        }
        return table(rows, numeric: numeric)
    }

    /// Columns padded to their widest cell with two blanks between them; those in `numeric` are aligned to the right.
    package static func table(_ rows: [[String]], numeric: Set<Int> = []) -> String {
        let count = rows.map(\.count).max() ?? 0
        let widths = (0..<count).map { column in rows.map { DisplayWidth.of($0[column]) }.max() ?? 0 }
        let lines = rows.map { row in
            let cells = row.enumerated().map { DisplayWidth.pad($1, to: widths[$0], right: numeric.contains($0)) }
            var line = cells.joined(separator: "  ")
            while line.hasSuffix(" ") { line.removeLast() }
            return line + "\n"
        }
        return lines.joined()
    }

    /// Six significant digits.
    private static func number(_ value: Double?) -> String { value.map { String(format: "%.6g", $0) } ?? "-" }

    private static func time(_ date: Date) -> String {
        String(date.ISO8601Format().replacingOccurrences(of: "T", with: " ").dropLast())
    }

    private static func duration(_ run: Run, now: Date) -> String {
        ProgressText.duration((run.ended ?? now).timeIntervalSince(run.started))
    }
}
