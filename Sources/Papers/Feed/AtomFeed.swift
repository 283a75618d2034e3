import Foundation
import GRDB

/// The catalogue's news as an Atom feed (RFC 4287): an entry for each paper's listing, changed status and new verdict, newest first.
///
/// The bytes depend on nothing but the database and, for a feed without an entry, the store's clock.
public struct AtomFeed: Sendable {
    private let store: PaperStore
    private let site: PaperSite
    private let ranking: any PaperRanking

    /// The day that the catalogue began: the date in the feed's own tag URI.
    private static let firstDay: String = "2026-11-25"

    public init(store: PaperStore, site: PaperSite = .local, ranking: any PaperRanking = SearchRanking()) {
        self.store = store
        self.site = site
        self.ranking = ranking
    }

    /// The feed's document in UTF-8.
    ///
    /// - Parameters:
    ///   - query: limits the feed to the papers that match; nil or empty for all.
    ///   - limit: the most entries.
    /// - Throws: ``DigestError/query(_:reason:)``, or the database's error.
    public func xml(query: String? = nil, limit: Int = 50) throws -> String {
        let query: String? = try DigestQuery.checked(query)
        let allowed: Set<Int64>? = try query.map { try DigestQuery.matches($0, ranking, store) }
        let entries: [Entry] = try store.pool.read { database in
            try news(among: allowed, limit: limit, in: database).map { try Entry($0, in: database) }
        }
        let updated: Date = entries.map(\.news.time).max() ?? store.now()
        let identifier: String = site.tag(Self.firstDay, "papers" + (query.map { "/query/\(PaperSite.encoded($0))" } ?? ""))
        let head: [String] = [
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>",
            "<feed xmlns=\"http://www.w3.org/2005/Atom\">",
            "  <id>\(XMLText.escaped(identifier))</id>",
            "  <title>\(XMLText.escaped("Linnet: papers" + (query.map { " on \($0)" } ?? "")))</title>",
            "  <updated>\(Self.time(updated))</updated>",
            "  <author><name>Linnet</name></author>",
            "  <link rel=\"self\" type=\"application/atom+xml\" href=\"\(XMLText.escaped(site.feed(query)))\"/>",
            "  <link rel=\"alternate\" type=\"text/html\" href=\"\(XMLText.escaped(site.address))/\"/>",
        ]
        return (head + entries.map(text) + ["</feed>", ""]).joined(separator: "\n")
    }

    /// What an entry is written from.
    private struct Entry {
        let news: PaperNews
        let paper: Paper
        let keywords: [String]
        let authors: [String]

        init(_ found: (news: PaperNews, paper: Paper), in database: Database) throws {
            (news, paper) = found
            keywords = try String.fetchAll(
                database, sql: "SELECT term FROM keyword WHERE paperID = ? ORDER BY position", arguments: [found.paper.id])
            authors = try String.fetchAll(
                database, sql: "SELECT name FROM author WHERE paperID = ? ORDER BY position", arguments: [found.paper.id])
        }
    }

    /// The newest listings and events in one order: by time, then by paper, then by name.
    private func news(among allowed: Set<Int64>?, limit: Int, in database: Database) throws -> [(news: PaperNews, paper: Paper)] {
        let count: Int = max(0, limit)
        // Cursors over indices, newest first: a query's papers may lie anywhere, so the reading ends when enough are found.
        var listings: [(news: PaperNews, paper: Paper)] = []
        let ids: RowCursor = try Row.fetchCursor(database, sql: "SELECT id FROM paper ORDER BY listedOn DESC, id")
        while listings.count < count, let row = try ids.next() {
            guard allowed?.contains(row[0]) ?? true, let paper = try Self.paper(row[0], database) else { continue }
            listings.append((PaperNews(listed: paper), paper))
        }
        var events: [(news: PaperNews, paper: Paper)] = []
        let rows: RowCursor = try Row.fetchCursor(database, sql: "SELECT * FROM event ORDER BY happenedAt DESC, paperID, id")
        while events.count < count, let row = try rows.next() {
            guard let news = PaperNews(event: row), allowed?.contains(news.paperID) ?? true,
                let paper = try Self.paper(news.paperID, database)
            else { continue }
            events.append((news, paper))
        }
        let all: [(news: PaperNews, paper: Paper)] = (listings + events).sorted { first, second in
            (second.news.time, first.paper.id, first.news.identifier) < (first.news.time, second.paper.id, second.news.identifier)
        }
        return Array(all.prefix(count))
    }

    private static func paper(_ id: Int64, _ database: Database) throws -> Paper? {
        try Paper.fetchOne(database, sql: "SELECT * FROM paper WHERE id = ?", arguments: [id])
    }

    private func text(_ entry: Entry) -> String {
        let paper: Paper = entry.paper
        let day: String = String(Self.time(entry.news.time).prefix(10))
        let identifier: String = site.tag(day, "paper/\(PaperSite.encoded(paper.slug))/\(entry.news.identifier)")
        var lines: [String] = [
            "<id>\(XMLText.escaped(identifier))</id>",
            "<title>\(XMLText.escaped(XMLText.line(paper.title)))</title>",
            "<published>\(Self.time(entry.news.time))</published>",
            "<updated>\(Self.time(entry.news.time))</updated>",
        ]
        lines += entry.authors.map { "<author><name>\(XMLText.escaped(XMLText.line($0)))</name></author>" }
        lines.append(
            "<link rel=\"alternate\" type=\"text/html\" href=\"\(XMLText.escaped(paper.arxivAddress ?? site.page(paper.slug)))\"/>")
        lines += [paper.codeAddress, paper.arxivAddress == nil ? nil : site.page(paper.slug)].compactMap { $0 }.map {
            "<link rel=\"related\" href=\"\(XMLText.escaped($0))\"/>"
        }
        lines += entry.keywords.map { "<category term=\"\(XMLText.escaped(XMLText.line($0)))\"/>" }
        lines.append("<summary type=\"text\">\(XMLText.escaped(Self.summary(entry)))</summary>")
        return "  <entry>\n" + lines.map { "    " + $0 }.joined(separator: "\n") + "\n  </entry>"
    }

    /// What happened, what the paper is, its claim, and where it stands.
    private static func summary(_ entry: Entry) -> String {
        let happened: String = entry.news.words
        let sentences: [String?] = [
            happened.prefix(1).uppercased() + happened.dropFirst() + ".",
            entry.paper.shortText,
            entry.paper.claimText.map { "Claim: \($0)." },
            "Status: \(PaperNews.words(entry.paper.status)).",
        ]
        return sentences.compactMap { $0 }.filter { !$0.isEmpty }.joined(separator: " ")
    }

    private static func time(_ date: Date) -> String { date.formatted(.iso8601) }
}
