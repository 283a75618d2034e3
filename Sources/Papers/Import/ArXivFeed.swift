import Foundation

#if canImport(FoundationXML)
    import FoundationXML
#endif

/// Reads the Atom that arXiv's query interface answers with.
final class ArXivFeed: NSObject, XMLParserDelegate {
    private static let atom: String = "http://www.w3.org/2005/Atom"
    private static let arxiv: String = "http://arxiv.org/schemas/atom"
    /// The longest text of one element that is collected.
    private static let longestText: Int = 100_000

    private var papers: [ImportedPaper] = []
    private var path: [String] = []
    /// Whether the root's end was seen.
    private var isEnded: Bool = false
    private var text: String = ""
    private var entry: ImportedPaper?
    private var published: String = ""
    private var problem: ImportError?

    /// - Throws: ``ImportError`` for what is no such feed. A document type, which could define entities, is refused.
    static func papers(_ text: String) throws -> [ImportedPaper] {
        let declared: Substring? = text.prefix(200).firstMatch(of: /encoding\s*=\s*["']([^"']*)["']/)?.1
        if let declared, !["utf-8", "us-ascii"].contains(declared.lowercased()) {
            throw ImportError("the file says that it is in \(declared.prefix(40)); an arXiv feed is in UTF-8")
        }
        if text.contains("<!DOCTYPE") || text.contains("<!ENTITY") { throw ImportError("a document type declaration is not taken") }
        let feed: ArXivFeed = ArXivFeed()
        let parser: XMLParser = XMLParser(data: Data(text.utf8))
        parser.shouldProcessNamespaces = true
        parser.shouldResolveExternalEntities = false
        parser.delegate = feed
        let isWhole: Bool = parser.parse()
        if let problem = feed.problem { throw problem }
        // A file that is cut off is no error to the parser.
        guard isWhole, feed.isEnded else { throw ImportError(line: max(1, parser.lineNumber), "the file is not well-formed XML") }
        return feed.papers
    }

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?, attributes: [String: String]
    ) {
        guard problem == nil else { return }
        let known: String = namespaceURI == Self.atom ? name : namespaceURI == Self.arxiv ? "arxiv:" + name : "other:" + name
        if path.isEmpty, known != "feed" { return stop(parser, "the root is <\(name.prefix(40))>, not the <feed> of Atom") }
        guard path.count < 16 else { return stop(parser, "elements are nested too deeply") }
        path.append(known)
        text = ""
        switch path.dropFirst().joined(separator: "/") {
        case "entry":
            entry = ImportedPaper(title: "", place: "line \(parser.lineNumber)")
            published = ""
        case "entry/arxiv:primary_category":
            if let term = attributes["term"] { entry?.keywords.insert(term, at: 0) }
        case "entry/category":
            if let term = attributes["term"] { entry?.keywords.append(term) }
        case "entry/link":
            if attributes["title"] == "doi", entry?.doi == nil { entry?.doi = attributes["href"].flatMap(DOI.canonical) }
            if let code = attributes["href"].flatMap(CodeAddress.repository) { entry?.code = code }
        default: break
        }
    }

    func parser(_ parser: XMLParser, foundCharacters string: String) {
        guard entry != nil, problem == nil else { return }
        text += string
        if text.utf8.count > Self.longestText { stop(parser, "a text is longer than \(Self.longestText) bytes") }
    }

    func parser(_ parser: XMLParser, foundCDATA block: Data) {
        self.parser(parser, foundCharacters: String(decoding: block, as: UTF8.self))
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        guard problem == nil else { return }
        switch path.dropFirst().joined(separator: "/") {
        case "entry/id":
            entry?.arxivID = ArXivIdentifier.canonical(text)
            // The interface reports a wrong query as an entry.
            if text.contains("arxiv.org/api/errors") { stop(parser, "the feed is an error report of arXiv's") }
        case "entry/title": entry?.title = text
        case "entry/summary": entry?.abstract = text
        case "entry/author/name": entry?.authors.append(text)
        case "entry/published": published = text.trimmingCharacters(in: .whitespacesAndNewlines)
        case "entry/arxiv:doi": entry?.doi = DOI.canonical(text)
        case "entry": finish()
        default: break
        }
        path.removeLast()
        isEnded = path.isEmpty
        text = ""
    }

    private func finish() {
        guard var paper = entry else { return }
        paper.year = Int(published.prefix(4)) ?? paper.arxivID.flatMap(ArXivIdentifier.year)
        papers.append(paper)
        entry = nil
    }

    private func stop(_ parser: XMLParser, _ reason: String) {
        if problem == nil { problem = ImportError(line: max(1, parser.lineNumber), reason) }
        parser.abortParsing()
    }
}
