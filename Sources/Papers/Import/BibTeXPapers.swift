import Foundation

/// Papers from the entries of a BibTeX file, and a BibTeX file from papers.
enum BibTeXPapers {
    static func papers(_ text: String) throws(ImportError) -> [ImportedPaper] {
        let entries: [BibTeXEntry] = try BibTeXParser.entries(text)
        guard !entries.isEmpty else { throw ImportError("the file has no BibTeX entries") }
        return entries.map(paper)
    }

    private static func paper(_ entry: BibTeXEntry) -> ImportedPaper {
        func plain(_ field: String) -> String? { entry.fields[field].map(LaTeXText.plain) }
        var paper: ImportedPaper = ImportedPaper(title: plain("title") ?? "", place: "line \(entry.line)")
        paper.abstract = plain("abstract")
        paper.authors = LaTeXText.split(entry.fields["author"] ?? "", at: conjunction).filter { $0.lowercased() != "others" }.map(name)
        paper.keywords = LaTeXText.split(entry.fields["keywords"] ?? "") { $0.first == "," || $0.first == ";" ? 1 : nil }.map(
            LaTeXText.plain)
        paper.doi = plain("doi").flatMap(DOI.canonical)
        paper.arxivID = arxivID(plain, doi: paper.doi)
        let year: Substring? = (plain("year") ?? plain("date"))?.firstMatch(of: /\d{4}/)?.0
        paper.year = year.flatMap { Int($0) } ?? paper.arxivID.flatMap(ArXivIdentifier.year)
        paper.code = plain("code").flatMap(CodeAddress.repository) ?? plain("url").flatMap(CodeAddress.repository)
        paper.exportedSlug = plain("linnet-slug")
        return paper
    }

    /// From `eprint` where it is arXiv's, else from an address, a DOI of arXiv's or "arXiv preprint arXiv:…".
    private static func arxivID(_ plain: (String) -> String?, doi: String?) -> String? {
        let archive: String = (plain("archiveprefix") ?? plain("eprinttype") ?? "arxiv").lowercased()
        if archive == "arxiv", let id = plain("eprint").flatMap(ArXivIdentifier.canonical) { return id }
        if let url = plain("url"), url.lowercased().contains("arxiv.org/"), let id = ArXivIdentifier.canonical(url) { return id }
        if let doi, doi.hasPrefix("10.48550/arxiv."), let id = ArXivIdentifier.canonical(String(doi.dropFirst(15))) { return id }
        return plain("journal")?.split(separator: " ").lazy.filter { $0.lowercased().hasPrefix("arxiv:") }
            .compactMap { ArXivIdentifier.canonical(String($0)) }.first
    }

    /// The word `and` between spaces.
    private static func conjunction(_ rest: Substring) -> Int? {
        guard rest.first?.isWhitespace == true, let match = rest.prefixMatch(of: /\s+(?:and|AND|And)\s+/) else { return nil }
        return match.0.count
    }

    /// "Last, First" and "Last, Jr, First" in the order in which names are said.
    private static func name(_ tex: String) -> String {
        let parts: [String] = LaTeXText.split(tex) { $0.first == "," ? 1 : nil }.map(LaTeXText.plain)
        switch parts.count {
        case 2: return parts[1] + " " + parts[0]
        case 3: return "\(parts[2]) \(parts[0]) \(parts[1])"
        default: return parts.joined(separator: " ")
        }
    }

    // MARK: Export

    /// One entry. `linnet-slug` tells a later import that the keywords are complete.
    static func entry(_ paper: Paper, authors: [String], keywords: [String]) -> String {
        var fields: [(name: String, value: String)] = [("title", "{\(LaTeXText.tex(paper.title))}")]
        if !authors.isEmpty { fields.append(("author", authors.map(protected).joined(separator: " and "))) }
        if let year = paper.year { fields.append(("year", String(year))) }
        if let id = paper.arxivID { fields += [("eprint", id), ("archivePrefix", "arXiv"), ("url", "https://arxiv.org/abs/\(id)")] }
        if let doi = paper.doi { fields.append(("doi", LaTeXText.tex(doi))) }
        if let code = paper.code {
            fields.append(("code", LaTeXText.tex(code.contains("://") ? code : "https://github.com/\(code)")))
        }
        if !keywords.isEmpty { fields.append(("keywords", keywords.map(protected).joined(separator: ", "))) }
        if let abstract = paper.abstract { fields.append(("abstract", LaTeXText.tex(abstract))) }
        fields.append(("linnet-slug", paper.slug))
        let lines: [String] = fields.map { "  \($0.name) = {\($0.value)}" }
        return "@misc{\(paper.slug),\n\(lines.joined(separator: ",\n"))\n}\n"
    }

    /// In braces of its own where it has a mark or a word that would divide a list.
    private static func protected(_ text: String) -> String {
        let divides: Bool = text.contains { ",;".contains($0) } || text.lowercased().contains(" and ") || text.lowercased() == "others"
        return divides ? "{\(LaTeXText.tex(text))}" : LaTeXText.tex(text)
    }
}
