import Foundation
import GRDB

/// What overviews need of many papers at once. The reports themselves, which are large, stay where they are.
extension PaperStore {
    /// Linnet's own papers in the order of its first listing.
    public func ownPapers() throws -> [Paper] {
        try pool.read { try Paper.fetchAll($0, sql: "SELECT * FROM paper WHERE source = 'builtin' ORDER BY \"order\", id") }
    }

    /// Runs without their reports, newest first: a paper's, or everybody's.
    public func runSummaries(of slug: String? = nil, limit: Int = 100) throws -> [PaperRun] {
        try pool.read { database in
            try PaperRun.fetchAll(
                database,
                sql: """
                    SELECT \(Self.summaryColumns) FROM run JOIN paper ON paper.id = run.paperID WHERE ? IS NULL OR paper.slug = ?
                    ORDER BY run.startedAt DESC, run.id DESC LIMIT ?
                    """, arguments: [slug, slug, limit])
        }
    }

    /// Each paper's newest run that judged its claims, without the report, by slug.
    public func decidedRuns() throws -> [String: PaperRun] {
        let runs: [PaperRun] = try pool.read { database in
            try PaperRun.fetchAll(
                database,
                sql: """
                    SELECT \(Self.summaryColumns), max(run.startedAt) FROM run JOIN paper ON paper.id = run.paperID
                    WHERE run.scale != 'smoke' AND run.verdict IN ('shown', 'not shown', 'inconclusive') GROUP BY run.paperID
                    """)
        }
        return Dictionary(runs.map { ($0.slug, $0) }, uniquingKeysWith: { first, _ in first })
    }

    private static let summaryColumns: String = """
        run.id, paper.slug, run.startedAt, run.seconds, run.scale, run.seeds, run.verdict, run.claimsShown, run.claims, NULL AS report
        """
}
