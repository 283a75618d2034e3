import Dispatch
import Foundation
import GRDB
import Logging
import Synchronization

/// Records one run's metrics. `log` only appends to a buffer; a background queue writes it in batches of `batchSize` points or every
/// two seconds, which is what a killed process can lose at most.
public final class RunRecorder: MetricSink {
    /// The run as it was started.
    public let run: Run
    private let pool: DatabasePool
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "linnet.run-recorder")
    private static let batchSize = 512

    private struct State {
        var pending = [(step: Int, metrics: [String: Double], time: Date)]()
        var pendingPoints = 0
        var flushIsDue = false
        var lost = 0
        var reason = ""
        var closed = false
    }

    init(run: Run, pool: DatabasePool) {
        self.run = run
        self.pool = pool
    }

    public func log(step: Int, metrics: [String: Double]) {
        let time = Date()
        let delay: DispatchTimeInterval? = state.withLock { state in
            precondition(!state.closed, "RunRecorder: a metric after the end of run \(run.id)")
            state.pending.append((step, metrics, time))
            state.pendingPoints += metrics.count
            if state.pendingPoints >= RunRecorder.batchSize && state.pendingPoints - metrics.count < RunRecorder.batchSize {
                return .nanoseconds(0)
            }
            if state.flushIsDue { return nil }
            state.flushIsDue = true
            return .seconds(2)
        }
        if let delay { queue.asyncAfter(deadline: .now() + delay) { [weak self] in self?.flush() } }
    }

    /// Ends the run as finished.
    public func close() throws { try close(.finished) }

    /// Writes what is pending and records how the run ended; does nothing the second time.
    ///
    /// Throws `RunStoreError.lost` if points could not be written, now or earlier.
    public func close(_ status: RunStatus) throws {
        let first = state.withLock { state in
            defer { state.closed = true }
            return !state.closed
        }
        guard first else { return }
        queue.sync { flush() }
        let ended = Date().timeIntervalSince1970
        let id = run.id
        do {
            try pool.write {
                try $0.execute(sql: "UPDATE run SET status = ?, ended = ? WHERE id = ?", arguments: [status.rawValue, ended, id])
            }
        } catch {
            throw RunStoreError.cannotWrite(path: pool.path, reason: RunRecorder.reason(error))
        }
        let (lost, reason) = state.withLock { ($0.lost, $0.reason) }
        if lost > 0 { throw RunStoreError.lost(points: lost, reason: reason) }
    }

    private func flush() {
        let batch = state.withLock { state in
            defer { (state.pending, state.pendingPoints, state.flushIsDue) = ([], 0, false) }
            return state.pending
        }
        guard !batch.isEmpty else { return }
        do {
            try pool.write { database in
                let series = try RunRecorder.seriesIDs(of: Set(batch.flatMap(\.metrics.keys)), run: run.id, in: database)
                let insert = try database.makeStatement(sql: "INSERT INTO point (series, step, value, time) VALUES (?, ?, ?, ?)")
                for (step, metrics, time) in batch {
                    for (name, value) in metrics {
                        // SQLite has no NaN: it is stored as NULL.
                        let stored: Double? = value.isNaN ? nil : value
                        try insert.execute(arguments: [series[name], step, stored, time.timeIntervalSince1970])
                    }
                }
            }
        } catch {
            note(points: batch.reduce(0) { $0 + $1.metrics.count }, error)
        }
    }

    private func note(points: Int, _ error: any Error) {
        let reason = RunRecorder.reason(error)
        let isFirst = state.withLock { state in
            defer {
                state.lost += points
                if state.reason.isEmpty { state.reason = reason }
            }
            return state.lost == 0
        }
        if isFirst { Logger(label: "linnet.records").warning("run \(run.id): metrics are being lost: \(reason)") }
    }

    private static func reason(_ error: any Error) -> String { (error as? DatabaseError)?.message ?? "\(error)" }

    private static func seriesIDs(of names: Set<String>, run: String, in database: Database) throws -> [String: Int64] {
        var identities: [String: Int64] = [:]
        for name in names {
            try database.execute(sql: "INSERT OR IGNORE INTO series (run, name) VALUES (?, ?)", arguments: [run, name])
            identities[name] = try Int64.fetchOne(
                database, sql: "SELECT id FROM series WHERE run = ? AND name = ?", arguments: [run, name])
        }
        return identities
    }
}
