import ArgumentParser
import Foundation
import Papers

/// The flags that describe a paper.
struct PaperChangeOptions: ParsableArguments {
    @Option(help: "The abstract.")
    var abstract: String?
    @Option(help: "An author's name; may be repeated.")
    var author: [String] = []
    @Option(help: "The arXiv identifier, such as 2406.06484.")
    var arxiv: String?
    @Option(help: "The year of the first version.")
    var year: Int?
    @Option(help: "The repository: owner/name on GitHub, or an address.")
    var code: String?
    @Option(help: "A keyword; may be repeated.")
    var keyword: [String] = []

    func changes(title: String?) -> PaperChanges {
        PaperChanges(
            title: title, abstract: abstract, authors: author.isEmpty ? nil : author, arxivID: arxiv, year: year, code: code,
            keywords: keyword.isEmpty ? nil : keyword)
    }
}

struct PapersAddCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "add", abstract: "Add a paper by hand.",
        discussion: """
            Example:
              linnet papers add --title "Gated Delta Networks" --arxiv 2412.06464 --author "Songlin Yang" --keyword "delta rule"
            """)

    @OptionGroup var options: PapersOptions
    @Option(help: "The title.")
    var title: String
    @OptionGroup var details: PaperChangeOptions

    func run() async throws {
        let report: ImportReport = try options.store().add(details.changes(title: title))
        try options.show(report) {
            (report.added.map { "added \($0)" } + report.merged.map { "merged into \($0)" }).joined(separator: "\n")
        }
    }
}

struct PapersEditCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "edit", abstract: "Change a paper that you brought.",
        discussion: """
            What is not given stays. Linnet's own cards are changed by their files; give them a note instead.

            Example:
              linnet papers edit gated-delta-networks --year 2024 --code NVlabs/GatedDeltaNet
            """)

    @OptionGroup var options: PapersOptions
    @Argument(help: "The paper's slug.")
    var slug: String
    @Option(help: "The title.")
    var title: String?
    @OptionGroup var details: PaperChangeOptions

    func run() async throws {
        let changes: PaperChanges = details.changes(title: title)
        guard changes != PaperChanges() else { throw ValidationError("give what is to be changed, such as --year 2024") }
        let store: PaperStore = try options.store()
        try store.edit(slug, changes)
        try options.show(try store.paper(slug)) { "changed \(slug)" }
    }
}

struct PapersNoteCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "note", abstract: "Set the note beside a paper.",
        discussion: """
            Examples:
              linnet papers note gla "compare with our own runs"
              linnet papers note gla ""
            """)

    @OptionGroup var options: PapersOptions
    @Argument(help: "The paper's slug.")
    var slug: String
    @Argument(help: "The note; an empty one takes it away.")
    var note: String

    func run() async throws {
        let store: PaperStore = try options.store()
        try store.note(slug, note)
        try options.show(try store.paper(slug)) { "noted" }
    }
}

struct PapersUpvoteCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "upvote", abstract: "Vote for a paper, once.",
        discussion: """
            Of the voter's name only a hash is kept, keyed by a secret beside the catalogue.

            Example:
              linnet papers upvote gla
            """)

    private struct Vote: Encodable {
        let slug: String
        let isNew: Bool
        let votes: Int
    }

    @OptionGroup var options: PapersOptions
    @Argument(help: "The paper's slug.")
    var slug: String
    @Option(help: "Who votes (default: the user's name).")
    var voter: String?

    func run() async throws {
        let store: PaperStore = try options.store()
        let isNew: Bool = try store.upvote(slug, voter: voter ?? NSUserName())
        let vote: Vote = Vote(slug: slug, isNew: isNew, votes: try store.votes(of: slug))
        try options.show(vote) { "\(isNew ? "voted for" : "had voted for") \(slug); votes: \(vote.votes)" }
    }
}

struct PapersDoctorCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "doctor", abstract: "Look the catalogue over.",
        discussion: """
            The exit status is 1 when something is wrong.

            Examples:
              linnet papers doctor
              linnet papers doctor --rebuild
            """)

    @OptionGroup var options: PapersOptions
    @Flag(help: "Write the full-text index anew first.")
    var rebuild: Bool = false

    func run() async throws {
        let store: PaperStore = try options.store()
        if rebuild { try store.rebuildText() }
        let findings: [Diagnosis] = try store.diagnose()
        try options.show(findings) {
            findings.map { "\($0.isFine ? "fine " : "WRONG")  \($0.name): \($0.finding)" }.joined(separator: "\n")
        }
        if !findings.allSatisfy(\.isFine) { throw ExitCode(1) }
    }
}
