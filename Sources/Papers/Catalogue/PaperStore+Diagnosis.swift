import Foundation
import GRDB

/// One thing that was looked at in a catalogue.
public struct Diagnosis: Codable, Sendable, Equatable {
    public let name: String
    public let finding: String
    public let isFine: Bool
}

extension PaperStore {
    /// Looks the catalogue over: the file, the full-text index, the vectors, the voters' key.
    public func diagnose() throws -> [Diagnosis] {
        try pool.read { database in
            let integrity: String = try String.fetchOne(database, sql: "PRAGMA integrity_check(1)") ?? "no answer"
            let count: Int = try Int.fetchOne(database, sql: "SELECT count(*) FROM paper") ?? 0
            let own: Int = try Int.fetchOne(database, sql: "SELECT count(*) FROM paper WHERE source = 'builtin'") ?? 0
            var findings: [Diagnosis] = [
                Diagnosis(name: "catalogue", finding: path, isFine: true),
                Diagnosis(name: "integrity", finding: integrity, isFine: integrity == "ok"),
                Diagnosis(name: "papers", finding: "\(count), \(own) of them Linnet's own", isFine: own > 0),
                try textDiagnosis(count, database),
            ]
            let vectors: [Row] = try Row.fetchAll(
                database, sql: "SELECT encoder, count(*) FROM embedding GROUP BY encoder ORDER BY encoder")
            findings += vectors.map { row in
                let encoded: Int = row[1]
                let rest: String = encoded < count ? "; the others are encoded with the next search" : ""
                return Diagnosis(name: "vectors", finding: "\(row[0] as String): \(encoded) of \(count) papers\(rest)", isFine: true)
            }
            return findings + [keyDiagnosis]
        }
    }

    /// Writes the full-text rows of all papers anew.
    public func rebuildText() throws {
        try pool.write { database in
            for id in try Int64.fetchAll(database, sql: "SELECT id FROM paper ORDER BY id") {
                try PaperEntry.writeText(of: id, in: database)
            }
        }
    }

    private func textDiagnosis(_ papers: Int, _ database: Database) throws -> Diagnosis {
        let rows: Int = try Int.fetchOne(database, sql: "SELECT count(*) FROM paperText") ?? 0
        let isFullText: Bool = if case .sqlite = try fullText(database) { true } else { false }
        let stale: Int =
            try Int.fetchOne(
                database,
                sql: """
                    SELECT count(*) FROM paper LEFT JOIN paperText ON paperText.rowid = paper.id
                    WHERE paperText.title IS NOT paper.title OR paperText.summary IS NOT paper.summary OR paperText.claim IS NOT paper.claim
                        OR paperText.slug IS NOT paper.slug OR paperText.abstract IS NOT coalesce(paper.abstract, '')
                    """) ?? 0
        let engine: String = isFullText ? "FTS5" : "no FTS5 in this SQLite: the words are searched in the process"
        let isInStep: Bool = rows == papers && stale == 0
        return Diagnosis(
            name: "full text", finding: isInStep ? "\(engine), in step" : "\(engine), \(stale + abs(rows - papers)) rows out of step",
            isFine: isInStep)
    }

    private var keyDiagnosis: Diagnosis {
        guard FileManager.default.fileExists(atPath: VoterKey.file(beside: path)) else {
            return Diagnosis(name: "voters' key", finding: "made with the first vote", isFine: true)
        }
        do {
            _ = try VoterKey.load(beside: path)
            return Diagnosis(name: "voters' key", finding: "only its owner can read it", isFine: true)
        } catch {
            return Diagnosis(name: "voters' key", finding: "\(error)", isFine: false)
        }
    }
}
