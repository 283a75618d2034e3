import Experiments
import Foundation
import Testing

@testable import Papers

@Suite struct CardTests {
    private let cards: [PaperCard]

    init() throws { cards = try PaperCards.load() }

    @Test func thereAreSeventyTwoInOrder() {
        #expect(cards.map(\.order) == Array(1...72))
        for keyPath: KeyPath<PaperCard, String> in [\.slug, \.arxiv, \.title] {
            #expect(Set(cards.map { $0[keyPath: keyPath] }).count == 72)
        }
    }

    @Test func identifiersAgreeWithYears() {
        for card in cards {
            #expect(card.arxiv.wholeMatch(of: /\d{4}\.\d{4,5}/) != nil, "\(card.slug)")
            #expect(card.arxiv.prefix(2) == String(card.year).suffix(2), "\(card.slug)")
        }
    }

    @Test func textsKeepTheirLengths() {
        for card in cards {
            #expect((60...240).contains(card.summary.count), "\(card.slug): a summary of \(card.summary.count) characters")
            #expect(card.claim.count <= 220 && !card.claim.contains("\n"), "\(card.slug): a claim of \(card.claim.count) characters")
            #expect(!card.figure.isEmpty && card.figure.count <= 70 && (4...8).contains(card.keywords.count), "\(card.slug)")
        }
    }

    /// A card says what is built, so it has to agree with the experiments and the sources.
    @Test func builtPapersAreThoseWithAnExperiment() throws {
        let built: [PaperCard] = cards.filter { $0.symbol != nil }
        #expect(Set(built.map(\.slug)) == Set(ExperimentCatalogue.slugs))
        for card in built {
            #expect(card.command?.hasPrefix("linnet ") == true && card.swift != nil, "\(card.slug)")
            let symbol: String = try #require(card.symbol)
            #expect(try Self.declares(symbol, library: card.library), "\(card.slug): no public \(symbol) in \(card.library)")
        }
        #expect(cards.filter { $0.symbol == nil }.allSatisfy { $0.command == nil && $0.swift == nil })
    }

    @Test func programsAreThoseThatTheCompilerReads() throws {
        let examples: String = Self.squeezed(
            try String(contentsOf: Self.root.appendingPathComponent("Tests/PapersTests/CardExamples.swift"), encoding: .utf8))
        for card in cards {
            guard let program = card.swift else { continue }
            let lines: [Substring] = program.split(separator: "\n")
            #expect(lines.count <= 10, "\(card.slug): \(lines.count) lines")
            let body: String = Self.squeezed(lines.filter { !$0.hasPrefix("import ") }.joined(separator: "\n"))
            #expect(!body.isEmpty && examples.contains(body), "\(card.slug): CardExamples.swift has another program")
        }
    }

    @Test func programsRun() throws {
        try CardExamples.dctAdamW()
        try CardExamples.deltanet()
        try CardExamples.duoLLM()
        try CardExamples.fourierHead()
        try CardExamples.gammaMoD()
        try CardExamples.gla()
        try CardExamples.hyperzzw()
        try CardExamples.layerwiseQuantization()
        try CardExamples.lamb()
        try CardExamples.lGreCo()
        try CardExamples.liger()
        try CardExamples.lightnet()
        try CardExamples.lit()
        try CardExamples.lssl()
        try CardExamples.maestro()
        try CardExamples.memoryFormer()
        try CardExamples.matryoshkaKV()
        try CardExamples.mom()
        try CardExamples.redco()
        try CardExamples.multilevel()
        try CardExamples.sMamba()
        try CardExamples.snnk()
        try CardExamples.transnormer()
        try CardExamples.welore()
    }

    @Test func aCardUnderAnotherNameIsRefused() throws {
        let folder: URL = FileManager.default.temporaryDirectory.appendingPathComponent("cards-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let text: String = try String(contentsOf: Self.root.appendingPathComponent("Sources/Papers/Cards/gla.yaml"), encoding: .utf8)
        let file: URL = folder.appendingPathComponent("glas.yaml")
        try text.write(to: file, atomically: true, encoding: .utf8)
        #expect(throws: PaperError.self) { try PaperCards.load(folder) }
        try FileManager.default.moveItem(at: file, to: folder.appendingPathComponent("gla.yaml"))
        #expect(try PaperCards.load(folder).map(\.slug) == ["gla"])
        try "slug: broken\n".write(to: folder.appendingPathComponent("broken.yaml"), atomically: true, encoding: .utf8)
        #expect(throws: PaperError.self) { try PaperCards.load(folder) }
    }

    private static let root: URL = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    private static func squeezed(_ text: String) -> String { text.filter { !$0.isWhitespace } }

    private static func declares(_ symbol: String, library: String) throws -> Bool {
        let folder: URL = root.appendingPathComponent("Sources/\(library)")
        let pattern: Regex<AnyRegexOutput> = try Regex("public (final )?(class|struct|enum|func|protocol|actor) \(symbol)\\b")
        let files: [URL] = (FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil)?.compactMap { $0 as? URL } ?? [])
            .filter { $0.pathExtension == "swift" }
        return try files.contains { try String(contentsOf: $0, encoding: .utf8).firstMatch(of: pattern) != nil }
    }
}
