import Foundation
import GRDB

/// What the words of the papers are searched by.
enum FullText {
    /// SQLite's FTS5, and what is kept in memory of its words.
    case sqlite(Database, CatalogueCaches)
    /// The index in the process.
    case process(BM25Index, Database)

    /// A paper with its BM25 score, larger is better.
    typealias Match = (id: Int64, score: Double)

    var vocabulary: any TermVocabulary {
        switch self {
        case .sqlite(let database, let caches): SQLiteVocabulary(database: database, caches: caches)
        case .process(let index, _): index
        }
    }

    /// The papers that match best under the conditions, at most `depth`.
    ///
    /// - Parameter few: all papers that the conditions admit, where they are few.
    func best(_ terms: [QueryTerm], where conditions: [SQLCondition], among few: [Int64]? = nil, depth: Int) throws -> [Match] {
        var scores: [Int64: Double]
        switch self {
        case .sqlite(let database, let caches):
            let words: SQLiteVocabulary = SQLiteVocabulary(database: database, caches: caches)
            // FTS5 looks through all papers for every term of a query, the ones of no paper too.
            let terms: [QueryTerm] = try terms.filter { try words.papers(with: $0) > 0 }
            if let candidates = try few ?? Self.candidates(terms, conditions, depth, words) {
                scores = try Self.scores(terms, among: candidates, database)
            } else {
                scores = try Self.scores(terms) { try Self.matches(Self.matchText($0), conditions, depth, database) }
            }
        case .process(let index, let database):
            scores = index.scores(terms)
            if !conditions.isEmpty {
                let admitted: Set<Int64> = try few.map { Set($0) } ?? FullText.ids(where: conditions, database)
                scores = scores.filter { admitted.contains($0.key) }
            }
        }
        let matches: [Match] = scores.map { (id: $0.key, score: $0.value) }
        return Array(matches.sorted { ($1.score, $0.id) < ($0.score, $1.id) }.prefix(depth))
    }

    /// The condition that words follow one another in a paper, or that they do not.
    func condition(on words: [String], occur: Bool) throws -> SQLCondition {
        let test: String = occur ? "IN" : "NOT IN"
        switch self {
        case .sqlite:
            return SQLCondition(
                "paper.id \(test) (SELECT rowid FROM paperText WHERE paperText MATCH ?)",
                [Self.matchText([QueryTerm(words: words, weight: 1)])])
        case .process(let index, _):
            let ids: String = index.papers(with: words).map(String.init).joined(separator: ",")
            return SQLCondition("paper.id \(test) (SELECT value FROM json_each(?))", ["[\(ids)]"])
        }
    }

    /// The place of a paper's text where the terms are densest; empty where none occurs, and without FTS5.
    func snippet(of id: Int64, _ terms: [QueryTerm]) throws -> [SnippetPart] {
        guard case .sqlite(let database, _) = self, !terms.isEmpty else { return [] }
        let statement: Statement = try database.cachedStatement(
            sql: "SELECT snippet(paperText, -1, char(2), char(3), '…', 24) FROM paperText WHERE paperText MATCH ? AND rowid = ?")
        let text: String? = try String.fetchOne(statement, arguments: [Self.matchText(terms), id])
        return text.map(Self.parts) ?? []
    }

    /// The scores of terms of several weights. Those of one weight are one FTS5 query; BM25 being a sum over terms, the sum over such
    /// queries is the score of all.
    static func scores(_ terms: [QueryTerm], _ matches: ([QueryTerm]) throws -> [Match]) rethrows -> [Int64: Double] {
        var scores: [Int64: Double] = [:]
        for (weight, terms) in Dictionary(grouping: terms, by: \.weight) {
            for match in try matches(terms) { scores[match.id, default: 0] += weight * match.score }
        }
        return scores
    }

    /// The score of a row, larger is better.
    static let score: String = "-bm25(paperText, \(BM25Index.columnWeights.map { String($0) }.joined(separator: ", "))) AS score"

    /// The best `depth` rows that an FTS5 query finds under the conditions, from a first row on.
    static func matches(
        _ query: String, _ conditions: [SQLCondition], _ depth: Int, from first: Int64 = 0, _ database: Database
    ) throws -> [Match] {
        let condition: SQLCondition = SQLCondition(allOf: conditions)
        let join: String = conditions.isEmpty ? "" : "JOIN paper ON paper.id = paperText.rowid"
        let statement: Statement = try database.cachedStatement(
            sql: """
                SELECT paperText.rowid, \(score) FROM paperText \(join)
                WHERE paperText MATCH ? AND paperText.rowid >= ? AND \(condition.sql) ORDER BY score DESC, paperText.rowid LIMIT ?
                """)
        let arguments: StatementArguments = [query, first] + condition.arguments + [depth]
        return try Row.fetchAll(statement, arguments: arguments).map { ($0[0], $0[1]) }
    }

    /// Every term between quotation marks, so that nothing in it is FTS5 syntax.
    static func matchText(_ terms: [QueryTerm]) -> String {
        terms.map { "\"" + $0.text.replacingOccurrences(of: "\"", with: "\"\"") + "\"" }.joined(separator: " OR ")
    }

    /// The papers that meet all conditions, or `limit` of them.
    static func ids(where conditions: [SQLCondition], _ database: Database, limit: Int = .max) throws -> Set<Int64> {
        let condition: SQLCondition = SQLCondition(allOf: conditions)
        return try Set(
            Int64.fetchCursor(
                database, sql: "SELECT id FROM paper WHERE \(condition.sql) LIMIT ?", arguments: condition.arguments + [limit]))
    }

    /// Divides a snippet at the marks around its matches.
    private static func parts(_ text: String) -> [SnippetPart] {
        var parts: [SnippetPart] = []
        for piece in text.split(separator: "\u{2}", omittingEmptySubsequences: false).enumerated() {
            let halves: [Substring] = piece.element.split(separator: "\u{3}", maxSplits: 1, omittingEmptySubsequences: false)
            if piece.offset > 0, halves.count == 2 { parts.append(SnippetPart(text: String(halves[0]), isMatch: true)) }
            if let rest = halves.last, !rest.isEmpty { parts.append(SnippetPart(text: String(rest), isMatch: false)) }
        }
        return parts
    }
}
