import Foundation
import GRDB
import Testing

@testable import Papers

/// What a search does otherwise where a catalogue, or what a filter admits of it, is large.
@Suite struct LargeCatalogueSearchTests {
    // MARK: Common words

    /// 30,000 rows of words: two of five have an elm, one in 40 in the title; one in 101 has an ash, four have a yew.
    private static let forest: Result<PaperStore, any Error> = Result {
        let store: PaperStore = try SearchTests.temporaryStore(cards: [])
        try store.pool.write { database in
            try database.execute(
                sql: """
                    WITH RECURSIVE row(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM row WHERE i < 30000)
                    INSERT INTO paperText (rowid, slug, title, summary, abstract, keywords, claim)
                    SELECT i, '', 'wood' || iif(i % 40 = 0, ' elm', ''), '',
                        iif(i % 5 < 2, 'elm ', 'oak ') || iif(i % 101 = 0, 'ash ', '') || iif(i % 6001 = 0, 'yew ', '')
                            || iif(i % 7 = 0, 'moss fern', ''), '', '' FROM row
                    """)
        }
        return store
    }

    /// The best papers for some words as they are and as FTS5 alone ranks all of them.
    private func ranked(
        _ words: [String: Double], depth: Int, among few: [Int64]? = nil
    ) throws -> (found: [FullText.Match], all: [FullText.Match]) {
        let terms: [QueryTerm] = words.sorted { $0.key < $1.key }.map {
            QueryTerm(words: [$0.key], weight: $0.value)
        }
        let store: PaperStore = try Self.forest.get()
        return try store.pool.read { database in
            let scores: [Int64: Double] = try FullText.scores(terms) { terms in
                try FullText.matches(FullText.matchText(terms), [], .max, database)
            }
            let all: [FullText.Match] = scores.map { (id: $0.key, score: $0.value) }.sorted {
                ($1.score, $0.id) < ($0.score, $1.id)
            }
            return (try store.fullText(database).best(terms, where: [], among: few, depth: depth), all)
        }
    }

    private func areEqual(
        _ left: some Collection<FullText.Match>, _ right: some Collection<FullText.Match>
    ) -> Bool {
        left.count == right.count
            && zip(left, right).allSatisfy { $0.id == $1.id && abs($0.score - $1.score) <= 1e-9 }
    }

    /// The papers that are looked at; nil for all.
    private func candidates(_ words: [String], depth: Int = 100) throws -> Set<Int64>? {
        let terms: [QueryTerm] = words.map { QueryTerm(words: [$0], weight: 1) }
        let store: PaperStore = try Self.forest.get()
        return try store.pool.read { database in
            try FullText.candidates(terms, [], depth, SQLiteVocabulary(database: database, caches: store.caches)).map { Set($0) }
        }
    }

    @Test func onlySomeAreLookedAt() throws {
        let rows: ClosedRange<Int64> = 1...30_000
        #expect(try candidates(["elm", "ash"]) == Set(rows.filter { $0 % 101 == 0 }))
        #expect(try candidates(["elm", "yew"]) == Set(rows.filter { $0 % 40 == 0 || $0 % 6001 == 0 }))
        #expect(try candidates(["oak", "elm"]) == Set(rows.filter { $0 % 40 == 0 }))
        #expect(try candidates(["ash", "moss"]) == nil, "few enough")
        #expect(try candidates(["oak"]) == nil, "in no title")
        #expect(try candidates(["elm", "ash"], depth: 1001) == nil)
    }

    /// The common word finds nothing itself, yet its score is in the sum.
    @Test func aCommonWordBesideARareOne() throws {
        for weight in [1, 0.5] {
            let (found, all): ([FullText.Match], [FullText.Match]) = try ranked(
                ["elm": weight, "ash": 1], depth: 100)
            #expect(areEqual(found, all.prefix(100)))
            let (alone, _): ([FullText.Match], [FullText.Match]) = try ranked(["ash": 1], depth: 100)
            #expect(!areEqual(found, alone))
        }
    }

    /// Where the rarer word finds too few, papers follow that have the common one in the title, with the scores that are theirs.
    @Test(arguments: [["elm": 1.0, "yew": 1], ["elm": 1], ["elm": 0.5, "oak": 1]]) func titlesFollow(
        words: [String: Double]
    ) throws {
        let (found, all): ([FullText.Match], [FullText.Match]) = try ranked(words, depth: 100)
        let scores: [Int64: Double] = Dictionary(uniqueKeysWithValues: all.map { ($0.id, $0.score) })
        #expect(found.count == 100)
        for match in found {
            #expect(match.id % 40 == 0 || match.id % 6001 == 0 && words["yew"] != nil)
        }
        #expect(found.allSatisfy { abs($0.score - (scores[$0.id] ?? .nan)) <= 1e-9 })
        if words["oak"] == nil { #expect(areEqual(found, all.prefix(100)), "here the title decides") }
    }

    /// A word of no title, and whoever wants thousands, is answered by scoring all.
    @Test func allAreScoredWhereTheyHaveTo() throws {
        let (found, all): ([FullText.Match], [FullText.Match]) = try ranked(["oak": 1], depth: 100)
        #expect(areEqual(found, all.prefix(100)))
        let (many, every): ([FullText.Match], [FullText.Match]) = try ranked(
            ["elm": 1, "ash": 1], depth: 20_000)
        #expect(many.count > 12_000 && areEqual(many, every))
    }

    /// A word of very many titles is looked for in those that were added last.
    @Test func aWordOfAllTitles() throws {
        let found: [FullText.Match] = try ranked(["wood": 1], depth: 100).found
        #expect(found.count == 100 && found.allSatisfy { $0.id > 20_000 })
    }

    @Test func fewPapersAreScoredAlone() throws {
        let few: [Int64] = [3, 202, 404, 40, 41, 29_998]
        let (found, all): ([FullText.Match], [FullText.Match]) = try ranked(
            ["elm": 1, "ash": 0.5], depth: 100, among: few)
        #expect(found.count == 4 && areEqual(found, all.filter { few.contains($0.id) }))
        #expect(try ranked(["elm": 1], depth: 100, among: []).found.isEmpty)
    }

    // MARK: Filters that admit many

    /// Encodes a text as an angle that grows with its length.
    private struct Lengths: SentenceEncoder {
        let id: String = "lengths"
        let dimensions: Int = 2
        let textsOnTheWay: Int = .max

        func encode(_ texts: [String]) -> [[Float]] {
            texts.map { text in
                let angle: Float = atan(Float(text.count) / 300)
                return [cos(angle), sin(angle)]
            }
        }
    }

    /// Conditions that admit more than a thousand papers, the nearest not among them, leave what a search without them finds.
    @Test(arguments: SearchMode.allCases) func wideFilters(mode: SearchMode) throws {
        let store: PaperStore = try SearchTests.temporaryStore(encoder: Lengths())
        let lines: [String] = (0..<1600).map { number in
            "Gate \(number)\n\n\(number < 450 ? "Near" : "Far") \(String(repeating: "x", count: number)).\n"
        }
        _ = try store.importPapers(Data(lines.joined(separator: "\n").utf8))
        let all: [SearchHit] = try store.search(try PaperQuery("gate"), mode: mode, limit: 2000)
        let wanted: [SearchHit] = all.filter {
            $0.paper.group == .imported && $0.paper.abstract?.hasPrefix("Far") == true
        }
        #expect(wanted.count == 1150)
        for limit in [100, 1150] {
            let found: [SearchHit] = try store.search(
                try PaperQuery("gate -near group:imported"), mode: mode, limit: limit)
            #expect(
                found.count == limit
                    && Set(wanted.map(\.paper.slug)).isSuperset(of: found.map(\.paper.slug)))
            if mode == .hybrid { continue }
            #expect(
                zip(found, wanted).allSatisfy { abs($0.score - $1.score) < 1e-6 },
                "their scores are those of a search without conditions")
        }
    }

    // MARK: Unknown words

    @Test func theStemsOfANewPaperStandIn() throws {
        let store: PaperStore = try SearchTests.temporaryStore()
        #expect(try store.search(try PaperQuery("zoologyst"), mode: .keyword).isEmpty)
        _ = try store.importPapers(Data("Stripes\n\nZebras have stripes that zoologists count.\n".utf8))
        #expect(
            try store.search(try PaperQuery("zoologyst"), mode: .keyword).map(\.paper.slug) == ["stripes"]
        )
    }
}
