import GRDB

/// All stems of a catalogue by their first letter, and how many papers have each.
typealias StemTable = [Character: [(stem: String, papers: Int)]]

/// The words that FTS5 has indexed.
struct SQLiteVocabulary: TermVocabulary {
    let database: Database
    /// Kept, since SQLite goes through all papers of a stem to count them: a second for a hundred thousand stems.
    let stems: Cached<StemTable>

    func papers(with word: String) throws -> Int {
        // Many times as fast as asking paperVocabulary for the stem.
        let statement: Statement = try database.cachedStatement(sql: "SELECT count(*) FROM paperText WHERE paperText MATCH ?")
        return try Int.fetchOne(statement, arguments: [FullText.matchText([QueryTerm(words: [word], weight: 1)])]) ?? 0
    }

    func stems(startingWith letter: Character) throws -> [(stem: String, papers: Int)] {
        try stems.value(of: try SearchSchema.counter(.text, in: database), table)[letter] ?? []
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
