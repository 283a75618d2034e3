import Experiments
import Foundation
import TestSupport
import Testing

@testable import Papers

@Suite struct PaperStoreTests {
    private static let card: PaperCard = PaperCard(
        order: 1, slug: "deltanet", title: "The Delta Rule, Parallel", arxiv: "2406.06484", year: 2024, listed: "2026-11-25",
        group: .sequence,
        keywords: ["delta rule", "linear attention"], summary: "A rule.", claim: "Faster.", figure: "2x", library: "SequenceModels",
        symbol: "DeltaNet")

    private func store(_ cards: [PaperCard]) throws -> PaperStore {
        try PaperStore(FileManager.default.temporaryDirectory.path + "/papers-\(UUID().uuidString).db", cards: cards)
    }

    private func report(_ verdicts: [Bool], scale: Scale = .small, at time: TimeInterval = 1_000_000) -> Report {
        var measurements: Measurements = Measurements()
        for seed: UInt64 in 0..<3 { measurements.record("a", "m", seed: seed, 1) }
        let claims: [Claim] = verdicts.enumerated().map { index, holds in
            Claim("claim \(index)", atLeast: holds ? 0 : 2) { $0["a", "m"] }
        }
        return Report(
            slug: "deltanet", summary: "", scale: scale, seeds: [0, 1, 2], started: Date(timeIntervalSince1970: time), seconds: 1,
            measurements: measurements, criteria: Criteria(gates: [], claims: claims))
    }

    @Test func cardsAreWrittenOnceAndKept() throws {
        let store: PaperStore = try store([Self.card])
        let paper: Paper = try store.paper("deltanet")
        #expect(paper.title == Self.card.title && paper.status == .experiment && paper.arxivID == "2406.06484")
        #expect(try store.keywords(of: paper) == Self.card.keywords)
        try store.update(cards: [Self.card])
        #expect(try store.paper("deltanet") == paper)
        var changed: PaperCard = Self.card
        changed.summary = "Another rule."
        try store.update(cards: [changed])
        #expect(try store.paper("deltanet").summary == "Another rule." && store.count == 1)
    }

    @Test func statusFollowsTheNewestFinishedRun() throws {
        let store: PaperStore = try store([Self.card])
        try store.record(report([true, false], at: 1_000_000))
        #expect(try store.paper("deltanet").status == .notShown)
        try store.record(report([true, true], at: 2_000_000.7))
        #expect(try store.paper("deltanet").status == .reproduced)
        try store.record(report([false], scale: .smoke, at: 3_000_000))
        try store.recordFailure(
            slug: "deltanet", startedAt: Date(timeIntervalSince1970: 4_000_000), seconds: 1, scale: .small, seeds: 1, interrupted: false)
        #expect(try store.paper("deltanet").status == .reproduced)
        #expect(try store.runs(of: "deltanet").map(\.verdict) == [.failed, .smoke, .shown, .notShown])
    }

    @Test func aReportReadFromItsFileIsTheSameRun() throws {
        let store: PaperStore = try store([Self.card])
        let report: Report = report([true], at: 1_000_000.6)
        try store.record(report)
        try store.record(Report.decode(report.json()))
        #expect(try store.runs(of: "deltanet").count == 1)
        let kept: PaperRun = try #require(try store.runs(of: "deltanet").first)
        #expect(try kept.decodedReport()?.claims.first?.verdict == .shown)
    }

    @Test func anUnknownSlugNamesItsNeighbours() throws {
        let store: PaperStore = try store([Self.card])
        #expect(throws: PaperError.unknownPaper("deltanets", nearest: ["deltanet"])) { try store.paper("deltanets") }
    }

    @Test func aFileThatIsNoDatabaseIsRefused() throws {
        let path: String = FileManager.default.temporaryDirectory.path + "/no-\(UUID().uuidString).db"
        try Data(repeating: 7, count: 4096).write(to: URL(fileURLWithPath: path))
        #expect(throws: PaperError.notACatalogue(path: path)) { try PaperStore(path, cards: []) }
    }
}
