import Experiments
import Foundation
import GRDB

extension PaperStore {
    /// Writes Linnet's own cards over the entries of the same slug; a card that an import had brought before takes that entry over. One transaction.
    func update(cards: [PaperCard]) throws {
        let time: Date = now()
        try pool.write { database in
            for card in cards { try Self.write(card, at: time, in: database) }
        }
    }

    private static func write(_ card: PaperCard, at time: Date, in database: Database) throws {
        let known: Row? = try Row.fetchOne(
            database, sql: "SELECT id, doi, curatorNote FROM paper WHERE slug = ? OR arxivID = ? ORDER BY slug = ? DESC",
            arguments: [card.slug, card.arxiv, card.slug])
        var entry: PaperEntry = PaperEntry(
            slug: card.slug, title: card.title, arxivID: card.arxiv, year: card.year, summary: card.summary, claim: card.claim,
            figure: card.figure, library: card.library, symbol: card.symbol, command: card.command, swift: card.swift, group: card.group,
            code: card.code, source: .builtin, listedOn: try day(card), order: card.order, keywords: card.keywords)
        let id: Int64? = known.map { $0["id"] }
        if let id, try entry.isStored(as: id, in: database) { return }
        if let id {
            // What users and imports have added to the card stays.
            entry.doi = known?["doi"]
            entry.curatorNote = known?["curatorNote"]
            entry.authors = try String.fetchAll(
                database, sql: "SELECT name FROM author WHERE paperID = ? ORDER BY position", arguments: [id])
        }
        let stored: Int64 = try entry.write(over: id, at: time, in: database)
        try updateStatus(of: stored, in: database)
    }

    private static func day(_ card: PaperCard) throws -> Date {
        guard let date = try? Date("\(card.listed)T00:00:00Z", strategy: .iso8601) else {
            throw PaperError.card(file: card.slug + ".yaml", reason: "'listed' has to be a day such as 2026-11-25, not \(card.listed)")
        }
        return date
    }
}
