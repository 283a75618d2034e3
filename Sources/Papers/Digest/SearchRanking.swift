import Foundation
import GRDB

/// The catalogue's own search and its trend.
public struct SearchRanking: PaperRanking {
    public init() {}

    public func scores(_ store: PaperStore, at time: Date) throws -> [Int64: Double] {
        try store.pool.read { database in
            let events: [Int64: Trend.Events] = try store.trendEvents(database)
            let rows: [ListingTable.Row] = try store.listingTable(database).rows
            return Dictionary(
                uniqueKeysWithValues: rows.map { row in
                    let own: Trend.Events = events[row.id] ?? Trend.Events()
                    return (row.id, Trend.score(runs: own.runs, votes: own.votes, listedOn: row.listedOn, now: time))
                })
        }
    }

    /// The papers that have a word of the query, its phrases and none of the excluded words, and meet its conditions. Nearness in meaning
    /// does not count: it ranks every paper and leaves none out.
    public func matches(_ query: String, in store: PaperStore) throws -> Set<Int64> {
        let query: PaperQuery = try PaperQuery(query)
        return try store.pool.read { database in
            let text: FullText = try store.fullText(database)
            var search: Search = Search(
                terms: try QueryExpansion(vocabulary: text.vocabulary).terms(of: query), text: text,
                table: try store.listingTable(database), filters: [query.filter], database: database)
            try search.addConditions(of: query)
            guard !query.words.isEmpty || !query.phrases.isEmpty else { return try FullText.ids(where: search.conditions, database) }
            return Set(try search.keyword(search.table.rows.count).map(\.id))
        }
    }
}
