import ArgumentParser
import Foundation
import Papers

extension PaperGroup: ExpressibleByArgument {}
extension PaperStatus: ExpressibleByArgument {}
extension PaperSource: ExpressibleByArgument {}
extension PaperOrder: ExpressibleByArgument {}
extension SearchMode: ExpressibleByArgument {}
extension ImportFormat: ExpressibleByArgument {}
extension ArXivQuery.Order: ExpressibleByArgument {}

/// The flags that every command on the catalogue has.
struct PapersOptions: ParsableArguments {
    @Option(help: "The catalogue's file (default: $LINNET_PAPERS, else papers.db in the user's data folder).")
    var db: String?
    @Flag(help: "Print JSON.")
    var json: Bool = false

    func store(encoder: (any SentenceEncoder)? = nil) throws -> PaperStore {
        try PaperStore(db ?? PaperStore.standardPath, encoder: encoder)
    }

    /// Prints a value as JSON, or the lines that `text` gives.
    func show(_ value: some Encodable, text: () throws -> String) throws {
        guard json else { return print(try text()) }
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .iso8601
        print(String(decoding: try encoder.encode(value), as: UTF8.self))
    }
}

/// Lines about papers.
enum PaperLines {
    /// One line a paper: slug, year, status, title.
    static func table(_ papers: [Paper]) -> String {
        let width: Int = papers.map(\.slug.count).max() ?? 0
        return papers.map { paper in
            let slug: String = paper.slug.padding(toLength: width, withPad: " ", startingAt: 0)
            let status: String = paper.status.rawValue.padding(toLength: 10, withPad: " ", startingAt: 0)
            return "\(slug)  \(paper.year.map(String.init) ?? "    ")  \(status)  \(paper.title)"
        }.joined(separator: "\n")
    }

    static func hits(_ hits: [SearchHit]) -> String {
        hits.enumerated().map { place, hit in
            let cosine: String = hit.why.cosine.map { String(format: "  cosine %.2f", $0) } ?? ""
            let terms: String = hit.why.matchedTerms.isEmpty ? "" : "  words: " + hit.why.matchedTerms.joined(separator: ", ")
            let snippet: String = hit.why.snippet.map { $0.isMatch ? "[\($0.text)]" : $0.text }.joined()
            return [
                "\(place + 1). \(hit.paper.slug): \(hit.paper.title)\(hit.paper.year.map { " (\($0))" } ?? "")",
                "   " + String(format: "score %.4f", hit.score) + cosine + terms, snippet.isEmpty ? "" : "   " + snippet,
            ].filter { !$0.isEmpty }.joined(separator: "\n")
        }.joined(separator: "\n")
    }
}
