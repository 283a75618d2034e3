import Foundation
import GRDB

extension PaperStore {
    /// The papers that are talked about most, by ``Trend``.
    public func trending(_ filter: PaperFilter = PaperFilter(), limit: Int = 10) throws -> [(paper: Paper, score: Double)] {
        try pool.read { database in
            let allowed: Set<Int64>? = filter.needsDatabase ? try ids(where: filter.conditions, in: database) : nil
            let scored: [(id: Int64, score: Double)] = try listingTable(database).trending(
                events: try trendEvents(database), now: now(), offset: 0, limit: limit
            ) { allowed?.contains($0.id) ?? filter.admits($0) }
            return zip(try Self.papers(scored.map(\.id), in: database), scored).map { ($0, $1.score) }
        }
    }

    /// A paper's score at this moment.
    public func trend(of paper: Paper) throws -> Double {
        let events: Trend.Events = try pool.read { try trendEvents($0)[paper.id] } ?? Trend.Events()
        return Trend.score(runs: events.runs, votes: events.votes, listedOn: paper.listedOn, now: now())
    }

    /// Counts a vote for a paper; each voter has one.
    ///
    /// - Parameters:
    ///   - slug: the paper's.
    ///   - voter: what tells voters apart, such as a user name or an address. Only its keyed hash is kept.
    /// - Returns: false where the voter had voted for the paper before.
    /// - Throws: ``PaperError`` for an unknown paper or a key file that others can read.
    @discardableResult
    public func upvote(_ slug: String, voter: String) throws -> Bool {
        let id: Int64 = try paper(slug).id
        let hash: Data = try VoterKey.load(beside: path).hash(voter)
        let time: Date = now()
        return try pool.write { database in
            try database.execute(
                sql: "INSERT OR IGNORE INTO vote (paperID, voter, votedAt) VALUES (?, ?, ?)", arguments: [id, hash, time])
            return database.changesCount > 0
        }
    }

    public func votes(of slug: String) throws -> Int {
        let id: Int64 = try paper(slug).id
        return try pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM vote WHERE paperID = ?", arguments: [id]) ?? 0 }
    }

    /// Runs and votes of all papers that have any.
    func trendEvents(_ database: Database) throws -> [Int64: Trend.Events] {
        try caches.events.value(of: try SearchSchema.counter(.activity, in: database)) {
            var events: [Int64: Trend.Events] = [:]
            let runs: RowCursor = try Row.fetchCursor(database, sql: "SELECT paperID, startedAt, verdict FROM run")
            while let row = try runs.next() {
                let isFinished: Bool = PaperVerdict(rawValue: row[2])?.isFinished ?? false
                events[row[0], default: Trend.Events()].runs.append(Trend.RunEvent(at: row[1], isFinished: isFinished))
            }
            let votes: RowCursor = try Row.fetchCursor(database, sql: "SELECT paperID, votedAt FROM vote")
            while let row = try votes.next() { events[row[0], default: Trend.Events()].votes.append(row[1]) }
            return events
        }
    }
}
