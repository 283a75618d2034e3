import Foundation
import Papers

/// The pages over a catalogue, whoever asks for them: the server or an export.
struct WebSite: Sendable {
    let store: PaperStore
    let jobs: (any JobRunner)?
    let subscriptions: DigestService?
    let configuration: WebConfiguration

    /// Papers on a page of the listing.
    static let pageLength: Int = 40
    /// Days for which a paper is new.
    private static let newDays: Double = 7

    func isNew(_ paper: Paper) -> Bool {
        let age: Double = store.now().timeIntervalSince(paper.listedOn)
        return age >= 0 && age < Self.newDays * 86_400
    }

    /// A paper in a list.
    func row(_ paper: Paper) -> View {
        let text: String = paper.summary.isEmpty ? paper.abstract ?? "" : paper.summary
        return [
            "slug": paper.slug, "title": paper.title, "summary": Wording.shortened(text, to: 320), "isNew": isNew(paper),
            "statusLabel": paper.status.label, "tone": paper.status.tone, "year": paper.year, "group": paper.group.title,
            "arxiv": paper.arxivID, "figure": figure(paper),
        ]
    }

    /// The paper's own figure, where its card has one.
    func figure(_ paper: Paper) -> String? { paper.figure.flatMap { $0.isEmpty || $0 == "none stated" ? nil : $0 } }

    var topics: [View] { PaperGroup.allCases.map { ["value": $0.rawValue, "label": $0.title] } }
}
