import Foundation
import GRDB

/// A paper as it is written into the catalogue, with its keywords and authors.
struct PaperEntry: Sendable {
    var slug: String
    var title: String
    var arxivID: String?
    var doi: String?
    var year: Int?
    var abstract: String?
    var summary: String = ""
    var claim: String = ""
    var figure: String?
    var library: String?
    var symbol: String?
    var command: String?
    var swift: String?
    var group: PaperGroup
    var code: String?
    var source: PaperSource
    var curatorNote: String?
    var listedOn: Date
    var order: Int?
    var keywords: [String] = []
    var authors: [String] = []

    /// Inserts the entry, or writes it over the one with `id`, its full-text row with it.
    ///
    /// - Returns: the entry's id.
    func write(over id: Int64?, at time: Date, in database: Database) throws -> Int64 {
        let columns: [(String, (any DatabaseValueConvertible)?)] = [
            ("slug", slug), ("title", title), ("normalizedTitle", Self.normalized(title)), ("arxivID", arxivID), ("doi", doi),
            ("year", year),
            ("abstract", abstract), ("summary", summary), ("claim", claim), ("figure", figure), ("library", library), ("symbol", symbol),
            ("command", command), ("swift", swift), ("\"group\"", group.rawValue), ("code", code), ("source", source.rawValue),
            ("curatorNote", curatorNote), ("listedOn", listedOn), ("updatedAt", time), ("\"order\"", order),
        ]
        let values: StatementArguments = StatementArguments(columns.map(\.1))
        let stored: Int64
        if let id {
            let assignments: String = columns.map { "\($0.0) = ?" }.joined(separator: ", ")
            try database.execute(sql: "UPDATE paper SET \(assignments) WHERE id = ?", arguments: values + [id])
            stored = id
        } else {
            let names: String = columns.map(\.0).joined(separator: ", ")
            let marks: String = columns.map { _ in "?" }.joined(separator: ", ")
            try database.cachedStatement(sql: "INSERT INTO paper (\(names), status) VALUES (\(marks), 'listed')").execute(arguments: values)
            stored = database.lastInsertedRowID
        }
        try writeLists(of: stored, in: database)
        try Self.writeText(of: stored, in: database)
        return stored
    }

    private func writeLists(of id: Int64, in database: Database) throws {
        for (table, column, values) in [("keyword", "term", keywords), ("author", "name", authors)] {
            try database.cachedStatement(sql: "DELETE FROM \(table) WHERE paperID = ?").execute(arguments: [id])
            let insertion: Statement = try database.cachedStatement(
                sql: "INSERT INTO \(table) (paperID, position, \(column)) VALUES (?, ?, ?)")
            for (position, value) in values.enumerated() { try insertion.execute(arguments: [id, position, value]) }
        }
    }

    /// Writes the full-text row of an entry anew from its tables.
    static func writeText(of id: Int64, in database: Database) throws {
        try database.cachedStatement(sql: "DELETE FROM paperText WHERE rowid = ?").execute(arguments: [id])
        try database.cachedStatement(
            sql: """
                INSERT INTO paperText (rowid, slug, title, summary, abstract, keywords, claim)
                SELECT id, slug, title, summary, coalesce(abstract, ''),
                    coalesce((SELECT group_concat(term, ', ') FROM (SELECT term FROM keyword WHERE paperID = paper.id ORDER BY position)), ''), claim
                FROM paper WHERE id = ?
                """
        ).execute(arguments: [id])
    }

    /// Whether the catalogue has just these words already, so that opening it writes nothing.
    func isStored(as id: Int64, in database: Database) throws -> Bool {
        let row: Row? = try Row.fetchOne(
            database,
            sql: """
                SELECT 1 FROM paper WHERE id = ? AND slug = ? AND title = ? AND arxivID IS ? AND year IS ? AND summary = ? AND claim = ?
                    AND figure IS ? AND library IS ? AND symbol IS ? AND command IS ? AND swift IS ? AND "group" = ? AND code IS ?
                    AND source = ? AND listedOn = ? AND "order" IS ?
                    AND (SELECT group_concat(term, '|') FROM (SELECT term FROM keyword WHERE paperID = paper.id ORDER BY position)) IS ?
                """,
            arguments: [
                id, slug, title, arxivID, year, summary, claim, figure, library, symbol, command, swift, group.rawValue, code,
                source.rawValue, listedOn, order, keywords.isEmpty ? nil : keywords.joined(separator: "|"),
            ])
        return row != nil
    }

    /// Lower case, diacritics and punctuation removed, one space between words: what two spellings of a title have in common.
    static func normalized(_ title: String) -> String {
        let folded: String = title.folding(
            options: [.caseInsensitive, .diacriticInsensitive, .widthInsensitive], locale: Locale(identifier: "en"))
        return folded.split { !$0.isLetter && !$0.isNumber }.joined(separator: " ")
    }
}
