import Foundation
import GRDB

/// What a user says of a paper of theirs; nil leaves a thing as it is.
public struct PaperChanges: Sendable, Equatable {
    public var title: String?
    public var abstract: String?
    public var authors: [String]?
    public var arxivID: String?
    public var year: Int?
    public var code: String?
    public var keywords: [String]?

    public init(
        title: String? = nil, abstract: String? = nil, authors: [String]? = nil, arxivID: String? = nil, year: Int? = nil,
        code: String? = nil, keywords: [String]? = nil
    ) {
        self.title = title
        self.abstract = abstract
        self.authors = authors
        self.arxivID = arxivID
        self.year = year
        self.code = code
        self.keywords = keywords
    }
}

extension PaperStore {
    /// Adds a paper by hand, or merges it into the one that is known by its identifier or title.
    ///
    /// - Returns: what was added or merged.
    /// - Throws: ``PaperError/refused(_:)``.
    public func add(_ changes: PaperChanges) throws -> ImportReport {
        let report: ImportReport = try add([try Self.imported(changes)], from: .manual)
        if let skipped = report.skipped.first { throw PaperError.refused("the paper was not added: \(skipped.reason)") }
        return report
    }

    /// Changes a paper that a user brought; Linnet's own cards are changed by their files.
    public func edit(_ slug: String, _ changes: PaperChanges) throws {
        let paper: Paper = try paper(slug)
        guard paper.source != .builtin else {
            throw PaperError.refused("'\(slug)' is one of Linnet's own cards; a note can be added to it")
        }
        var whole: PaperChanges = changes
        whole.title = changes.title ?? paper.title
        let valid: ImportedPaper
        do { valid = try Self.imported(whole).validated() } catch let reason as SkipReason { throw PaperError.refused("\(reason)") }
        let authors: [String] = changes.authors == nil ? try self.authors(of: paper) : valid.authors
        let keywords: [String] = changes.keywords == nil ? try self.keywords(of: paper) : valid.keywords
        let entry: PaperEntry = PaperEntry(
            slug: slug, title: valid.title, arxivID: valid.arxivID ?? paper.arxivID, doi: paper.doi, year: valid.year ?? paper.year,
            abstract: valid.abstract ?? paper.abstract, summary: paper.summary, claim: paper.claim, group: paper.group,
            code: valid.code ?? paper.code, source: paper.source, curatorNote: paper.curatorNote, listedOn: paper.listedOn,
            keywords: keywords, authors: authors)
        let time: Date = now()
        do {
            _ = try pool.write { try entry.write(over: paper.id, at: time, in: $0) }
        } catch let error as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT {
            throw PaperError.refused("another paper has the identifier \(entry.arxivID ?? "")")
        }
    }

    /// Sets the note beside a paper; an empty one takes it away.
    public func note(_ slug: String, _ note: String) throws {
        let id: Int64 = try paper(slug).id
        let text: String = ImportedPaper.tidy(note)
        guard text.count <= 2000 else { throw PaperError.refused("a note of \(text.count) characters; at most 2000 are kept") }
        let time: Date = now()
        try pool.write { database in
            try database.execute(
                sql: "UPDATE paper SET curatorNote = ?, updatedAt = ? WHERE id = ?", arguments: [text.isEmpty ? nil : text, time, id])
        }
    }

    private static func imported(_ changes: PaperChanges) throws -> ImportedPaper {
        var paper: ImportedPaper = ImportedPaper(title: changes.title ?? "", place: "the command line")
        paper.abstract = changes.abstract
        paper.authors = changes.authors ?? []
        paper.keywords = changes.keywords ?? []
        paper.year = changes.year
        if let text = changes.arxivID {
            guard let id = ArXivIdentifier.canonical(text) else {
                throw PaperError.refused("'\(text)' is no arXiv identifier such as 2406.06484")
            }
            paper.arxivID = id
            paper.year = changes.year ?? ArXivIdentifier.year(id)
        }
        if let text = changes.code {
            guard let code = CodeAddress.repository(text) ?? CodeAddress.repository("https://github.com/" + text) else {
                throw PaperError.refused("'\(text)' is no repository such as https://github.com/owner/name")
            }
            paper.code = code
        }
        return paper
    }
}
