import GRDB

/// How FTS5 ranks where the words are common. It scores some thousand papers in the time that a search may take, and a word of a large
/// catalogue is in tens of thousands.
extension FullText {
    /// So many papers are scored without a second thought, which is all that a catalogue of thousands has.
    static let mostScored: Int = 10_000
    /// How many papers are looked at more closely.
    static let mostCandidates: Int = 1000
    /// How many papers with a common word in the title are ranked by it.
    static let mostTitled: Int = 3000

    /// The papers that can be among the best `depth` where the terms have too many for all to be scored; nil where all are to be scored.
    ///
    /// They are the best by the rarer terms. What the common ones, whose idf is small, add is counted for these alone, so a paper of common
    /// terms only is not found. Where the rarer terms find fewer than `depth`, as where there are none, papers that have a common term in
    /// the title or keywords join them: those are the best by that term, but for a paper that repeats it in its abstract many times.
    static func candidates(
        _ terms: [QueryTerm], _ conditions: [SQLCondition], _ depth: Int, _ words: SQLiteVocabulary
    ) throws -> [Int64]? {
        guard depth <= mostCandidates else { return nil }
        let database: Database = words.database
        let (rare, common): ([QueryTerm], [QueryTerm]) = try divided(terms, words)
        if common.isEmpty { return nil }
        let best: [Int64: Double] = try scores(rare) { try matches(matchText($0), conditions, mostCandidates, database) }
        var found: Set<Int64> = Set(best.keys)
        if found.count < depth { found.formUnion(try titled(common, conditions, database).map(\.id)) }
        return found.count < depth ? nil : Array(found)
    }

    /// The rarest terms, as many as have at most ``mostScored`` papers together, and the others.
    private static func divided(_ terms: [QueryTerm], _ words: SQLiteVocabulary) throws -> (rare: [QueryTerm], common: [QueryTerm]) {
        let counted: [(term: QueryTerm, papers: Int)] = try terms.map { ($0, try words.papers(with: $0)) }
        var parts: (rare: [QueryTerm], common: [QueryTerm]) = ([], [])
        var papers: Int = 0
        for (term, count) in counted.sorted(by: { $0.papers < $1.papers }) {
            papers += count
            if papers <= mostScored { parts.rare.append(term) } else { parts.common.append(term) }
        }
        return parts
    }

    /// The best papers that have a term in the columns of greatest weight; of very many, those that were added last.
    private static func titled(_ terms: [QueryTerm], _ conditions: [SQLCondition], _ database: Database) throws -> [Match] {
        let query: String = "{slug title keywords} : (\(matchText(terms)))"
        let statement: Statement = try database.cachedStatement(
            sql: "SELECT rowid FROM paperText WHERE paperText MATCH ? ORDER BY rowid DESC LIMIT 1 OFFSET \(mostTitled - 1)")
        let first: Int64 = try Int64.fetchOne(statement, arguments: [query]) ?? 0
        return try matches(query, conditions, mostCandidates, from: first, database)
    }

    /// The scores of some papers by all terms; papers without any have none.
    static func scores(_ terms: [QueryTerm], among papers: [Int64], _ database: Database) throws -> [Int64: Double] {
        guard let first = papers.min(), let last = papers.max() else { return [:] }
        // The sign keeps SQLite from running the query again for every paper.
        let statement: Statement = try database.cachedStatement(
            sql: """
                SELECT rowid, \(score) FROM paperText
                WHERE paperText MATCH ? AND rowid BETWEEN ? AND ? AND +rowid IN (SELECT value FROM json_each(?))
                """)
        let ids: String = "[\(papers.map(String.init).joined(separator: ","))]"
        return try scores(terms) { terms in
            try Row.fetchAll(statement, arguments: [matchText(terms), first, last, ids]).map { ($0[0], $0[1]) }
        }
    }
}
