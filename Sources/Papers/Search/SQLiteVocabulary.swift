import GRDB

/// All stems of a catalogue by their first letter, and how many papers have each.
typealias StemTable = [Character: [(stem: String, papers: Int)]]

/// The words that FTS5 has indexed.
struct SQLiteVocabulary: TermVocabulary {
    let database: Database
    let caches: CatalogueCaches

    func papers(with word: String) throws -> Int { try papers(with: QueryTerm(words: [word], weight: 1)) }

    /// Many times as fast as asking paperVocabulary for the stem, and kept: SQLite goes through all papers of a term to count them.
    func papers(with term: QueryTerm) throws -> Int {
        let state: Int = try SearchSchema.counter(.text, in: database)
        let counts: Memo<String, Int> = caches.counts.value(of: state) { Memo(most: 10_000) }
        let text: String = FullText.matchText([term])
        return try counts.value(of: text) {
            let statement: Statement = try database.cachedStatement(sql: "SELECT count(*) FROM paperText WHERE paperText MATCH ?")
            return try Int.fetchOne(statement, arguments: [text]) ?? 0
        }
    }

    /// Kept too: the table of a hundred thousand stems takes a second.
    func stems(startingWith letter: Character) throws -> [(stem: String, papers: Int)] {
        try caches.stems.value(of: try SearchSchema.counter(.text, in: database), table)[letter] ?? []
    }

    private func table() throws -> StemTable {
        var table: StemTable = [:]
        let cursor: RowCursor = try Row.fetchCursor(database, sql: "SELECT term, doc FROM paperVocabulary")
        while let row = try cursor.next() {
            let stem: String = row[0]
            if let letter = stem.first { table[letter, default: []].append((stem, row[1])) }
        }
        return table
    }
}
