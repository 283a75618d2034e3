import Foundation
import GRDB
import Torch

/// The records of all runs, in one SQLite database (through GRDB, in WAL mode: reading does not wait for a running training, and a
/// killed process leaves a readable file).
public final class RunStore: Sendable {
    public let path: String
    let pool: DatabasePool

    /// `$LINNET_RUNS`, or runs/linnet.sqlite below the working directory.
    public static var standardPath: String {
        if let path = ProcessInfo.processInfo.environment["LINNET_RUNS"], !path.isEmpty { return path }
        return "runs/linnet.sqlite"
    }

    /// Opens the database, creating it and its folder if they are missing. Throws `FileError` or `RunStoreError`.
    public init(_ path: String = RunStore.standardPath) throws {
        self.path = path
        let folder = (path as NSString).deletingLastPathComponent
        if !folder.isEmpty { try AtomicFile.createFolder(folder) }
        var configuration = Configuration()
        // Two trainings may record at the same time.
        configuration.busyMode = .timeout(10)
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
            try RunStore.migrator.migrate(pool)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_NOTADB {
            throw RunStoreError.notARunStore(path: path)
        } catch let error as DatabaseError {
            throw RunStoreError.cannotOpen(path: path, reason: error.message ?? error.resultCode.description)
        }
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("runs and metrics") { database in
            try database.execute(
                sql: """
                    CREATE TABLE run (
                        id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, command TEXT NOT NULL,
                        configuration TEXT NOT NULL, gitCommit TEXT, machine TEXT NOT NULL, seed TEXT, status TEXT NOT NULL,
                        started REAL NOT NULL, ended REAL, host TEXT NOT NULL, process INTEGER NOT NULL, processStart TEXT NOT NULL);
                    CREATE TABLE series (
                        id INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES run(id) ON DELETE CASCADE, name TEXT NOT NULL,
                        UNIQUE (run, name));
                    CREATE TABLE point (
                        series INTEGER NOT NULL REFERENCES series(id) ON DELETE CASCADE, step INTEGER NOT NULL, value REAL,
                        time REAL NOT NULL);
                    CREATE INDEX pointsOfSeries ON point(series, step);
                    """)
        }
        return migrator
    }

    /// Records the start of a run and returns the sink that takes its metrics.
    public func start(_ description: RunDescription, now: Date = Date()) throws -> RunRecorder {
        let run = Run(
            id: RunStore.newID(now), name: description.name, kind: description.kind, command: description.command,
            configuration: description.configuration, commit: description.commit, machine: RunStore.machine, seed: description.seed,
            status: .running, started: now, ended: nil, process: .current)
        try pool.write { database in
            try database.execute(
                sql: "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)",
                arguments: [
                    run.id, run.name, run.kind, run.command, run.configuration, run.commit, run.machine, run.seed.map(String.init),
                    run.status.rawValue, now.timeIntervalSince1970, run.process.host, run.process.number, run.process.start,
                ])
        }
        return RunRecorder(run: run, pool: pool)
    }

    /// Removes a run and its metrics.
    public func delete(_ id: String) throws {
        try pool.write { try $0.execute(sql: "DELETE FROM run WHERE id = ?", arguments: [id]) }
    }

    private static let machine: String = {
        let process = ProcessInfo.processInfo
        let gibibytes = Double(process.physicalMemory) / 1_073_741_824
        return
            "\(process.hostName), \(process.activeProcessorCount) processors, \(Int(gibibytes.rounded())) GiB, \(process.operatingSystemVersionString)"
    }()

    /// The time in UTC, then four characters that keep runs of the same second apart.
    private static func newID(_ now: Date) -> String {
        var seconds = time_t(now.timeIntervalSince1970)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))"
        let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz")
        let suffix = String((0..<4).map { _ in alphabet.randomElement()! })
        return "\(date)-\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))-\(suffix)"
    }
}
