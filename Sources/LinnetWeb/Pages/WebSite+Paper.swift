import Experiments
import Foundation
import Papers

extension WebSite {
    /// A paper's page.
    ///
    /// - Throws: `PaperError.unknownPaper`.
    func paper(_ slug: String) async throws -> Page {
        let paper: Paper = try store.paper(slug)
        let runs: [PaperRun] = try store.runSummaries(of: slug, limit: 30)
        let shown: (run: PaperRun, report: Report)? = try newestReport(runs)
        let active: [JobView] = await jobs?.jobs().filter { $0.slug == slug }.suffix(3).map { JobView($0) } ?? []
        let canRun: Bool = jobs != nil && ExperimentCatalogue.slugs.contains(slug)
        let related: [View] = try store.similar(to: slug, limit: 6).map { ["slug": $0.paper.slug, "title": $0.paper.title] }
        let parts: View = [
            "report": shown.map { ReportView.view($0.report, curves: "/runs/\($0.run.id)/curves.json") },
            "ours": try ours(slug), "canRun": canRun, "jobs": active.map(\.view), "hasRuns": !runs.isEmpty,
            "runs": runs.map { ReportView.row($0) }, "hasRelated": !related.isEmpty, "related": related,
        ]
        let isRunning: Bool = active.contains { $0.isRunning }
        return Page(
            template: "paper", title: paper.title, section: .papers, hasPlots: shown?.report.measurements.curves.isEmpty == false,
            refresh: isRunning ? 4 : nil, view: try head(paper).merging(parts))
    }

    private func head(_ paper: Paper) throws -> View {
        let keywords: [String] = try store.keywords(of: paper)
        let authors: [String] = try store.authors(of: paper)
        let votes: Int = try store.votes(of: paper.slug)
        func present(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }
        let command: String? = present(paper.command)
        let swift: String? = present(paper.swift)
        return row(paper).merging([
            "summary": present(paper.summary), "abstract": present(paper.abstract), "claim": present(paper.claim),
            "keywords": present(keywords.joined(separator: ", ")), "authors": present(authors.joined(separator: ", ")),
            "note": present(paper.curatorNote), "listed": Wording.day(paper.listedOn), "library": paper.library, "symbol": paper.symbol,
            "symbolLink": documentationLink(paper), "command": command, "swift": swift,
            "hasUse": command != nil || swift != nil || paper.symbol != nil, "codeLink": codeLink(paper),
            "votes": Wording.count(votes, "vote"),
        ])
    }

    /// The newest run that judged its claims, else the newest that has a report at all.
    private func newestReport(_ runs: [PaperRun]) throws -> (PaperRun, Report)? {
        let finished: [PaperRun] = runs.filter(\.verdict.isFinished)
        guard let chosen = finished.first(where: { $0.scale != .smoke }) ?? finished.first else { return nil }
        guard let report = try store.run(chosen.id)?.decodedReport() else { return nil }
        return (chosen, report)
    }

    /// What the newest deciding run came to, in a few words.
    private func ours(_ slug: String) throws -> String? { try store.decidedRuns()[slug].map(Self.outcome) }

    static func outcome(_ run: PaperRun) -> String {
        "\(run.claimsShown) of \(Wording.count(run.claims, "claim")) shown at \(run.scale.rawValue), \(Wording.day(run.startedAt))"
    }

    private func documentationLink(_ paper: Paper) -> String? {
        guard let base = configuration.documentation, let library = paper.library, let symbol = paper.symbol else { return nil }
        let name: String = symbol.lowercased().prefix { $0.isLetter || $0.isNumber }.description
        return "\(base)/\(library)/documentation/\(library.lowercased())/\(name)"
    }

    /// A repository's or an imported paper's address, if it is one that a link may have.
    private func codeLink(_ paper: Paper) -> String? {
        guard let code = paper.code, !code.isEmpty else { return nil }
        if code.hasPrefix("https://") || code.hasPrefix("http://") { return code }
        let parts: [Substring] = code.split(separator: "/", omittingEmptySubsequences: false)
        let isName: (Substring) -> Bool = { part in
            !part.isEmpty && part.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0)) }
        }
        return parts.count == 2 && parts.allSatisfy(isName) ? "https://github.com/\(code)" : nil
    }
}
