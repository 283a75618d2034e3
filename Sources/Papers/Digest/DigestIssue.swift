import Foundation
import GRDB

/// A paper in a digest, and what is new about it.
public struct DigestItem: Sendable, Equatable {
    public let paper: Paper
    /// What happened to it, in a few words each: "new in the catalogue", "measured: every claim was shown".
    public let news: [String]
}

/// A digest that a subscriber is due.
public struct DigestIssue: Sendable, Equatable {
    public let subscriber: Subscriber
    /// UTC day, "2026-11-25". A subscriber gets at most one mail for each.
    public let date: String
    /// The papers, those that are talked about most first. Never empty.
    public let items: [DigestItem]
    /// Up to which paper and event it reports; the next issue begins behind them.
    let throughPaper: Int64
    let throughEvent: Int64
}

/// Finds out what is new for a subscriber.
struct DigestSelection: Sendable {
    let store: PaperStore
    let ranking: any PaperRanking
    let scores: [Int64: Double]
    let time: Date
    let limit: Int

    init(_ store: PaperStore, _ ranking: any PaperRanking, at time: Date, limit: Int) throws {
        self.store = store
        self.ranking = ranking
        self.time = time
        self.limit = limit
        scores = try ranking.scores(store, at: time)
    }

    /// The issue that the subscriber is due at this time, sent already or not; nil where nothing is new for them.
    func issue(for subscriber: Subscriber) throws -> DigestIssue? {
        let confirmed: Date = subscriber.confirmedAt ?? time
        let matching: Set<Int64>? = try subscriber.query.map { try DigestQuery.matches($0, ranking, store) }
        return try store.pool.read { database in
            let seen: Row? = try Row.fetchOne(
                database, sql: "SELECT seenPaper, seenEvent FROM subscriber WHERE id = ?", arguments: [subscriber.id])
            let (papers, event): (Int64, Int64) = try ends(database)
            let before: Before = Before(
                paper: seen?["seenPaper"], event: seen?["seenEvent"],
                day: Self.startOfDay(confirmed).addingTimeInterval(-Double(subscriber.frequency.days) * Self.secondsOfADay))
            let items: [DigestItem] = try items(subscriber.topics, matching, before, in: database)
            guard !items.isEmpty else { return nil }
            return DigestIssue(
                subscriber: subscriber, date: Self.issueDate(subscriber.frequency, confirmed: confirmed, at: time), items: items,
                throughPaper: papers, throughEvent: event)
        }
    }

    /// What the last issue ended with, or for the first one the day it begins with: one period before the confirmation.
    ///
    /// Rows are counted by their ids, not by their times: a paper listed, or a run recorded, later than its own date would be missed.
    private struct Before {
        let paper: Int64?
        let event: Int64?
        let day: Date
    }

    private func ends(_ database: Database) throws -> (paper: Int64, event: Int64) {
        let row: Row = try Row.fetchOne(
            database, sql: "SELECT (SELECT coalesce(max(id), 0) FROM paper) AS paper, (SELECT coalesce(max(id), 0) FROM event) AS event")!
        return (row["paper"], row["event"])
    }

    private func items(_ topics: [PaperGroup], _ matching: Set<Int64>?, _ before: Before, in database: Database) throws -> [DigestItem] {
        let groups: Set<String> = Set((topics.isEmpty ? PaperGroup.allCases : topics).map(\.rawValue))
        let listed: Set<Int64> = try Int64.fetchSet(
            database, sql: before.paper == nil ? "SELECT id FROM paper WHERE listedOn >= ?" : "SELECT id FROM paper WHERE id > ?",
            arguments: before.paper.map { [$0] } ?? [before.day])
        let rows: [Row] = try Row.fetchAll(
            database,
            sql: "SELECT * FROM event WHERE " + (before.event == nil ? "happenedAt >= ?" : "id > ?") + " ORDER BY happenedAt, id",
            arguments: before.event.map { [$0] } ?? [before.day])
        let events: [Int64: [PaperNews]] = Dictionary(grouping: rows.compactMap { PaperNews(event: $0) }, by: \.paperID)
        let candidates: [Int64] = listed.union(events.keys).filter { matching?.contains($0) ?? true }.sorted { first, second in
            let (left, right): (Double, Double) = (scores[first] ?? -.infinity, scores[second] ?? -.infinity)
            return (left, first) > (right, second)
        }
        var items: [DigestItem] = []
        for id in candidates where items.count < limit {
            guard let paper = try Paper.fetchOne(database, sql: "SELECT * FROM paper WHERE id = ?", arguments: [id]),
                groups.contains(paper.group.rawValue)
            else { continue }
            items.append(DigestItem(paper: paper, news: Self.news(isListed: listed.contains(id), events[id] ?? [])))
        }
        return items
    }

    /// "New", then the newest verdict, or the newest status where no verdict tells more.
    private static func news(isListed: Bool, _ events: [PaperNews]) -> [String] {
        let verdict: PaperNews? = events.last { if case .verdict = $0.kind { true } else { false } }
        return (isListed ? ["new in the catalogue"] : []) + ((verdict ?? events.last).map { [$0.words] } ?? [])
    }

    private static let secondsOfADay: Double = 86_400

    static func startOfDay(_ time: Date) -> Date {
        Date(timeIntervalSince1970: (time.timeIntervalSince1970 / secondsOfADay).rounded(.down) * secondsOfADay)
    }

    /// The day (UTC) of the newest issue at a time: today's, or of every seventh day from the day of the confirmation.
    static func issueDate(_ frequency: DigestFrequency, confirmed: Date, at time: Date) -> String {
        let days: Double = (startOfDay(time).timeIntervalSince(startOfDay(confirmed)) / secondsOfADay).rounded()
        let period: Double = Double(frequency.days)
        let day: Date = startOfDay(confirmed).addingTimeInterval((days / period).rounded(.down) * period * secondsOfADay)
        return String(day.formatted(.iso8601).prefix(10))
    }
}
