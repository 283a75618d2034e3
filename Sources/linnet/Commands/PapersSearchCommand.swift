import ArgumentParser
import Foundation
import Papers

/// The flag that chooses what semantic search compares papers by.
struct EncoderOptions: ParsableArguments {
    @Option(
        help: """
            Folder of a sentence encoder of the BERT family in Hugging Face format, such as all-MiniLM-L6-v2 (default: $LINNET_ENCODER, else a \
            model of the catalogue's own words).
            """)
    var encoder: String?

    func load() throws -> (any SentenceEncoder)? {
        let folder: String? = encoder ?? ProcessInfo.processInfo.environment["LINNET_ENCODER"]
        guard let folder, !folder.isEmpty else { return nil }
        return try BertPaperEncoder(folder: folder)
    }
}

struct PapersSearchCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "search", abstract: "Search papers by words and by meaning.",
        discussion: """
            Bare words are alternatives, "words in quotes" have to occur, -word must not. year:2023, year:2023..2025, group:sequence,
            status:reproduced, module:DeltaNet and author:name filter. Words after -- may begin with a hyphen.

            Examples:
              linnet papers search linear attention
              linnet papers search '"delta rule" year:2024..'
              linnet papers search --mode keyword --json -- quantization -survey
            """)

    @OptionGroup var options: PapersOptions
    @OptionGroup var encoder: EncoderOptions
    @Argument(help: "What to search for.")
    var query: [String]
    @Option(help: "keyword, semantic or hybrid.")
    var mode: SearchMode = .hybrid
    @Option(help: "Most papers to show.")
    var limit: Int = 10

    func run() async throws {
        guard limit > 0 else { throw ValidationError("--limit has to be at least 1") }
        let query: PaperQuery = try PaperQuery(query.joined(separator: " "))
        let store: PaperStore = try options.store(encoder: mode == .keyword ? nil : encoder.load())
        let hits: [SearchHit] = try store.search(query, mode: mode, limit: limit)
        try options.show(hits) { hits.isEmpty ? "no paper was found" : PaperLines.hits(hits) }
    }
}

struct PapersSimilarCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "similar", abstract: "Show the papers nearest in meaning to a paper.",
        discussion: """
            Example:
              linnet papers similar gla --limit 5
            """)

    @OptionGroup var options: PapersOptions
    @OptionGroup var encoder: EncoderOptions
    @Argument(help: "The paper's slug.")
    var slug: String
    @Option(help: "Most papers to show.")
    var limit: Int = 10

    func run() async throws {
        guard limit > 0 else { throw ValidationError("--limit has to be at least 1") }
        let hits: [SearchHit] = try options.store(encoder: encoder.load()).similar(to: slug, limit: limit)
        try options.show(hits) { hits.isEmpty ? "no paper is near" : PaperLines.hits(hits) }
    }
}

struct PapersTrendingCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "trending", abstract: "Show the papers that are talked about most.",
        discussion: """
            \(Trend.formula).

            Example:
              linnet papers trending --limit 5
            """)

    private struct Entry: Encodable {
        let paper: Paper
        let score: Double
    }

    @OptionGroup var options: PapersOptions
    @OptionGroup var choice: PaperFilterOptions
    @Option(help: "Most papers to show.")
    var limit: Int = 10

    func run() async throws {
        guard limit > 0 else { throw ValidationError("--limit has to be at least 1") }
        let entries: [Entry] = try options.store().trending(choice.filter, limit: limit).map { Entry(paper: $0.paper, score: $0.score) }
        try options.show(entries) {
            entries.map { String(format: "%6.2f", $0.score) + "  \($0.paper.slug): \($0.paper.title)" }.joined(separator: "\n")
        }
    }
}

struct PapersEvalCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "eval", abstract: "Measure search on judged queries: nDCG@10 of each mode.",
        discussion: """
            Examples:
              linnet papers eval
              linnet papers eval --encoder models/all-MiniLM-L6-v2 --judgements queries.yaml
            """)

    @OptionGroup var options: PapersOptions
    @OptionGroup var encoder: EncoderOptions
    @Option(help: "A YAML list of query and relevant, a mapping of slugs to 1, 2 or 3 (default: Linnet's own).")
    var judgements: String?

    func run() async throws {
        let judged: [JudgedQuery] = try judgements.map { try JudgedQuery.load(URL(fileURLWithPath: $0)) } ?? JudgedQuery.load()
        let evaluation: SearchEvaluation = try options.store(encoder: encoder.load()).evaluate(judged)
        try options.show(evaluation) { Self.table(evaluation) }
    }

    private static func table(_ evaluation: SearchEvaluation) -> String {
        let modes: [SearchMode] = SearchMode.allCases
        let width: Int = evaluation.results.map(\.query.count).max() ?? 0
        func row(_ name: String, _ values: [String]) -> String {
            name.padding(toLength: max(width, 10), withPad: " ", startingAt: 0) + values.map { "  " + $0 }.joined()
        }
        func figure(_ value: Double) -> String { String(format: "%8.3f", value) }
        let heading: String = row("nDCG@10", modes.map { String(repeating: " ", count: max(0, 8 - $0.rawValue.count)) + $0.rawValue })
        let lines: [String] = evaluation.results.map { result in row(result.query, modes.map { figure(result.gains[$0.rawValue] ?? 0) }) }
        return ([heading] + lines + [row("mean", modes.map { figure(evaluation.mean($0)) }), "encoder: \(evaluation.encoder)"])
            .joined(separator: "\n")
    }
}
