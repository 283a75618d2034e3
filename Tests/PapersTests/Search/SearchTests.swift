import Foundation
import GRDB
import Synchronization
import Testing

@testable import Papers

@Suite struct SearchTests {
    private static let store: Result<PaperStore, any Error> = Result { try temporaryStore() }

    static func temporaryStore(
        cards: [PaperCard]? = nil, encoder: (any SentenceEncoder)? = nil, fullText: Bool? = nil,
        now: @escaping @Sendable () -> Date = { Date(timeIntervalSince1970: 1_800_000_000) }
    ) throws -> PaperStore {
        let folder: URL = FileManager.default.temporaryDirectory.appendingPathComponent("papers-\(UUID().uuidString)")
        return try PaperStore(folder.path + "/papers.db", cards: cards, encoder: encoder, fullText: fullText, now: now)
    }

    private func slugs(_ text: String, _ mode: SearchMode = .hybrid, _ limit: Int) throws -> [String] {
        try Self.store.get().search(try PaperQuery(text), mode: mode, limit: limit).map(\.paper.slug)
    }

    // MARK: What has to be found among Linnet's own papers

    @Test func linearLayer() throws {
        let wanted: Set<String> = [
            "activator", "linearscope", "memoryformer", "snnk", "scaling-mlps", "welore", "maestro", "dct-adamw", "one-step-gd",
            "projection-head", "distiller", "lssl", "icl-algorithms",
        ]
        let found: [String] = try slugs("linear layer", .hybrid, 15)
        #expect(wanted.intersection(found.prefix(10)).count >= 6, "\(found)")
        #expect(found.contains("lssl"), "\(found)")
    }

    @Test func linearAttention() throws {
        let wanted: Set<String> = ["gla", "deltanet", "transnormer", "lightnet", "mom", "liger", "lit", "one-step-gd"]
        let found: [String] = try slugs("linear attention", .hybrid, 5)
        #expect(wanted.intersection(found).count >= 4, "\(found)")
    }

    @Test func retrieval() throws { #expect(try slugs("retrieval", .hybrid, 3).contains("massiveds")) }

    @Test func timeSeries() throws { #expect(try Set(slugs("time series", .hybrid, 3)).isSuperset(of: ["s-mamba", "smetimes"])) }

    @Test func tabular() throws {
        let found: [String] = try slugs("tabular", .hybrid, 4)
        #expect(Set(found).intersection(["excelformer", "hopular", "tabred"]).count >= 3, "\(found)")
    }

    @Test func aMisspelling() throws {
        let found: [String] = try slugs("matryoska", .hybrid, 3)
        #expect(!Set(found).isDisjoint(with: ["starbucks", "matryoshka-kv"]), "\(found)")
        #expect(try slugs("matryos", .keyword, 3).contains("matryoshka-kv"), "as it is being typed")
    }

    @Test func judgedQueries() throws {
        let judged: [JudgedQuery] = try JudgedQuery.load()
        #expect(judged.count >= 25)
        let slugs: Set<String> = Set(try PaperCards.load().map(\.slug))
        for query in judged { #expect(slugs.isSuperset(of: query.relevant.keys), "\(query)") }
        let evaluation: SearchEvaluation = try Self.store.get().evaluate(judged)
        let (keyword, semantic, hybrid): (Double, Double, Double) = (
            evaluation.mean(.keyword), evaluation.mean(.semantic), evaluation.mean(.hybrid)
        )
        #expect(hybrid >= 0.75 && hybrid >= max(keyword, semantic) - 0.01, "keyword \(keyword), semantic \(semantic), hybrid \(hybrid)")
    }

    // MARK: How it is found

    @Test func whyAHitWasFound() throws {
        let hits: [SearchHit] = try Self.store.get().search(try PaperQuery("delta rules"), limit: 5)
        let hit: SearchHit = try #require(hits.first)
        #expect(hit.paper.slug == "deltanet")
        #expect(hit.why.matchedTerms.contains("delta") && hit.why.matchedTerms.contains("rules"))
        #expect(hit.why.snippet.contains { $0.isMatch && $0.text.lowercased().contains("delta") })
        #expect(hit.why.cosine ?? 0 > 0 && hit.why.keywordRank == 1)
        #expect(abs(hit.score - (1 / 61.0 + 1 / Double(60 + (hit.why.semanticRank ?? 0)))) < 1e-12)
        #expect(zip(hits, hits.dropFirst()).allSatisfy { $0.score >= $1.score })
    }

    @Test func filtersHoldInEveryMode() throws {
        for mode in SearchMode.allCases {
            let years: PaperQuery = try PaperQuery("attention year:2022..2023 group:sequence")
            let found: [Paper] = try Self.store.get().search(years, mode: mode, limit: 72).map(\.paper)
            #expect(!found.isEmpty && found.allSatisfy { (2022...2023).contains($0.year ?? 0) && $0.group == .sequence }, "\(mode)")
            let without: [String] = try slugs("linear attention -delta", mode, 72)
            #expect(!without.isEmpty && !without.contains("deltanet"), "\(mode)")
            let phrase: [String] = try slugs("\"delta rule\"", mode, 72)
            #expect(phrase.contains("deltanet") && !phrase.contains("lamb"), "\(mode)")
        }
        #expect(try slugs("module:deltanet", .hybrid, 5) == ["deltanet"], "a condition alone")
    }

    @Test func nothingIsFoundForNonsense() throws { #expect(try slugs("zzqxv", .hybrid, 5).isEmpty) }

    @Test func neighboursOfAPaper() throws {
        let near: [SearchHit] = try Self.store.get().similar(to: "gla", limit: 5)
        #expect(near.count == 5 && !near.contains { $0.paper.slug == "gla" })
        #expect(near.prefix(3).contains { ["deltanet", "mom", "liger"].contains($0.paper.slug) }, "\(near.map(\.paper.slug))")
    }

    // MARK: Agreement

    /// The index in the process gives FTS5's scores to rounding, for words, phrases and weights.
    @Test(arguments: ["linear layer", "low rank gradient", "retrieval", "kd", "theory of attention", "\"delta rule\" recall"])
    func scoresAreThoseOfSQLite(text: String) throws {
        let store: PaperStore = try Self.store.get()
        try store.pool.read { database in
            let sqlite: FullText = try store.fullText(database)
            guard case .sqlite = sqlite else {
                Issue.record("this SQLite has no FTS5")
                return
            }
            let own: FullText = .process(try BM25Index(database), database)
            let terms: [QueryTerm] = try QueryExpansion(vocabulary: sqlite.vocabulary).terms(of: try PaperQuery(text))
            #expect(try QueryExpansion(vocabulary: own.vocabulary).terms(of: try PaperQuery(text)) == terms)
            let theirs: [FullText.Match] = try sqlite.best(terms, where: [], depth: 72)
            let ours: [Int64: Double] = Dictionary(
                uniqueKeysWithValues: try own.best(terms, where: [], depth: 72).map { ($0.id, $0.score) })
            #expect(!theirs.isEmpty && theirs.count == ours.count)
            for match in theirs { #expect(abs(match.score - (ours[match.id] ?? .nan)) <= 1e-9 * max(1, match.score)) }
        }
    }

    /// The definition, on a collection that is computed by hand.
    @Test func theFormulaOfBM25() {
        let index: BM25Index = BM25Index([
            (1, ["", "gate", "", "", "", ""]), (2, ["", "", "", "gate gate tree", "", ""]), (3, ["", "tree", "", "", "", ""]),
            (4, ["", "lake lake lake", "", "", "", ""]),
        ])
        let scores: [Int64: Double] = index.scores([QueryTerm(words: ["lake"], weight: 1)])
        let frequency: Double = 18
        let expected: Double = log(3.5 / 1.5) * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * 3 / 2))
        #expect(scores.count == 1 && abs(scores[4]! - expected) < 1e-12)
        #expect(index.scores([QueryTerm(words: ["gate"], weight: 1)])[2]! > 0, "half of all: as rare as FTS5 says, 1e-6")
    }

    @Test func withoutFTS5TheRankingIsTheSame() throws {
        let plain: PaperStore = try Self.temporaryStore(fullText: false)
        for text in ["linear layer", "retrieval", "attention -delta year:2023..2025", "\"delta rule\"", "matryoska"] {
            for mode in SearchMode.allCases {
                let found: [SearchHit] = try plain.search(try PaperQuery(text), mode: mode, limit: 10)
                #expect(try found.map(\.paper.slug) == slugs(text, mode, 10), "\(text), \(mode)")
            }
        }
        let finding: Diagnosis? = try plain.diagnose().first { $0.name == "full text" }
        #expect(finding?.isFine == true && finding?.finding.contains("no FTS5") == true)
    }

    @Test func writingTheTextAnewChangesNothing() throws {
        let store: PaperStore = try Self.temporaryStore()
        let query: PaperQuery = try PaperQuery("linear layer")
        let before: [Double] = try store.search(query, mode: .keyword, limit: 50).map(\.score)
        try store.rebuildText()
        #expect(try store.search(query, mode: .keyword, limit: 50).map(\.score) == before)
        #expect(try store.diagnose().allSatisfy(\.isFine))
    }

    // MARK: Vectors

    /// Encodes a text as its number of letters, and counts its calls.
    private final class Lengths: SentenceEncoder {
        let id: String = "lengths"
        let dimensions: Int = 2
        let textsOnTheWay: Int
        let calls: Counter = Counter()

        init(textsOnTheWay: Int) { self.textsOnTheWay = textsOnTheWay }

        func encode(_ texts: [String]) -> [[Float]] {
            calls.add(texts.count)
            return texts.map { text in
                let angle: Float = Float(text.count) / 1000
                return [cos(angle), sin(angle)]
            }
        }
    }

    @Test func textsAreEncodedOnce() throws {
        let encoder: Lengths = Lengths(textsOnTheWay: 50)
        let store: PaperStore = try Self.temporaryStore(encoder: encoder)
        let query: PaperQuery = try PaperQuery("gate")
        #expect(try store.search(query, mode: .semantic, limit: 100).count == 50, "as many as may be encoded on the way")
        #expect(encoder.calls.count == 51)
        #expect(try store.encodePapers() == 0)
        #expect(try store.search(query, mode: .semantic, limit: 100).count == 72)
        #expect(encoder.calls.count == 74)
        let again: PaperStore = try PaperStore(store.path, encoder: encoder)
        _ = try again.search(query, mode: .semantic, limit: 5)
        #expect(encoder.calls.count == 75, "only the query")
        var card: PaperCard = try #require(PaperCards.load().first)
        card.summary += " Now."
        try again.update(cards: [card])
        _ = try again.search(query, mode: .semantic, limit: 5)
        #expect(encoder.calls.count == 77, "the query and the one text that changed")
    }

    @Test func theModelFollowsTheCatalogue() throws {
        let store: PaperStore = try Self.temporaryStore()
        let first: String = try store.latentSemanticModel().id
        #expect(try store.latentSemanticModel().id == first)
        _ = try store.importPapers(Data("Zebra stripes\n\nZebras have stripes that a zoologist counts.\n".utf8))
        #expect(try store.latentSemanticModel().id != first)
        #expect(try store.search(try PaperQuery("zebra"), mode: .semantic, limit: 1).first?.paper.slug == "zebra-stripes")
        let encoders: [String] = try store.pool.read { try String.fetchAll($0, sql: "SELECT DISTINCT encoder FROM embedding") }
        #expect(encoders.count == 1, "vectors of an older model go")
    }

    /// Folding a text in gives the vector that the decomposition gives it, up to length: rows of U S are the texts in the new axes.
    @Test func foldingInIsProjection() throws {
        let texts: [String] = ["red green blue", "green blue yellow", "lake river sea", "river sea shore", "red lake"]
        let model: LatentSemanticModel = LatentSemanticModel(id: "lsa-test", fitting: texts)
        let vectors: [[Float]] = model.encode(texts)
        #expect(model.dimensions == 5)
        for vector in vectors { #expect(abs(vector.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5) }
        func cosine(_ left: Int, _ right: Int) -> Float { zip(vectors[left], vectors[right]).reduce(0) { $0 + $1.0 * $1.1 } }
        // With as many axes as texts nothing is lost: cosines are those of the tf-idf vectors.
        let shared: Float = pow(log(Float(2.5)), 2)
        let length: Float = 2 * shared + pow(log(Float(5)), 2)
        let first: Float = 3 * shared
        #expect(abs(cosine(0, 1) - 2 * shared / (first * length).squareRoot()) < 1e-5)
        #expect(abs(cosine(0, 2)) < 1e-5)
        #expect(model.encode(["unknown words"]) == [[0, 0, 0, 0, 0]])
    }
}

/// Counts across threads.
final class Counter: Sendable {
    private let value: Mutex<Int> = Mutex(0)
    var count: Int { value.withLock { $0 } }
    func add(_ amount: Int) { value.withLock { $0 += amount } }
}
