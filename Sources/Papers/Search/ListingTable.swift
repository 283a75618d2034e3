import Foundation
import GRDB

/// What listings filter and order by, in memory: a page of 100,000 papers in any order, with any filter, costs about a millisecond.
struct ListingTable: Sendable {
    struct Row: Sendable {
        let id: Int64
        let slug: String
        let group: PaperGroup
        let status: PaperStatus
        let source: PaperSource
        let year: Int?
        let listedOn: Date
    }

    /// Newest first, then by slug.
    let rows: [Row]
    /// Places in `rows` by title.
    private let byTitle: [Int32]
    private let places: [Int64: Int32]

    init(_ database: Database) throws {
        let cursor: RowCursor = try GRDB.Row.fetchCursor(
            database, sql: "SELECT id, slug, \"group\", status, source, year, listedOn FROM paper ORDER BY listedOn DESC, slug")
        var rows: [Row] = []
        while let row = try cursor.next() {
            rows.append(
                Row(
                    id: row[0], slug: row[1], group: PaperGroup(rawValue: row[2]) ?? .imported,
                    status: PaperStatus(rawValue: row[3]) ?? .listed, source: PaperSource(rawValue: row[4]) ?? .manual, year: row[5],
                    listedOn: row[6]))
        }
        let places: [Int64: Int32] = Dictionary(uniqueKeysWithValues: rows.enumerated().map { ($1.id, Int32($0)) })
        let titles: [Int64] = try Int64.fetchAll(database, sql: "SELECT id FROM paper ORDER BY title COLLATE NOCASE, slug")
        byTitle = titles.compactMap { places[$0] }
        self.rows = rows
        self.places = places
    }

    func row(_ id: Int64) -> Row? { places[id].map { rows[Int($0)] } }

    func count(_ admits: (Row) -> Bool) -> Int { rows.count(where: admits) }

    /// The ids of a page.
    func page(
        _ order: PaperOrder, events: [Int64: Trend.Events], now: Date, offset: Int, limit: Int, _ admits: (Row) -> Bool
    ) -> [Int64] {
        switch order {
        case .new: Self.page(rows.lazy.filter(admits).map(\.id), offset, limit)
        case .title: Self.page(byTitle.lazy.map { rows[Int($0)] }.filter(admits).map(\.id), offset, limit)
        case .trending: trending(events: events, now: now, offset: offset, limit: limit, admits).map(\.id)
        }
    }

    private static func page(_ ids: some Sequence<Int64>, _ offset: Int, _ limit: Int) -> [Int64] {
        Array(ids.dropFirst(offset).prefix(limit))
    }

    /// A page by score. Papers with runs or votes are few and are scored and sorted; the score of the others falls with their age alone,
    /// in which order they are kept, so the two lists are merged up to the page's end.
    func trending(
        events: [Int64: Trend.Events], now: Date, offset: Int, limit: Int, _ admits: (Row) -> Bool
    ) -> [(id: Int64, score: Double)] {
        let active: [(row: Row, score: Double)] = events.compactMap { id, events in
            guard let row = row(id), admits(row) else { return nil }
            return (row, Trend.score(runs: events.runs, votes: events.votes, listedOn: row.listedOn, now: now))
        }.sorted { ($1.score, $0.row.slug) < ($0.score, $1.row.slug) }
        var merged: [(id: Int64, score: Double)] = []
        var next: Int = 0
        for row in rows where events[row.id] == nil && admits(row) {
            if merged.count >= offset + limit { break }
            let score: Double = Trend.score(runs: [], votes: [], listedOn: row.listedOn, now: now)
            while next < active.count, (active[next].score, row.slug) > (score, active[next].row.slug) {
                merged.append((active[next].row.id, active[next].score))
                next += 1
            }
            merged.append((row.id, score))
        }
        merged += active[next...].map { ($0.row.id, $0.score) }
        return Array(merged.dropFirst(offset).prefix(limit))
    }
}

extension PaperFilter {
    /// Whether the part of the filter that a row knows admits it.
    func admits(_ row: ListingTable.Row) -> Bool {
        (groups.isEmpty || groups.contains(row.group)) && (statuses.isEmpty || statuses.contains(row.status))
            && (sources.isEmpty || sources.contains(row.source))
            && (years.isEmpty || years.contains { row.year.map($0.contains) ?? false })
    }

    /// Whether the rest of the filter has to be asked of the database.
    var needsDatabase: Bool { !verdicts.isEmpty || !modules.isEmpty || !authors.isEmpty }
}
