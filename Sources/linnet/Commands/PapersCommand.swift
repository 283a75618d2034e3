import ArgumentParser
import Foundation
import Papers

struct PapersCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "papers",
        abstract: "Find papers: Linnet's own and those that you import.",
        discussion: """
            The catalogue is one SQLite file: $LINNET_PAPERS, or papers.db in the user's data folder, or what --db names.

            Examples:
              linnet papers list --group sequence
              linnet papers show gla
              linnet papers search "linear attention" year:2023..2025
              linnet papers open gla
              linnet papers import arxiv.xml references.bib
              linnet papers trending
            """,
        subcommands: [
            PapersListCommand.self,
            PapersShowCommand.self,
            PapersOpenCommand.self,
            PapersSearchCommand.self,
            PapersSimilarCommand.self,
            PapersTrendingCommand.self,
            PapersImportCommand.self,
            PapersExportCommand.self,
            PapersAddCommand.self,
            PapersEditCommand.self,
            PapersNoteCommand.self,
            PapersUpvoteCommand.self,
            PapersEncodeCommand.self,
            PapersEvalCommand.self,
            PapersDoctorCommand.self,
            PapersFeedCommand.self,
            PapersDigestCommand.self,
            PapersSubscribersCommand.self,
        ], defaultSubcommand: PapersListCommand.self)
}

/// The flags that choose papers.
struct PaperFilterOptions: ParsableArguments {
    @Option(help: "Only this group; may be repeated.")
    var group: [PaperGroup] = []
    @Option(help: "Only this status; may be repeated.")
    var status: [PaperStatus] = []
    @Option(help: "Only papers from here: builtin, arxiv, bibtex, listing, manual; may be repeated.")
    var source: [PaperSource] = []
    @Option(help: "Only this year; may be repeated.")
    var year: [Int] = []

    var filter: PaperFilter {
        PaperFilter(groups: Set(group), statuses: Set(status), sources: Set(source), years: year.map { $0...$0 })
    }
}

struct PapersListCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "list", abstract: "List papers.",
        discussion: """
            Examples:
              linnet papers list --order title
              linnet papers list --group efficiency --status reproduced --json
            """)

    @OptionGroup var options: PapersOptions
    @OptionGroup var choice: PaperFilterOptions
    @Option(help: "trending, new or title.")
    var order: PaperOrder = .trending
    @Option(help: "Most papers to list.")
    var limit: Int = 100
    @Option(help: "Papers to pass over.")
    var offset: Int = 0

    func run() async throws {
        guard limit > 0, offset >= 0 else { throw ValidationError("--limit has to be at least 1 and --offset at least 0") }
        let store: PaperStore = try options.store()
        let papers: [Paper] = try store.listing(choice.filter, order: order, limit: limit, offset: offset)
        let count: Int = try store.count(choice.filter)
        try options.show(papers) {
            let rest: String = papers.count < count ? "\n\(papers.count) of \(count) papers; --limit and --offset show others" : ""
            return papers.isEmpty ? "no paper is so" : PaperLines.table(papers) + rest
        }
    }
}

struct PapersShowCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "show", abstract: "Show a paper: claim, component, runs.",
        discussion: """
            Example:
              linnet papers show deltanet
            """)

    private struct Details: Encodable {
        let paper: Paper
        let authors: [String]
        let keywords: [String]
        let votes: Int
        let trend: Double
        let runs: [PaperRun]
    }

    @OptionGroup var options: PapersOptions
    @Argument(help: "The paper's slug.")
    var slug: String

    func run() async throws {
        let store: PaperStore = try options.store()
        let paper: Paper = try store.paper(slug)
        let details: Details = Details(
            paper: paper, authors: try store.authors(of: paper), keywords: try store.keywords(of: paper), votes: try store.votes(of: slug),
            trend: try store.trend(of: paper), runs: try store.runs(of: slug, limit: 10))
        try options.show(details) { Self.lines(details) }
    }

    private static func lines(_ details: Details) -> String {
        let paper: Paper = details.paper
        let fields: [(name: String, value: String?)] = [
            ("authors", details.authors.isEmpty ? nil : details.authors.joined(separator: ", ")), ("year", paper.year.map(String.init)),
            ("arXiv", paper.arxivAddress), ("DOI", paper.doi), ("code", paper.code),
            ("group", paper.group.title), ("status", paper.status.rawValue), ("summary", paper.summary), ("claim", paper.claim),
            ("figure", paper.figure), ("abstract", paper.abstract), ("component", component(paper)), ("command", paper.command),
            ("keywords", details.keywords.joined(separator: ", ")), ("note", paper.curatorNote),
            ("trend", String(format: "%.2f", details.trend) + ", votes \(details.votes)"),
        ]
        let runs: [String] = details.runs.map { run in
            "run        \(run.startedAt.formatted(.iso8601)) \(run.scale.rawValue), \(run.seeds) seeds: \(run.verdict.rawValue)"
                + " (\(run.claimsShown) of \(run.claims) claims, \(Int(run.seconds)) s)"
        }
        let lines: [String] = fields.compactMap { name, value in
            guard let value, !value.isEmpty else { return nil }
            return name.padding(toLength: 11, withPad: " ", startingAt: 0) + value
        }
        return (["\(paper.slug): \(paper.title)"] + lines + runs + (paper.swift.map { ["", $0] } ?? [])).joined(separator: "\n")
    }

    private static func component(_ paper: Paper) -> String? {
        guard let library = paper.library else { return nil }
        return paper.symbol.map { "\(library).\($0)" } ?? "\(library), not built yet"
    }
}
