import ArgumentParser
import Foundation
import Papers
import Torch
import Training

struct PapersImportCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "import", abstract: "Import papers from files, or from arXiv.",
        discussion: """
            A file is an answer of arXiv's query interface (Atom), a BibTeX file, or a plain listing: a title, an empty line, an abstract, an
            empty line, and so on. A paper that is known, by its arXiv identifier or its title, learns what it lacks. After an error nothing of
            the file is there.

            --fetch asks arXiv's query interface, three seconds between two requests; nothing else here uses the network. Words and "phrases"
            have to be somewhere in a paper; a query with fields (ti:, au:, abs:, cat: and others) is in the interface's own language.

            Examples:
              linnet papers import arxiv.xml
              linnet papers import references.bib trending.txt --json
              linnet papers import --fetch '"linear attention" recall' --most 20
              linnet papers import --fetch 'cat:cs.LG AND ti:"state space"' --order submitted
            """)

    @OptionGroup var options: PapersOptions
    @Argument(help: "Files to import.")
    var files: [String] = []
    @Option(help: "auto, arxiv, bibtex or listing.")
    var format: ImportFormat = .auto
    @Option(help: "A query that arXiv is asked for.")
    var fetch: String?
    @Option(help: "Most papers to take from arXiv.")
    var most: Int = 50
    @Option(help: "What arXiv gives first: relevance, submitted or updated.")
    var order: ArXivQuery.Order = .relevance
    @Option(name: .customLong("arxiv-address"), help: "Address of the query interface, for a mirror.")
    var address: String = ArXivClient.standardAddress
    @Flag(help: "Use no network: --fetch is an error.")
    var offline: Bool = false

    func run() async throws {
        if files.isEmpty, fetch == nil { throw ValidationError("give files to import, or --fetch QUERY") }
        if offline, fetch != nil { throw ValidationError("--offline forbids --fetch") }
        // Checked before anything is written.
        let query: ArXivQuery? = try fetch.map { try ArXivQuery($0, order: order, most: most) }
        let client: ArXivClient = try ArXivClient(address: address)
        let store: PaperStore = try options.store()
        var reports: [String: ImportReport] = [:]
        for file in files {
            let data: Data = Data(try readFile(file))
            do {
                reports[file] = try store.importPapers(data, format: format)
            } catch let error as ImportError {
                throw ValidationError("\(file), \(error)")
            }
        }
        if let query {
            reports[Self.arXiv] = try await store.importPapers(query, from: client) { count in
                FileHandle.standardError.write(Data("arXiv: \(count) papers\n".utf8))
            }
        }
        // The vectors now, so that the first search does not wait for them.
        try store.encodePapers()
        let sources: [String] = files + (query == nil ? [] : [Self.arXiv])
        try options.show(reports) { sources.compactMap { name in reports[name].map { Self.lines(name, $0) } }.joined(separator: "\n") }
    }

    /// What the report on arXiv's answer is called among those on files.
    private static let arXiv: String = "arXiv"

    private static func lines(_ file: String, _ report: ImportReport) -> String {
        let summary: String = "\(file): \(report.added.count) added, \(report.merged.count) merged, \(report.skipped.count) skipped"
        let shown: Int = 20
        let skipped: [String] = report.skipped.prefix(shown).map { "  skipped \($0.title): \($0.reason)" }
        let rest: [String] = report.skipped.count > shown ? ["  and \(report.skipped.count - shown) others (--json shows all)"] : []
        return ([summary] + skipped + rest).joined(separator: "\n")
    }
}

struct PapersExportCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "export", abstract: "Export papers as BibTeX, which an import reads back.",
        discussion: """
            Examples:
              linnet papers export > papers.bib
              linnet papers export --group sequence --out sequence.bib
            """)

    @OptionGroup var options: PapersOptions
    @OptionGroup var choice: PaperFilterOptions
    @Option(help: "A file (default: standard output).")
    var out: String?

    func run() async throws {
        let store: PaperStore = try options.store()
        if options.json {
            return try options.show(try store.listing(choice.filter, order: .new, limit: try max(1, store.count(choice.filter)))) { "" }
        }
        let text: String = try store.bibTeX(choice.filter)
        guard let out else { return print(text, terminator: "") }
        try AtomicFile.write(text, to: out)
    }
}

struct PapersEncodeCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "encode", abstract: "Encode papers for semantic search ahead of the first one.",
        discussion: """
            A search encodes new papers on the way, of a BERT encoder a few hundred. This encodes all, and goes on where it was stopped.

            Example:
              linnet papers encode --encoder models/all-MiniLM-L6-v2
            """)

    @OptionGroup var options: PapersOptions
    @OptionGroup var encoder: EncoderOptions

    func run() async throws {
        let store: PaperStore = try options.store(encoder: encoder.load())
        var encoded: Int = 0
        try store.encodePapers { done, left in
            encoded = done
            FileHandle.standardError.write(Data("\(done) papers encoded, \(left) to go\n".utf8))
        }
        try options.show(["encoded": encoded]) { "\(encoded) papers encoded" }
    }
}
