import ArgumentParser
import Foundation
import Papers
import Torch

struct PapersFeedCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "feed", abstract: "Write the catalogue's news as an Atom feed.",
        discussion: """
            An entry for each paper that was listed, changed its status or was measured, newest first. The same catalogue gives the same bytes.

            Examples:
              linnet papers feed --out feed.xml
              linnet papers feed --query "linear attention" --limit 20 --site https://papers.example.org
            """)

    @Option(help: "The catalogue's file (default: $LINNET_PAPERS, else papers.db in the user's data folder).")
    var db: String?
    @OptionGroup var site: SiteOptions
    @Option(help: "The file to write; standard output by default.")
    var out: String?
    @Option(help: "Only papers that match this query.")
    var query: String?
    @Option(help: "The most entries.")
    var limit: Int = 50

    func run() async throws {
        guard limit > 0 else { throw ValidationError("--limit has to be at least 1") }
        let text: String = try AtomFeed(store: PaperStore(db ?? PaperStore.standardPath), site: site.address()).xml(
            query: query, limit: limit)
        guard let out else { return print(text, terminator: "") }
        try AtomicFile.write(text, to: out)
    }
}
