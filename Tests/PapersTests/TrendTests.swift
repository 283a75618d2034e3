import Foundation
import GRDB
import TestSupport
import Testing

@testable import Papers

@Suite struct TrendTests {
    private static let day: TimeInterval = 86_400
    private static let now: Date = Date(timeIntervalSince1970: 1_800_000_000)
    private static let longAgo: Date = .distantPast

    private func ago(_ days: Double) -> Date { Self.now.addingTimeInterval(-days * Self.day) }

    private func score(
        runs: [Trend.RunEvent] = [], votes: [Date] = [], listedOn: Date = .distantPast, now: Date = TrendTests.now
    ) -> Double {
        Trend.score(runs: runs, votes: votes, listedOn: listedOn, now: now)
    }

    @Test func theFormula() {
        #expect(abs(score(runs: [Trend.RunEvent(at: ago(7), isFinished: true)]) - 0.5) < 1e-12)
        #expect(abs(score(runs: [Trend.RunEvent(at: ago(14), isFinished: false)]) - 0.0625) < 1e-12)
        #expect(abs(score(votes: [ago(0), ago(10), ago(20)]) - 1.75) < 1e-12)
        #expect(abs(score(listedOn: ago(28)) - 0.25) < 1e-12)
        #expect(score(listedOn: ago(-3)) == 1, "another machine's clock may be ahead")
    }

    @Test func runsOfOneDayDoNotDominate() {
        let noon: Date = Date(timeIntervalSince1970: (Self.now.timeIntervalSince1970 / Self.day).rounded(.down) * Self.day + 43_200)
        let runs: [Trend.RunEvent] = (0..<4).map { _ in Trend.RunEvent(at: noon, isFinished: true) }
        let once: Double = score(runs: [runs[0]])
        #expect(abs(score(runs: runs) - once * (1 + 1 / 2.0 + 1 / 3.0 + 1 / 4.0)) < 1e-12)
        let failed: Trend.RunEvent = Trend.RunEvent(at: noon, isFinished: false)
        #expect(abs(score(runs: [failed, runs[0]]) - once * (1 + 0.25 / 2)) < 1e-12)
    }

    @Test func anEventNeverLowersAScore() {
        var generator: SeededGenerator = SeededGenerator(seed: 5)
        for _ in 0..<200 {
            var runs: [Trend.RunEvent] = []
            var before: Double = 0
            for _ in 0..<12 {
                runs.append(Trend.RunEvent(at: ago(Double.random(in: 0...3, using: &generator)), isFinished: .random(using: &generator)))
                let after: Double = score(runs: runs)
                #expect(after >= before)
                before = after
            }
        }
    }

    @Test func aHalfLifeHalves() {
        let run: [Trend.RunEvent] = [0, 1, 1.01, 5].map { Trend.RunEvent(at: ago($0), isFinished: $0 != 1) }
        #expect(abs(score(runs: run, now: ago(-7)) / score(runs: run) - 0.5) < 1e-12)
        #expect(abs(score(votes: [ago(1), ago(4)], now: ago(-10)) / score(votes: [ago(1), ago(4)]) - 0.5) < 1e-12)
        #expect(abs(score(listedOn: ago(3), now: ago(-14)) / score(listedOn: ago(3)) - 0.5) < 1e-12)
    }

    @Test func anOrderChangesOnlyWithMixturesOfHalfLives() {
        // Two papers with votes alone keep their order; a paper that lives of its listing overtakes one that lives of a run.
        for days in stride(from: 0.0, to: 100, by: 10) {
            #expect(score(votes: [ago(1), ago(9)], now: ago(-days)) > score(votes: [ago(0)], now: ago(-days)))
        }
        let run: [Trend.RunEvent] = [Trend.RunEvent(at: ago(0), isFinished: true)]
        #expect(score(runs: run) > score(listedOn: ago(7)))
        #expect(score(runs: run, now: ago(-30)) < score(listedOn: ago(7), now: ago(-30)))
    }

    // MARK: In the catalogue

    private func card(_ order: Int, _ slug: String, listed: String) -> PaperCard {
        PaperCard(
            order: order, slug: slug, title: "On \(slug)", arxiv: "2401.0000\(order)", year: 2024, listed: listed, group: .sequence,
            keywords: [], summary: "S.", claim: "C.", figure: "", library: "NN")
    }

    private func store() throws -> PaperStore {
        try SearchTests.temporaryStore(
            cards: [
                card(1, "a", listed: "2027-01-10"), card(2, "b", listed: "2027-01-10"), card(3, "c", listed: "2027-01-14"),
                card(4, "d", listed: "2026-12-01"),
            ], now: { Self.now })
    }

    @Test func votesCountOnceAndMoveAPaper() throws {
        let store: PaperStore = try store()
        #expect(try store.trending(limit: 10).map(\.paper.slug) == ["c", "a", "b", "d"], "by age, then by slug")
        #expect(try store.upvote("b", voter: "ann") && store.upvote("d", voter: "ann") && store.upvote("d", voter: "bob"))
        #expect(try !store.upvote("d", voter: "ann"))
        #expect(try store.votes(of: "d") == 2)
        let trending: [(paper: Paper, score: Double)] = try store.trending(limit: 10)
        #expect(trending.map(\.paper.slug) == ["d", "b", "c", "a"])
        for (paper, score) in trending { #expect(abs(try store.trend(of: paper) - score) < 1e-12) }
        #expect(try store.listing(order: .trending, limit: 2, offset: 1).map(\.slug) == ["b", "c"])
        #expect(throws: PaperError.self) { try store.upvote("e", voter: "ann") }
        let names: [String] = try store.pool.read { try String.fetchAll($0, sql: "SELECT hex(voter) FROM vote") }
        #expect(names.allSatisfy { $0.count == 64 }, "hashes, not names")
    }

    @Test func theKeyIsItsOwnersAlone() throws {
        let store: PaperStore = try store()
        try store.upvote("a", voter: "ann")
        let file: String = store.path + ".key"
        let mode: Any? = try FileManager.default.attributesOfItem(atPath: file)[.posixPermissions]
        #expect(mode as? Int == 0o600)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: file)
        #expect(throws: PaperError.voterKey(path: file)) { try store.upvote("b", voter: "ann") }
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        let again: PaperStore = try PaperStore(store.path, cards: [], now: { Self.now })
        #expect(try !again.upvote("a", voter: "ann"), "the key is read, not made anew")
    }
}
