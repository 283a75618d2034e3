import Foundation
import GRDB

/// One search in one transaction.
struct Search {
    let terms: [QueryTerm]
    let text: FullText
    let table: ListingTable
    /// All have to admit a paper.
    let filters: [PaperFilter]
    let database: Database
    /// Conditions on words that have to occur, or must not.
    private var wordConditions: [SQLCondition] = []
    /// All papers that the filters and conditions admit, where they are at most ``fewPapers``; nil where more are.
    private var few: [Int64]?

    private static let fewPapers: Int = 1000

    init(terms: [QueryTerm], text: FullText, table: ListingTable, filters: [PaperFilter], database: Database) {
        self.terms = terms
        self.text = text
        self.table = table
        self.filters = filters
        self.database = database
    }

    mutating func addConditions(of query: PaperQuery) throws {
        wordConditions =
            try query.phrases.map { try text.condition(on: $0, occur: true) }
            + query.excluded.map { try text.condition(on: $0, occur: false) }
        few = try fewAdmitted()
    }

    var conditions: [SQLCondition] { filters.flatMap(\.conditions) + wordConditions }

    func keyword(_ depth: Int) throws -> [FullText.Match] {
        terms.isEmpty ? [] : try text.best(terms, where: conditions, among: few, depth: depth)
    }

    private func fewAdmitted() throws -> [Int64]? {
        let conditions: [SQLCondition] = conditions
        guard !conditions.isEmpty else { return nil }
        let ids: [Int64]
        if wordConditions.isEmpty && !filters.contains(where: \.needsDatabase) {
            ids = Array(table.rows.lazy.filter(admits).prefix(Self.fewPapers + 1).map(\.id))
        } else {
            ids = try Array(FullText.ids(where: conditions, database, limit: Self.fewPapers + 1))
        }
        return ids.count > Self.fewPapers ? nil : ids
    }

    private func admits(_ row: ListingTable.Row) -> Bool { filters.allSatisfy { $0.admits(row) } }

    /// The papers nearest to the query. First a few hundred candidates are looked at, and more only if too few of those are admitted.
    func semantic(_ index: SemanticIndex, _ query: PaperQuery, _ depth: Int) throws -> [FullText.Match] {
        let vector: [Float] = try index.vector(of: query, terms)
        guard vector.contains(where: { $0 != 0 }) else { return [] }
        if let few { return index.nearest(to: vector, depth, among: few).filter { $0.score > 0 } }
        var count: Int = 4 * depth
        while true {
            let found: [FullText.Match] = try admitted(index.nearest(to: vector, count), depth)
            if found.count >= depth || conditions.isEmpty || index.count <= count { return found }
            count *= 8
        }
    }

    /// The first `depth` of the candidates that the filters and conditions admit.
    private func admitted(_ candidates: [FullText.Match], _ depth: Int) throws -> [FullText.Match] {
        let near: [FullText.Match] = candidates.filter { candidate in
            candidate.score > 0 && (table.row(candidate.id).map(admits) ?? false)
        }
        guard !wordConditions.isEmpty || filters.contains(where: \.needsDatabase) else { return Array(near.prefix(depth)) }
        var admitted: [FullText.Match] = []
        for start in stride(from: 0, to: near.count, by: 1000) where admitted.count < depth {
            let batch: ArraySlice<FullText.Match> = near[start..<min(start + 1000, near.count)]
            let ids: String = batch.map { String($0.id) }.joined(separator: ",")
            let among: SQLCondition = SQLCondition("paper.id IN (SELECT value FROM json_each(?))", ["[\(ids)]"])
            let allowed: Set<Int64> = try FullText.ids(where: [among] + conditions, database)
            admitted += batch.filter { allowed.contains($0.id) }
        }
        return Array(admitted.prefix(depth))
    }

    /// The terms that a paper has.
    func matchedTerms(of id: Int64) throws -> [String] {
        let statement: Statement = try database.cachedStatement(
            sql: "SELECT slug, title, summary, abstract, keywords, claim FROM paperText WHERE rowid = ?")
        guard let row = try Row.fetchOne(statement, arguments: [id]) else { return [] }
        let columns: [[String]] = (0..<6).map { TextAnalyzer.stems(row[$0]) }
        return terms.filter { term in columns.contains { $0.contains(term.stems) } }.map(\.text)
    }
}
