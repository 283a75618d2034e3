import Foundation
import GRDB

extension RunStore {
    /// All runs, newest first.
    ///
    /// - Parameters:
    ///   - kind: only runs of this kind.
    ///   - limit: most runs to give; nil gives all.
    public func list(kind: String? = nil, limit: Int? = nil) throws -> [Run] {
        try pool.read { database in
            let rows = try Row.fetchAll(
                database,
                sql: "SELECT * FROM run WHERE ?1 IS NULL OR kind = ?1 ORDER BY started DESC, id DESC LIMIT ?2",
                arguments: [kind, limit ?? -1])
            return try rows.map { try RunStore.run($0, in: database) }
        }
    }

    /// The run meant by a text: "latest", an id, a run's name, the start of an id or the four characters at its end, in this order.
    public func find(_ text: String) throws -> Run {
        let runs = try list()
        if text == "latest", let newest = runs.first { return newest }
        let meanings: [(Run) -> Bool] = [
            { $0.id == text }, { $0.name == text }, { !text.isEmpty && ($0.id.hasPrefix(text) || $0.id.hasSuffix("-" + text)) },
        ]
        guard let fitting = meanings.lazy.map({ runs.filter($0) }).first(where: { !$0.isEmpty }) else {
            throw RunStoreError.unknownRun(text, path: path)
        }
        guard fitting.count == 1 else { throw RunStoreError.ambiguous(text, candidates: fitting.map(\.id)) }
        return fitting[0]
    }

    /// A run's metrics in brief, by name.
    public func metrics(of run: Run) throws -> [MetricSummary] {
        try pool.read { database in
            let series = try Row.fetchAll(database, sql: "SELECT id, name FROM series WHERE run = ? ORDER BY name", arguments: [run.id])
            return try series.compactMap { try RunStore.summary(series: $0["id"], name: $0["name"], in: database) }
        }
    }

    /// All points of one metric in the order of their steps; empty for a metric that the run has not.
    public func points(of run: Run, metric: String) throws -> [MetricPoint] {
        try pool.read { database in
            let rows = try Row.fetchAll(
                database,
                sql: """
                    SELECT step, value, time FROM point JOIN series ON series.id = point.series
                    WHERE series.run = ? AND series.name = ? ORDER BY step, point.rowid
                    """, arguments: [run.id, metric])
            return rows.map(RunStore.point)
        }
    }

    /// Calls `body` for every point of a run, by metric and step, without holding them all.
    public func forEachPoint(of run: Run, _ body: (String, MetricPoint) throws -> Void) throws {
        try pool.read { database in
            let rows = try Row.fetchCursor(
                database,
                sql: """
                    SELECT series.name, step, value, time FROM point JOIN series ON series.id = point.series
                    WHERE series.run = ? ORDER BY series.name, step, point.rowid
                    """, arguments: [run.id])
            while let row = try rows.next() { try body(row["name"], RunStore.point(row)) }
        }
    }

    private static func point(_ row: Row) -> MetricPoint {
        MetricPoint(step: row["step"], value: row["value"] ?? .nan, time: Date(timeIntervalSince1970: row["time"]))
    }

    private static func summary(series: Int64, name: String, in database: Database) throws -> MetricSummary? {
        func one(_ ending: String) throws -> MetricPoint? {
            try Row.fetchOne(database, sql: "SELECT step, value, time FROM point WHERE series = ? " + ending, arguments: [series]).map(
                point)
        }
        guard let first = try one("ORDER BY step, rowid LIMIT 1"), let last = try one("ORDER BY step DESC, rowid DESC LIMIT 1") else {
            return nil
        }
        let direction = MetricSummary.prefersGreater(name) ? "DESC" : "ASC"
        let best = try one("AND abs(value) < 9e999 ORDER BY value \(direction), step LIMIT 1")
        let count = try Int.fetchOne(database, sql: "SELECT count(*) FROM point WHERE series = ?", arguments: [series]) ?? 0
        return MetricSummary(name: name, count: count, last: last, best: best, first: first)
    }

    private static func run(_ row: Row, in database: Database) throws -> Run {
        let process = ProcessMark(host: row["host"], number: row["process"], start: row["processStart"])
        let ended: Double? = row["ended"]
        let seed: String? = row["seed"]
        var run = Run(
            id: row["id"], name: row["name"], kind: row["kind"], command: row["command"], configuration: row["configuration"],
            commit: row["gitCommit"], machine: row["machine"], seed: seed.flatMap { UInt64($0) },
            status: RunStatus(rawValue: row["status"]) ?? .failed, started: Date(timeIntervalSince1970: row["started"]),
            ended: ended.map { Date(timeIntervalSince1970: $0) }, process: process)
        if run.status == .running && process.isGone {
            run.status = .interrupted
            let last = try Double.fetchOne(
                database, sql: "SELECT max(time) FROM point JOIN series ON series.id = point.series WHERE run = ?", arguments: [run.id])
            run.ended = last.map { Date(timeIntervalSince1970: $0) } ?? run.started
        }
        return run
    }
}
