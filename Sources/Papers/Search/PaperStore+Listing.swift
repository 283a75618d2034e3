import Foundation
import GRDB

extension PaperStore {
    /// A page of the papers that a filter admits.
    public func listing(
        _ filter: PaperFilter = PaperFilter(), order: PaperOrder = .trending, limit: Int = 50, offset: Int = 0
    ) throws -> [Paper] {
        precondition(limit >= 0 && offset >= 0, "a page of \(limit) papers from \(offset)")
        return try pool.read { database in
            let table: ListingTable = try listingTable(database)
            let events: [Int64: Trend.Events] = order == .trending ? try trendEvents(database) : [:]
            let admits: (ListingTable.Row) -> Bool = try admission(filter, database)
            return try Self.papers(
                table.page(order, events: events, now: now(), offset: offset, limit: limit, admits), in: database)
        }
    }

    /// How many papers a filter admits.
    public func count(_ filter: PaperFilter) throws -> Int {
        try pool.read { database in
            if filter.needsDatabase { return try listingTable(database).count(try admission(filter, database)) }
            // Every page asks for the same few numbers, and each takes a look at all papers.
            let state: Int = try SearchSchema.counter(.listing, in: database)
            let known: Memo<PaperFilter, Int> = caches.filtered.value(of: state) { Memo(most: 300) }
            return try known.value(of: filter) { try listingTable(database).count(filter.admits) }
        }
    }

    func listingTable(_ database: Database) throws -> ListingTable {
        try caches.listing.value(of: try SearchSchema.counter(.listing, in: database)) { try ListingTable(database) }
    }

    private func admission(_ filter: PaperFilter, _ database: Database) throws -> (ListingTable.Row) -> Bool {
        guard filter.needsDatabase else { return filter.admits }
        let allowed: Set<Int64> = try ids(where: filter.conditions, in: database)
        return { allowed.contains($0.id) }
    }

    func ids(where conditions: [SQLCondition], in database: Database) throws -> Set<Int64> {
        try FullText.ids(where: conditions, database)
    }

    /// The papers with these ids, in their order.
    static func papers(_ ids: [Int64], in database: Database) throws -> [Paper] {
        let statement: Statement = try database.cachedStatement(sql: "SELECT * FROM paper WHERE id = ?")
        return try ids.compactMap { try Paper.fetchOne(statement, arguments: [$0]) }
    }
}

extension SQLCondition {
    init(allOf conditions: [SQLCondition]) {
        self.init(
            conditions.isEmpty ? "1" : conditions.map(\.sql).joined(separator: " AND "), conditions.map(\.arguments).reduce([], +))
    }
}
