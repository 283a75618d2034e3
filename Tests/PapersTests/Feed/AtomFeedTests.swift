import Foundation
import TestSupport
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif
@testable import Papers

@Suite struct AtomFeedTests {
    /// A catalogue with a status and two verdicts, one twice on a day, and an imported paper with hostile text.
    private func bench() throws -> DigestBench {
        let bench: DigestBench = try DigestBench()
        try bench.note("verdict", "not shown", of: "alpha")
        try bench.note("status", "not-shown", of: "alpha")
        bench.clock.advance(hours: 2)
        try bench.note("verdict", "not shown", of: "alpha")
        try bench.add(
            "hostile", title: "<b>&amp;\u{1}\u{8} \"title\"\r\n]]></b> 🧮",
            abstract: "A & B < C \u{fffe}" + String(repeating: "word ", count: 90),
            authors: ["A. \"B\" <c@d>", "É. Noether"])
        return bench
    }

    @Test func theFeedHasWhatRFC4287Requires() throws {
        let feed: ParsedFeed = try ParsedFeed(AtomFeed(store: bench().store, ranking: FixedRanking()).xml())
        #expect(feed.namespace == "http://www.w3.org/2005/Atom")
        #expect(feed.texts("feed/id") == ["tag:linnet.localhost,2026-11-25:papers"])
        #expect(feed.texts("feed/updated") == ["2026-11-25T12:00:00Z"] && feed.texts("feed/title") == ["Linnet: papers"])
        #expect(feed.texts("feed/author/name") == ["Linnet"])
        let count: Int = feed.texts("feed/entry").count
        #expect(count == 6)
        for name in ["id", "title", "published", "updated", "summary"] { #expect(feed.texts("feed/entry/\(name)").count == count) }
        #expect(Set(feed.texts("feed/entry/id")).count == count)
        #expect(feed.texts("feed/entry/updated") == feed.texts("feed/entry/updated").sorted(by: >))
        let relations: [String] = feed.attributes("feed/entry/link", "rel")
        #expect(relations.count { $0 == "alternate" } == count)
        #expect(feed.attributes("feed/entry/link", "href").contains("https://arxiv.org/abs/2401.00000"))
        #expect(feed.attributes("feed/entry/link", "href").contains("https://github.com/someone/alpha"))
        #expect(feed.attributes("feed/entry/category", "term").contains("linear layer"))
    }

    @Test func entriesSayWhatHappened() throws {
        let feed: ParsedFeed = try ParsedFeed(AtomFeed(store: bench().store, ranking: FixedRanking()).xml())
        let ids: [String] = feed.texts("feed/entry/id")
        #expect(ids[0] == "tag:linnet.localhost,2026-11-25:paper/alpha/verdict-not-shown/1795608000000")
        #expect(ids.contains("tag:linnet.localhost,2026-11-25:paper/alpha/status-not-shown/1795600800000"))
        #expect(ids.contains("tag:linnet.localhost,2026-11-25:paper/beta/listed"))
        #expect(feed.texts("feed/entry/summary")[0].hasPrefix("Measured: a claim was not shown. About alpha. Claim: It is faster (2x)."))
    }

    @Test func hostileTextStaysText() throws {
        let feed: ParsedFeed = try ParsedFeed(AtomFeed(store: bench().store, ranking: FixedRanking()).xml())
        #expect(feed.texts("feed/entry/title").contains("<b>&amp; \"title\" ]]></b> 🧮"))
        #expect(feed.texts("feed/entry/author/name") == ["A. \"B\" <c@d>", "É. Noether"])
        #expect(
            feed.names.isSubset(of: [
                "feed", "id", "title", "updated", "published", "author", "name", "link", "category", "summary", "entry",
            ]))
        let summary: String = try #require(feed.texts("feed/entry/summary").first { $0.contains("A & B < C") })
        #expect(summary.contains("word …") && summary.count < 450)
    }

    @Test func theBytesDependOnTheCatalogueOnly() throws {
        let bench: DigestBench = try bench()
        let feed: AtomFeed = AtomFeed(store: bench.store, ranking: FixedRanking())
        let first: String = try feed.xml()
        bench.clock.advance(hours: 100)
        #expect(try feed.xml() == first)
        let again: PaperStore = try PaperStore(bench.store.path, cards: DigestBench.cards(["alpha", "beta"]))
        #expect(try AtomFeed(store: again, ranking: FixedRanking()).xml() == first)
    }

    @Test func queryAndLimitNarrowTheFeed() throws {
        let bench: DigestBench = try bench()
        let site: PaperSite = try PaperSite("https://papers.example.org/linnet/")
        let feed: AtomFeed = AtomFeed(store: bench.store, site: site, ranking: FixedRanking())
        let narrow: ParsedFeed = try ParsedFeed(feed.xml(query: "beta"))
        #expect(narrow.texts("feed/id") == ["tag:papers.example.org,2026-11-25:papers/query/beta"])
        #expect(narrow.attributes("feed/link", "href")[0] == "https://papers.example.org/linnet/feed.xml?q=beta")
        #expect(narrow.texts("feed/entry/title") == ["Paper beta"])
        #expect(try ParsedFeed(feed.xml(limit: 2)).texts("feed/entry").count == 2)
        let empty: ParsedFeed = try ParsedFeed(feed.xml(query: "no such"))
        #expect(empty.texts("feed/entry").isEmpty && empty.texts("feed/updated") == ["2026-11-25T12:00:00Z"])
        #expect(throws: DigestError.query("bad", reason: "it has a bad word")) { try feed.xml(query: "bad") }
        #expect(try feed.xml(query: " ") == feed.xml())
    }

    @Test(arguments: [
        "", "papers.example.org", "ftp://a", "javascript:alert(1)", "https://", "https://a b", "https://a\"b", "https://u@h",
        "https://a/?q",
    ])
    func badSitesAreRefused(_ text: String) { #expect(throws: DigestError.self) { try PaperSite(text) } }

    @Test func onlyWebAddressesOfCodeAreLinked() throws {
        let bench: DigestBench = try DigestBench()
        var paper: Paper = try bench.store.paper("alpha")
        paper.code = "https://example.org/code"
        #expect(paper.codeAddress == "https://example.org/code")
        for code in ["javascript:alert(1)", "a/b/c", "/b", "", "data:text/html,x"] {
            paper.code = code
            #expect(paper.codeAddress == nil)
        }
        paper.arxivID = "cs/0112017"
        #expect(paper.arxivAddress == "https://arxiv.org/abs/cs/0112017")
    }

    @Test(.enabled(if: PythonPeer.has("feedparser"), "needs Python with feedparser")) func feedparserAcceptsIt() throws {
        let xml: String = try AtomFeed(store: bench().store, ranking: FixedRanking()).xml()
        let output: String = try PythonPeer.run(
            """
            import feedparser, json, sys
            f = feedparser.parse(sys.argv[1])
            assert not f.bozo, f.bozo_exception
            assert f.version == "atom10", f.version
            assert f.feed.id and f.feed.title and f.feed.updated_parsed and f.feed.author == "Linnet"
            for e in f.entries:
                assert e.id.startswith("tag:") and e.title and e.link.startswith("http") and e.updated_parsed and e.published_parsed and e.summary
            print(len(f.entries), len({e.id for e in f.entries}))
            """, xml)
        #expect(output == "6 6\n")
    }
}

/// A feed as Foundation's parser sees it: each element's path with its text and attributes, in order.
private final class ParsedFeed: NSObject, XMLParserDelegate {
    private(set) var namespace: String?
    private var elements: [(path: String, text: String, attributes: [String: String])] = []
    private var open: [Int] = []
    private var path: [String] = []

    var names: Set<String> { Set(elements.map { String($0.path.split(separator: "/").last ?? "") }) }

    init(_ xml: String) throws {
        super.init()
        let parser: XMLParser = XMLParser(data: Data(xml.utf8))
        parser.shouldProcessNamespaces = true
        parser.delegate = self
        if !parser.parse() { throw parser.parserError ?? CocoaError(.fileReadCorruptFile) }
    }

    func texts(_ path: String) -> [String] { elements.filter { $0.path == path }.map(\.text) }

    func attributes(_ path: String, _ name: String) -> [String] { elements.filter { $0.path == path }.compactMap { $0.attributes[name] } }

    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?, attributes: [String: String]
    ) {
        if path.isEmpty { namespace = namespaceURI }
        path.append(name)
        open.append(elements.count)
        elements.append((path.joined(separator: "/"), "", attributes))
    }

    func parser(_ parser: XMLParser, didEndElement name: String, namespaceURI: String?, qualifiedName: String?) {
        path.removeLast()
        open.removeLast()
    }

    func parser(_ parser: XMLParser, foundCharacters text: String) {
        if let last = open.last { elements[last].text += text }
    }
}
