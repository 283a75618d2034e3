import Foundation
import Testing

@testable import Papers

@Suite struct BibTeXTests {
    private func papers(_ text: String) throws -> [ImportedPaper] { try BibTeXPapers.papers(text).compactMap { try? $0.validated() } }

    @Test func entriesOfAllForms() throws {
        let found: [ImportedPaper] = try papers(
            """
            Text before, mail me at a@b.org.
            @comment{ title = {not this} }
            @preamble{"\\newcommand{\\x}{y}"}
            @string{ conf = "International Conference" # { on} }
            @STRING(jp = {Journal of P})
            @InProceedings{key1,
              title = "A {N}ested {{T}itle} with {\\"o} and {\\'e}t{\\'e}",
              author = {M{\\"u}ller, Hans and {The Group, Inc.} and Ann van Dam and Doe, Jr, Jack and others},
              year = 2023, booktitle = conf # ", " # jp,
              keywords = {one, two words; {three, four}},
            }
            @article(key2, title={Second}, journal={arXiv preprint arXiv:2101.00002}, month=jan, date={2021-01-05})
            @misc{key3, title={Third}, url={https://arxiv.org/abs/2102.00003v2}}
            @misc{key4, title={Fourth}, eprint={1234.5678}, archivePrefix={hal}, doi={https://doi.org/10.48550/arXiv.2103.00004}}
            @misc{key5}
            """
        )
        #expect(found.map(\.title) == ["A Nested Title with ö and été", "Second", "Third", "Fourth"])
        #expect(found[0].authors == ["Hans Müller", "The Group, Inc.", "Ann van Dam", "Jack Doe Jr"])
        #expect(found[0].keywords == ["one", "two words", "three, four"] && found[0].year == 2023)
        #expect(found.map(\.arxivID) == [nil, "2101.00002", "2102.00003", "2103.00004"])
        #expect(found.map(\.year) == [2023, 2021, 2021, 2021])
    }

    @Test(arguments: [
        ("\\\"{o}\\\"o{\\\"o}{\\\"{o}}", "öööö"), ("\\c{c}\\v s\\H{o}\\~n\\=a\\.z\\k{a}\\r{a}", "çšőñāżąå"),
        ("\\ss{} \\o \\AA\\l{}", "ß øÅł"),
        ("\\'\\i{}\\'{\\i}", "íí"), ("a--b---c ``q''", "a–b—c “q”"), ("\\emph{x} \\& 5\\% \\_ \\$ \\#", "x & 5% _ $ #"),
        ("$\\alpha_{1}$ a~b", "$\\alpha_{1}$ a b"), ("{\\textbackslash}x", "\\x"), ("\\", ""), ("{", ""), ("$", "$"), ("\\\"", "\u{308}"),
    ]) func tex(tex: String, plain: String) { #expect(LaTeXText.plain(tex) == plain.precomposedStringWithCanonicalMapping) }

    @Test(
        arguments: [
            ("@misc{a, title = {x} year = 2020}", 1, "a comma is missing after the field 'title'"),
            ("@misc{a,\n title = {x},\n year 2020}", 3, "a field 'name = value' is expected"), ("@misc{a,\n title = {x", 2, "not closed"),
            ("@misc{a,\n title = \"x", 2, "not closed"), ("@misc{a, month = foo}", 1, "no @string defines 'foo'"),
            ("@misc{a title = {x}}", 1, "a comma is missing after the key"), ("@misc{a, title = }", 1, "has no value"),
            ("@misc{a, title = {x}", 1, "does not end"), ("@misc{title = {x}}", 1, "has no key"),
            ("nothing here", nil, "no BibTeX entries"),
        ] as [(String, Int?, String)]) func mistakesHaveLines(text: String, line: Int?, problem: String) throws
    {
        let store: PaperStore = try SearchTests.temporaryStore(cards: [])
        let good: String = "@misc{good, title = {Good}}"
        let error: ImportError? = #expect(throws: ImportError.self) {
            try store.importPapers(Data((line == nil ? text : good + "\n" + text).utf8), format: .bibtex)
        }
        #expect(error?.line == line.map { $0 + 1 } && error?.problem.contains(problem) == true, "\(error?.description ?? "")")
        #expect(try store.count == 0, "the good one before the mistake is not there either")
    }

    @Test func doublingStringsEnd() {
        let doubled: String = (1...40).map { "@string{s\($0) = s\($0 - 1) # s\($0 - 1)}" }.joined(separator: "\n")
        #expect(throws: ImportError.self) { try BibTeXParser.entries("@string{s0 = {0123456789}}\n" + doubled) }
    }

    @Test func randomBytesEndInAnErrorOrEntries() {
        var generator: SystemRandomNumberGenerator = SystemRandomNumberGenerator()
        let alphabet: [Character] = Array("@{}(),=#\"\\~$ \nabm1-'`")
        for _ in 0..<2000 {
            let text: String = String((0..<60).map { _ in alphabet.randomElement(using: &generator)! })
            _ = try? BibTeXPapers.papers("@misc{a, title={" + text)
            _ = LaTeXText.plain(text)
        }
    }

    /// Export, import, export: the same papers and the same file.
    @Test func roundTrip() throws {
        let store: PaperStore = try SearchTests.temporaryStore()
        _ = try store.importPapers(Data(ArXivImportTests.feed(ArXivImportTests.entry.replacingOccurrences(of: "2406", with: "2407")).utf8))
        _ = try store.add(
            PaperChanges(
                title: "Odd {title} -- 50% of $x_1$ \\ ~ ^ & # ``q'' — étude", abstract: "Costs $5 & more_or_less.",
                authors: ["Last, First", "Bonnie and Clyde", "Ånn Ø", "others"], arxivID: "cs/0112017", year: 2001, code: "a/b_c",
                keywords: ["a; b", "c_d"]))
        let text: String = try store.bibTeX()
        let copy: PaperStore = try SearchTests.temporaryStore(cards: [])
        let report: ImportReport = try copy.importPapers(Data(text.utf8))
        #expect(report.added.count == 74 && report.skipped.isEmpty && report.merged.isEmpty)
        #expect(try copy.bibTeX(PaperFilter()).split(separator: "\n@").sorted() == text.split(separator: "\n@").sorted())
        for paper in try store.listing(limit: 100) {
            let other: Paper = try copy.paper(paper.slug)
            #expect(
                other.title == paper.title && other.arxivID == paper.arxivID && other.year == paper.year && other.abstract == paper.abstract
                    && other.doi == paper.doi && other.code == paper.code)
            #expect(try copy.authors(of: other) == store.authors(of: paper))
            #expect(try copy.keywords(of: other) == store.keywords(of: paper))
        }
    }
}
