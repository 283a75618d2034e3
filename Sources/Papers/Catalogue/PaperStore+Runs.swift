import Experiments
import Foundation
import GRDB

extension PaperStore {
    /// Records a finished run by its report; a report that is there already is left alone. The paper's status follows.
    ///
    /// - Throws: ``PaperError`` when no paper has the report's slug.
    public func record(_ report: Report) throws {
        try record(
            slug: report.slug, startedAt: report.started, seconds: report.seconds, scale: report.scale, seeds: report.seeds.count,
            verdict: PaperVerdict(report), shown: report.claims.count { $0.verdict == .shown }, claims: report.claims.count,
            report: report.json())
    }

    /// Records a run that ended without a report.
    public func recordFailure(slug: String, startedAt: Date, seconds: Double, scale: Scale, seeds: Int, interrupted: Bool) throws {
        try record(
            slug: slug, startedAt: startedAt, seconds: seconds, scale: scale, seeds: seeds, verdict: interrupted ? .interrupted : .failed,
            shown: 0, claims: 0, report: nil)
    }

    /// Records every report `SLUG.SCALE.json` of a folder that is not recorded yet.
    ///
    /// - Returns: the files that are no reports, with the reason.
    @discardableResult
    public func recordReports(in folder: String) throws -> [(file: String, reason: String)] {
        let names: [String] = ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).filter { $0.hasSuffix(".json") }
            .sorted()
        return names.compactMap { name in
            do {
                try record(try Report.load(URL(fileURLWithPath: folder).appendingPathComponent(name)))
                return nil
            } catch {
                return (name, "\(error)")
            }
        }
    }

    /// A paper's runs, newest first.
    public func runs(of slug: String, limit: Int = 100) throws -> [PaperRun] { try runs(where: "paper.slug = ?", [slug], limit: limit) }

    /// The newest runs of all papers.
    public func recentRuns(limit: Int = 100) throws -> [PaperRun] { try runs(where: "1", [], limit: limit) }

    public func run(_ id: Int64) throws -> PaperRun? { try runs(where: "run.id = ?", [id], limit: 1).first }

    private func runs(where condition: String, _ arguments: StatementArguments, limit: Int) throws -> [PaperRun] {
        try pool.read { database in
            try PaperRun.fetchAll(
                database,
                sql: """
                    SELECT run.*, paper.slug FROM run JOIN paper ON paper.id = run.paperID WHERE \(condition)
                    ORDER BY run.startedAt DESC, run.id DESC LIMIT ?
                    """, arguments: arguments + [limit])
        }
    }

    private func record(
        slug: String, startedAt: Date, seconds: Double, scale: Scale, seeds: Int, verdict: PaperVerdict, shown: Int, claims: Int,
        report: Data?
    ) throws {
        let time: Date = now()
        // A report's file knows whole seconds only; the same run has to be the same again when it is read from there.
        let startedAt: Date = Date(timeIntervalSince1970: startedAt.timeIntervalSince1970.rounded(.down))
        try pool.write { database in
            guard let id = try Int64.fetchOne(database, sql: "SELECT id FROM paper WHERE slug = ?", arguments: [slug]) else {
                throw PaperError.unknownPaper(slug, nearest: [])
            }
            try database.execute(
                sql: """
                    INSERT OR IGNORE INTO run (paperID, startedAt, seconds, scale, seeds, verdict, claimsShown, claims, report)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """, arguments: [id, startedAt, seconds, scale.rawValue, seeds, verdict.rawValue, shown, claims, report])
            guard database.changesCount > 0 else { return }
            if verdict.isFinished, verdict != .smoke {
                try Self.note("verdict", verdict.rawValue, of: id, at: startedAt, in: database)
            }
            let before: String? = try String.fetchOne(database, sql: "SELECT status FROM paper WHERE id = ?", arguments: [id])
            try Self.updateStatus(of: id, in: database)
            let after: String? = try String.fetchOne(database, sql: "SELECT status FROM paper WHERE id = ?", arguments: [id])
            if let after, before != after { try Self.note("status", after, of: id, at: time, in: database) }
        }
    }

    /// Notes a dated event, for the feed.
    static func note(_ kind: String, _ detail: String, of id: Int64, at time: Date, in database: Database) throws {
        try database.execute(
            sql: "INSERT OR IGNORE INTO event (paperID, kind, detail, happenedAt) VALUES (?, ?, ?, ?)", arguments: [id, kind, detail, time])
    }

    /// Sets the status that a paper's component, experiment and newest finished run amount to; a verdict is never set by hand.
    static func updateStatus(of id: Int64, in database: Database) throws {
        guard let row = try Row.fetchOne(database, sql: "SELECT slug, symbol, source FROM paper WHERE id = ?", arguments: [id]) else {
            return
        }
        let newest: String? = try String.fetchOne(
            database,
            sql: """
                SELECT verdict FROM run WHERE paperID = ? AND scale != 'smoke' AND verdict IN ('shown', 'not shown', 'inconclusive')
                ORDER BY startedAt DESC LIMIT 1
                """, arguments: [id])
        let slug: String = row["slug"]
        let symbol: String? = row["symbol"]
        let source: String = row["source"]
        let status: PaperStatus =
            switch newest {
            case PaperVerdict.shown.rawValue: .reproduced
            case PaperVerdict.notShown.rawValue: .notShown
            default:
                ExperimentCatalogue.slugs.contains(slug)
                    ? .experiment : symbol != nil ? .component : source == PaperSource.builtin.rawValue ? .planned : .listed
            }
        try database.execute(sql: "UPDATE paper SET status = ? WHERE id = ?", arguments: [status.rawValue, id])
    }
}
