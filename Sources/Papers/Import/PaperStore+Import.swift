import Foundation
import GRDB

extension PaperStore {
    /// Reads papers from a file's bytes into the catalogue, in one transaction: after an error nothing of the file is there.
    ///
    /// A paper is known by its arXiv identifier, else by its title without case and punctuation. Of a known paper only what is missing is
    /// taken; the summary and the claim of Linnet's own cards are never touched. Text is kept as text; nothing in it is run or shown as HTML.
    ///
    /// - Throws: ``ImportError`` for a file that is not in its format.
    public func importPapers(_ data: Data, format: ImportFormat = .auto) throws -> ImportReport {
        guard data.count <= Self.largestImport else {
            throw ImportError("the file has \(data.count) bytes; at most \(Self.largestImport) are read")
        }
        guard let text = String(bytes: data, encoding: .utf8) else { throw ImportError("the file is not UTF-8 text") }
        let chosen: ImportFormat = format == .auto ? ImportFormat.guess(text) : format
        switch chosen {
        case .arxiv: return try add(ArXivFeed.papers(text), from: .arxiv)
        case .bibtex: return try add(BibTeXPapers.papers(text), from: .bibtex)
        case .listing, .auto: return try add(PlainListing.papers(text), from: .listing)
        }
    }

    static let largestImport: Int = 1 << 30

    /// The papers that a filter admits, newest first, as a BibTeX file, which an import reads back as the same papers.
    public func bibTeX(_ filter: PaperFilter = PaperFilter()) throws -> String {
        try listing(filter, order: .new, limit: .max / 2).map { paper in
            BibTeXPapers.entry(paper, authors: try authors(of: paper), keywords: try keywords(of: paper))
        }.joined(separator: "\n")
    }

    /// Adds papers, or merges them into those that are known.
    func add(_ papers: [ImportedPaper], from source: PaperSource) throws -> ImportReport {
        var writer: ImportWriter = ImportWriter(source: source, time: now(), words: try collectionWords(papers))
        try pool.write { database in
            for paper in papers { try writer.write(paper, in: database) }
        }
        return writer.report
    }

    /// Counts the words of the file's papers, of Linnet's own and of the newest in the catalogue.
    private func collectionWords(_ papers: [ImportedPaper]) throws -> KeywordExtraction {
        var words: KeywordExtraction = KeywordExtraction()
        for paper in papers { words.add(paper.title + " " + (paper.abstract ?? "")) }
        let known: [String] = try pool.read { database in
            let ids: [Int64] = try Int64.fetchAll(
                database, sql: "SELECT id FROM paper ORDER BY source != 'builtin', listedOn DESC, id LIMIT 1000")
            return try ids.map { try Self.text(of: $0, forModel: false, in: database) }
        }
        for text in known { words.add(text) }
        return words
    }
}

/// Writes the papers of one file in one transaction.
struct ImportWriter {
    let source: PaperSource
    let time: Date
    let words: KeywordExtraction
    private(set) var report: ImportReport = ImportReport()
    private var slugs: SlugMaker = SlugMaker()

    init(source: PaperSource, time: Date, words: KeywordExtraction) {
        self.source = source
        self.time = time
        self.words = words
    }

    mutating func write(_ paper: ImportedPaper, in database: Database) throws {
        let valid: ImportedPaper
        do { valid = try paper.validated() } catch {
            let title: String = ImportedPaper.tidy(String(paper.title.prefix(120)))
            report.skipped.append(ImportReport.Skipped(title: title.isEmpty ? paper.place : title, reason: error.description))
            return
        }
        guard let known = try Self.known(valid, in: database) else {
            report.added.append(try add(valid, in: database))
            return
        }
        if try merge(valid, into: known, in: database) {
            report.merged.append(known.slug)
        } else {
            report.skipped.append(ImportReport.Skipped(title: valid.title, reason: "it is there as '\(known.slug)', with nothing to add"))
        }
    }

    /// The paper with this identifier, else the one with this title, unless both have identifiers that differ.
    private static func known(_ paper: ImportedPaper, in database: Database) throws -> Paper? {
        if let id = paper.arxivID {
            let statement: Statement = try database.cachedStatement(sql: "SELECT * FROM paper WHERE arxivID = ?")
            if let known = try Paper.fetchOne(statement, arguments: [id]) { return known }
        }
        let statement: Statement = try database.cachedStatement(
            sql: "SELECT * FROM paper WHERE normalizedTitle = ? AND (arxivID IS NULL OR ? IS NULL) ORDER BY id")
        return try Paper.fetchOne(statement, arguments: [PaperEntry.normalized(paper.title), paper.arxivID])
    }

    private mutating func add(_ paper: ImportedPaper, in database: Database) throws -> String {
        var keywords: [String] = paper.keywords
        var slug: String?
        if let exported = paper.exportedSlug, SlugMaker.isSlug(exported) {
            if try Int.fetchOne(database, sql: "SELECT 1 FROM paper WHERE slug = ?", arguments: [exported]) == nil { slug = exported }
        } else {
            keywords += words.keywords(title: paper.title, abstract: paper.abstract ?? "", besides: keywords)
        }
        let chosen: String = try slug ?? slugs.slug(for: paper.title, in: database)
        let entry: PaperEntry = PaperEntry(
            slug: chosen, title: paper.title, arxivID: paper.arxivID, doi: paper.doi, year: paper.year, abstract: paper.abstract,
            group: .imported, code: paper.code, source: source, listedOn: time, keywords: keywords, authors: paper.authors)
        _ = try entry.write(over: nil, at: time, in: database)
        return chosen
    }

    /// Takes what a known paper lacks. Of Linnet's own cards only authors and DOI can be missing: their words are curated.
    ///
    /// - Returns: whether there was anything.
    private func merge(_ paper: ImportedPaper, into known: Paper, in database: Database) throws -> Bool {
        let isCurated: Bool = known.source == .builtin
        var taken: [(column: String, value: any DatabaseValueConvertible)] = []
        if known.doi == nil, let doi = paper.doi { taken.append(("doi", doi)) }
        if !isCurated {
            if known.arxivID == nil, let id = paper.arxivID { taken.append(("arxivID", id)) }
            if known.year == nil, let year = paper.year { taken.append(("year", year)) }
            if known.abstract == nil, let abstract = paper.abstract { taken.append(("abstract", abstract)) }
            if known.code == nil, let code = paper.code { taken.append(("code", code)) }
        }
        for (column, value) in taken {
            try database.execute(sql: "UPDATE paper SET \(column) = ?, updatedAt = ? WHERE id = ?", arguments: [value, time, known.id])
        }
        let gotAuthors: Bool = try append(paper.authors, to: "author", "name", of: known.id, onlyIfEmpty: true, in: database)
        let gotKeywords: Bool =
            try !isCurated && append(paper.keywords, to: "keyword", "term", of: known.id, onlyIfEmpty: false, in: database)
        if !taken.isEmpty || gotKeywords { try PaperEntry.writeText(of: known.id, in: database) }
        return !taken.isEmpty || gotAuthors || gotKeywords
    }

    private func append(
        _ values: [String], to table: String, _ column: String, of id: Int64, onlyIfEmpty: Bool, in database: Database
    ) throws -> Bool {
        let known: [String] = try String.fetchAll(database, sql: "SELECT \(column) FROM \(table) WHERE paperID = ?", arguments: [id])
        if onlyIfEmpty, !known.isEmpty { return false }
        let folded: Set<String> = Set(known.map { $0.lowercased() })
        let new: [String] = values.filter { !folded.contains($0.lowercased()) }
        for (place, value) in new.enumerated() {
            try database.execute(
                sql: "INSERT INTO \(table) (paperID, position, \(column)) VALUES (?, ?, ?)", arguments: [id, known.count + place, value])
        }
        return !new.isEmpty
    }
}
