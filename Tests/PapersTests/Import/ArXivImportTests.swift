import Foundation
import Testing

@testable import Papers

@Suite struct ArXivImportTests {
    static func feed(_ entries: String) -> String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <feed xmlns="http://www.w3.org/2005/Atom"><title>ArXiv Query</title><id>http://arxiv.org/api/x</id>\(entries)</feed>
        """
    }

    static let entry: String = """
        <entry>
          <id>http://arxiv.org/abs/2406.06484v3</id><updated>2025-01-01T00:00:00Z</updated><published>2024-06-10T17:24:42Z</published>
          <title>A Title over
            two   lines &amp; more</title>
          <summary>  First &lt;b&gt;line&lt;/b&gt;
          second line. </summary>
          <author><name>Songlin Yang</name></author><author><name>Yoon  Kim</name></author>
          <arxiv:doi xmlns:arxiv="http://arxiv.org/schemas/atom">10.1000/ABC.1</arxiv:doi>
          <link href="https://github.com/fla-org/flash" rel="related"/>
          <arxiv:primary_category xmlns:arxiv="http://arxiv.org/schemas/atom" term="cs.LG"/><category term="cs.LG"/><category term="cs.CL"/>
        </entry>
        """

    @Test func anEntry() throws {
        let paper: ImportedPaper = try #require(ArXivFeed.papers(Self.feed(Self.entry)).first).validated()
        #expect(paper.title == "A Title over two lines & more")
        #expect(paper.abstract == "First <b>line</b> second line.")
        #expect(paper.authors == ["Songlin Yang", "Yoon Kim"])
        #expect(paper.arxivID == "2406.06484" && paper.year == 2024 && paper.doi == "10.1000/abc.1" && paper.code == "fla-org/flash")
        #expect(paper.keywords == ["cs.LG", "cs.CL"])
    }

    @Test(
        arguments: [
            ("2406.06484v3", "2406.06484"), ("http://arxiv.org/abs/cs/0112017v1", "cs/0112017"), ("arXiv:2101.00001", "2101.00001"),
            ("https://arxiv.org/pdf/2101.00001v2.pdf", "2101.00001"), ("math.GT/0309136", "math/0309136"), ("2406.064", nil), ("x/1", nil),
            ("", nil),
        ] as [(String, String?)]) func identifiers(text: String, id: String?)
    { #expect(ArXivIdentifier.canonical(text) == id) }

    /// Hostile or broken files: refused as a whole, on one line, and nothing is written.
    @Test(arguments: [
        ("<html><body>sorry</body></html>", "the root is <html>"),
        ("<feed xmlns=\"http://other\"></feed>", "the root is"),
        ("<!DOCTYPE x [<!ENTITY a \"aa\"><!ENTITY b \"&a;&a;\">]><feed xmlns=\"http://www.w3.org/2005/Atom\">&b;</feed>", "document type"),
        ("<?xml version=\"1.0\" encoding=\"UTF-7\"?><feed xmlns=\"http://www.w3.org/2005/Atom\"/>", "UTF-7"),
        ("<feed xmlns=\"http://www.w3.org/2005/Atom\"><entry><title>x", "not well-formed"),
        ("<feed xmlns=\"http://www.w3.org/2005/Atom\"><entry><title>&undefined;</title></entry></feed>", "not well-formed"),
        (
            "<feed xmlns=\"http://www.w3.org/2005/Atom\"><entry><id>http://arxiv.org/api/errors#bad</id><title>Error</title></entry></feed>",
            "error report"
        ),
        (
            "<feed xmlns=\"http://www.w3.org/2005/Atom\">" + String(repeating: "<a>", count: 50) + String(repeating: "</a>", count: 50)
                + "</feed>",
            "nested"
        ),
        (
            "<feed xmlns=\"http://www.w3.org/2005/Atom\"><entry><title>\(String(repeating: "long ", count: 30_000))</title></entry></feed>",
            "longer than"
        ),
    ]) func badFiles(text: String, problem: String) throws {
        let store: PaperStore = try SearchTests.temporaryStore(cards: [])
        let error: ImportError? = #expect(throws: ImportError.self) { try store.importPapers(Data(text.utf8), format: .arxiv) }
        #expect(error?.description.contains(problem) == true && error?.description.contains("\n") == false, "\(error?.description ?? "")")
        #expect(try store.count == 0)
    }

    @Test func bytesThatAreNoText() throws {
        let store: PaperStore = try SearchTests.temporaryStore(cards: [])
        #expect(throws: ImportError("the file is not UTF-8 text")) { try store.importPapers(Data([0xff, 0xfe, 0x3c, 0x00])) }
    }

    @Test func fieldsOfUnboundedSizeAreSkipped() throws {
        let store: PaperStore = try SearchTests.temporaryStore(cards: [])
        let long: String = "<entry><title>T</title><summary>\(String(repeating: "x ", count: 20_001))</summary></entry>"
        let none: String = "<entry><title> … </title></entry>"
        let report: ImportReport = try store.importPapers(Data(Self.feed(long + none + Self.entry).utf8))
        #expect(report.added == ["a-title-over-two-lines-more"] && report.skipped.count == 2)
        #expect(report.skipped[0].reason.contains("abstract") && report.skipped[1].reason == "it has no title")
    }

    @Test func importingIntoTheCatalogue() throws {
        let store: PaperStore = try SearchTests.temporaryStore()
        let before: Paper = try store.paper("deltanet")
        let report: ImportReport = try store.importPapers(Data(Self.feed(Self.entry).utf8))
        #expect(report.merged == ["deltanet"], "known by its identifier, whatever its title")
        let after: Paper = try store.paper("deltanet")
        #expect(after.summary == before.summary && after.claim == before.claim && after.title == before.title && after.abstract == nil)
        #expect(try store.authors(of: after) == ["Songlin Yang", "Yoon Kim"] && after.doi == "10.1000/abc.1")
        #expect(try store.importPapers(Data(Self.feed(Self.entry).utf8)).skipped.first?.reason.contains("nothing to add") == true)
        // A card that is written anew keeps what the import brought.
        var card: PaperCard = try #require(PaperCards.load().first { $0.slug == "deltanet" })
        card.summary += " So."
        try store.update(cards: [card])
        #expect(try store.authors(of: store.paper("deltanet")).count == 2 && store.paper("deltanet").doi == "10.1000/abc.1")
    }

    @Test func theSamePaperTwiceInAFile() throws {
        let store: PaperStore = try SearchTests.temporaryStore(cards: [])
        let listing: String = """
            A Study of Gates!

            What it says.

            a study  of gates

            What it says, once more.
            """
        let first: ImportReport = try store.importPapers(Data(listing.utf8))
        #expect(first.added == ["a-study-of-gates"] && first.skipped.count == 1)
        let bib: String = "@misc{x, title = {A Study of {G}ates}, eprint = {2501.00001}, author = {A. B.}, abstract = {Other.}}"
        #expect(try store.importPapers(Data(bib.utf8)).merged == ["a-study-of-gates"])
        let paper: Paper = try store.paper("a-study-of-gates")
        #expect(paper.arxivID == "2501.00001" && paper.abstract == "What it says." && paper.year == 2025)
        let other: String = "@misc{y, title = {A Study of Gates}, eprint = {2502.00002}}"
        #expect(try store.importPapers(Data(other.utf8)).added == ["a-study-of-gates-2"], "another identifier is another paper")
    }
}
