import Papers
import Testing

@testable import struct Papers.QueryTerm
@testable import enum Papers.FullText

@Suite struct PaperQueryTests {
    @Test func wordsPhrasesAndExclusions() throws {
        let query: PaperQuery = try PaperQuery("linear-attention \"delta rule\" -survey -\"time series\" & k-means")
        #expect(query.words == ["linear", "attention", "k", "means"])
        #expect(query.phrases == [["delta", "rule"]])
        #expect(query.excluded == [["survey"], ["time", "series"]])
        #expect(query.filter.isEmpty)
    }

    @Test func fields() throws {
        let query: PaperQuery = try PaperQuery(
            "Year:2023 year:2024..2025 group:sequence status:not-shown module:DeltaNet author:\"Le Cun\" gate")
        #expect(query.words == ["gate"])
        #expect(
            query.filter
                == PaperFilter(
                    groups: [.sequence], statuses: [.notShown], years: [2023...2023, 2024...2025], modules: ["DeltaNet"],
                    authors: ["Le Cun"]))
        #expect(try PaperQuery("year:..2020 year:2024..").filter.years == [0...2020, 2024...9999])
    }

    @Test func aColonThatIsNoField() throws {
        #expect(try PaperQuery("Activator: GLU").words == ["activator", "glu"])
        #expect(try PaperQuery("https://arxiv.org").words == ["https", "arxiv", "org"])
        #expect(try PaperQuery("\"lora: low-rank\"").phrases == [["lora", "low", "rank"]])
    }

    @Test(arguments: [
        ("", PaperQueryError.empty), ("  - & ", .empty), ("\"open", .unclosedQuote("open")), ("yaer:2023 x", .unknownField("yaer")),
        ("year:23", .badYear("23")), ("year:2025..2023", .badYear("2025..2023")), ("year:..", .badYear("..")),
        ("-year:2023", .excludedField("year")),
        ("group:cars", .badValue(field: "group", value: "cars", known: PaperGroup.allCases.map(\.rawValue))),
        ("author:\"Le", .unclosedQuote("Le")), (String(repeating: "a", count: 1001), .tooLong(1001)),
        (String(repeating: "a ", count: 65), .tooManyWords(65)),
    ]) func badQueriesAreOneLine(text: String, error: PaperQueryError) {
        #expect(throws: error) { try PaperQuery(text) }
        #expect(!"\(error)".contains("\n"))
    }

    /// Whatever is typed, only words between quotation marks reach FTS5.
    @Test(arguments: ["a\" OR title:b", "NEAR(a b)", "a* ^b", "{title} : x", "a AND NOT b", "'; DROP TABLE paper; --"])
    func nothingTypedIsSyntax(text: String) throws {
        guard let query = try? PaperQuery(text) else { return }
        let match: String = FullText.matchText(query.words.map { QueryTerm(words: [$0], weight: 1) })
        #expect(match.wholeMatch(of: /"[a-z0-9]+"( OR "[a-z0-9]+")*/) != nil, "\(match)")
    }
}
