import Foundation
import Testing

@testable import Papers

@Suite struct ListingImportTests {
    @Test func titlesAndAbstracts() throws {
        let papers: [ImportedPaper] = try PlainListing.papers(
            "\u{feff}\r\nFirst Title\r\n\r\nAn abstract\r\nover two lines.\r\n\r\n\r\nSecond <script>alert(1)</script>\r\n\r\nMore.")
        #expect(papers.map(\.title) == ["First Title", "Second <script>alert(1)</script>"])
        #expect(papers.map(\.abstract) == ["An abstract over two lines.", "More."])
        #expect(papers.map(\.place) == ["line 2", "line 8"])
    }

    @Test(
        arguments: [
            ("", nil, "no papers"), ("  \n\n", nil, "no papers"), ("Only a title", 1, "has no abstract"),
            ("A\n\nB\n\nC\n", 5, "has no abstract"),
            ("T\n\nA\n\n" + String(repeating: "long ", count: 70) + "\n\nB", 5, "is an empty line missing"),
        ] as [(String, Int?, String)]) func mistakes(text: String, line: Int?, problem: String)
    {
        let error: ImportError? = #expect(throws: ImportError.self) { try PlainListing.papers(text) }
        #expect(error?.line == line && error?.problem.contains(problem) == true)
    }

    @Test func formatsAreGuessed() {
        #expect(ImportFormat.guess("\u{feff} <?xml?>") == .arxiv)
        #expect(ImportFormat.guess("% comment\n  @article{x,") == .bibtex)
        #expect(ImportFormat.guess("Mail @home\n\nAn abstract (a@b.c)") == .listing)
    }

    @Test func slugsAreASCIIAndUnique() throws {
        let store: PaperStore = try SearchTests.temporaryStore()
        let titles: [String] = [
            "Größe & Straße: é", "Größe — Straße, É!", "第三章", "…1", "GLA", String(repeating: "word ", count: 30), "DeltaNet?",
        ]
        let papers: [ImportedPaper] = titles.enumerated().map { ImportedPaper(title: $1, abstract: "Nr. \($0)", place: "") }
        let report: ImportReport = try store.add(papers, from: .manual)
        #expect(report.added.count == 6 && report.skipped.count == 1, "two spellings are one title")
        for slug in report.added { #expect(SlugMaker.isSlug(slug), "\(slug)") }
        #expect(report.added[0] == "grosse-strasse-e" && report.added.contains("gla-2") && report.added.contains("deltanet-2"))
    }

    @Test func keywordsAreGivenAndFound() throws {
        let store: PaperStore = try SearchTests.temporaryStore()
        let abstract: String = "We count zebra stripes. The zebra, a model of stripes, learns with a network and the savanna."
        _ = try store.add(PaperChanges(title: "Zebra Counting", abstract: abstract, keywords: ["Animals", "animals"]))
        let keywords: [String] = try store.keywords(of: store.paper("zebra-counting"))
        #expect(keywords.count == 6 && keywords[0] == "Animals")
        #expect(keywords.contains("zebra") && keywords.contains("stripes") && !keywords.contains("model") && !keywords.contains("the"))
        #expect(try store.search(try PaperQuery("savanna"), mode: .keyword).first?.paper.slug == "zebra-counting")
    }

    @Test func editingOnesOwn() throws {
        let store: PaperStore = try SearchTests.temporaryStore()
        _ = try store.add(PaperChanges(title: "Mine", authors: ["Ann"], keywords: ["k"]))
        let keywords: [String] = try store.keywords(of: store.paper("mine"))
        try store.edit("mine", PaperChanges(abstract: "Quokkas.", year: 2020, code: "https://github.com/a/b"))
        let paper: Paper = try store.paper("mine")
        #expect(paper.abstract == "Quokkas." && paper.year == 2020 && paper.code == "a/b" && paper.title == "Mine")
        #expect(try store.authors(of: paper) == ["Ann"] && store.keywords(of: paper) == keywords)
        #expect(try store.search(try PaperQuery("quokka"), mode: .semantic, limit: 1).first?.paper.slug == "mine")
        try store.note("gla", " read\nthis ")
        #expect(try store.paper("gla").curatorNote == "read this")
        for (slug, changes) in [
            ("gla", PaperChanges(title: "x")), ("mine", PaperChanges(arxivID: "2312.06635")), ("mine", PaperChanges(arxivID: "none")),
            ("mine", PaperChanges(year: 20)), ("mine", PaperChanges(code: "no repository")), ("mine", PaperChanges(title: " ")),
        ] {
            #expect(throws: PaperError.self, "\(slug) \(changes)") { try store.edit(slug, changes) }
        }
        #expect(throws: PaperError.self) { try store.add(PaperChanges(title: "")) }
    }
}
