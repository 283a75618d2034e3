import Foundation
import GRDB
import Testing

@testable import Papers

@Suite struct DigestSendingTests {
    private struct Crash: Error {}

    private static let ada: String = "ada@example.org"
    private static let bob: String = "bob@example.org"

    @Test func anIssueIsSentOnceADayAndOnlyWithNews() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, service)
        #expect(try await service.due().map(\.date) == ["2026-11-25"])
        #expect(try await service.send().count(.sent) == 1)
        bench.clock.advance(hours: 1)
        try bench.add("gamma")
        let again: DigestReport = try await service.send()
        #expect(again.outcomes.isEmpty && again.notDue == 1)
        #expect(try await service.due().isEmpty)
        bench.clock.advance(hours: 23)
        #expect(try await service.send().count(.sent) == 1)
        #expect(
            bench.digests(to: Self.ada).map(\.messageID) == [
                "digest.1.2026-11-25@linnet.localhost", "digest.1.2026-11-26@linnet.localhost",
            ])
        #expect(bench.digests(to: Self.ada)[1].text.contains("gamma") && !bench.digests(to: Self.ada)[1].text.contains("alpha"))
        bench.clock.advance(hours: 24)
        #expect(try await service.send().nothingNew == 1)
        #expect(bench.digests(to: Self.ada).count == 2)
    }

    /// Both the listing and the run carry dates before the last issue; they came into the catalogue after it.
    @Test func whatComesInLateIsNotMissed() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, service)
        try await service.send()
        let past: Date = bench.clock.now.addingTimeInterval(-5 * 86_400)
        let id: Int64 = try bench.store.paper("alpha").id
        try await bench.store.pool.write { database in
            _ = try PaperEntry(slug: "late", title: "Late", group: .imported, source: .arxiv, listedOn: past)
                .write(over: nil, at: past, in: database)
            try PaperStore.note("verdict", "not shown", of: id, at: past, in: database)
        }
        bench.clock.advance(hours: 24)
        try await service.send()
        let text: String = try #require(bench.digests(to: Self.ada).last).text
        #expect(text.contains("Late") && text.contains("measured: a claim was not shown") && !text.contains("beta"))
    }

    @Test func weeklyIssuesComeEverySeventhDay() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, frequency: .weekly, service)
        for day in 0..<15 {
            try bench.add("day\(day)")
            try await service.send()
            bench.clock.advance(hours: 24)
        }
        let digests: [MIMEMessage] = bench.digests(to: Self.ada)
        #expect(digests.map { $0.messageID.dropFirst("digest.1.".count).prefix(10) } == ["2026-11-25", "2026-12-02", "2026-12-09"])
        #expect(digests[1].text.contains("day1\n") || digests[1].text.contains("day1 "))
    }

    @Test func topicsQueryScoreAndNumberDecideWhatIsIn() async throws {
        let bench: DigestBench = try DigestBench(slugs: (0..<24).map { "paper\($0 < 10 ? "0" : "")\($0)" })
        let ranking: FixedRanking = FixedRanking(bySlug: ["paper02": 3, "paper05": 2, "paper07": 1])
        let service: DigestService = try bench.service(ranking: ranking)
        try await bench.subscribe(Self.ada, service)
        try await bench.subscribe(Self.bob, topics: [.efficiency], query: "paper0", service)
        try await service.send()
        func order(_ email: String) -> [String] {
            bench.digests(to: email)[0].text.split(separator: "\n").filter { $0.contains("/p/") }.map { String($0.suffix(2)) }
        }
        #expect(order(Self.ada) == ["02", "05", "07", "23", "22", "21", "20", "19", "18", "17"], "by score, then the newest; ten of them")
        #expect(order(Self.bob) == ["05", "07", "09", "03", "01"])
    }

    /// Whatever a crash comes after, nobody gets an issue twice; only the mail that was on its way may be lost, and the other subscriber's is not.
    @Test(arguments: DigestStep.allCases) func aCrashNeverSendsTwice(_ step: DigestStep) async throws {
        let bench: DigestBench = try DigestBench()
        let crashing: DigestService = try bench.service(afterStep: { if $0 == step { throw Crash() } })
        try await bench.subscribe(Self.ada, crashing)
        try await bench.subscribe(Self.bob, crashing)
        await #expect(throws: Crash.self) { try await crashing.send() }
        let after: DigestService = try bench.service()
        let report: DigestReport = try await after.send()
        _ = try await after.send()
        #expect(bench.digests(to: Self.ada).count == (step == .claimed ? 0 : 1))
        #expect(bench.digests(to: Self.bob).count == 1)
        #expect(report.interrupted == ([.claimed, .accepted].contains(step) ? 1 : 0))
        let state: String? = try bench.row("SELECT state FROM delivery WHERE subscriberID = 1")?["state"]
        #expect(state == ([.claimed, .accepted].contains(step) ? "uncertain" : "sent"))
        bench.clock.advance(hours: 24)
        try bench.add("gamma")
        try await after.send()
        #expect(try #require(bench.digests(to: Self.ada).last).text.contains("alpha") == [.claimed, .accepted].contains(step))
    }

    /// A transport that dies with the process, before or after the server has the message.
    @Test func aTransportThatDiesIsNotTriedAgain() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, service)
        bench.transport.answer(ScriptedTransport.Crash())
        await #expect(throws: ScriptedTransport.Crash.self) { try await service.send() }
        #expect(try await service.send().interrupted == 1)
        #expect(bench.digests(to: Self.ada).isEmpty)
    }

    @Test func temporaryRefusalsAreRetriedAfterOneFiveAndThirtyMinutes() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, service)
        for _ in 0..<3 { bench.transport.answer(MailError.temporary("451 later")) }
        for minutes in [1.0, 5, 30] {
            let outcome: DigestReport.Outcome = try #require(try await service.send().outcomes.first)
            #expect(outcome.state == .queued && outcome.nextAttempt == bench.clock.now.addingTimeInterval(minutes * 60))
            bench.clock.advance(hours: (minutes - 0.1) / 60)
            #expect(try await service.send().notDue == 1)
            bench.clock.advance(hours: 0.1 / 60)
        }
        #expect(try await service.send().count(.sent) == 1)
        #expect(bench.digests(to: Self.ada).count == 1)
        #expect(try bench.row("SELECT attempts FROM delivery")?["attempts"] == 4)
    }

    @Test func afterTheLastAttemptTheIssueIsGivenUp() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, service)
        for _ in 0..<4 { bench.transport.answer(MailError.temporary("451 later")) }
        for _ in 0..<3 {
            _ = try await service.send()
            bench.clock.advance(hours: 0.5)
        }
        #expect(try await service.send().count(.failed) == 1)
        bench.clock.advance(hours: 1)
        #expect(try await service.send().notDue == 1)
        bench.clock.advance(hours: 24)
        #expect(try await service.send().count(.sent) == 1, "the next issue has what the lost one would have had")
    }

    @Test func anOlderIssueThatStillWaitsIsGivenUpForTheNewer() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, service)
        bench.transport.answer(MailError.temporary("451 later"))
        _ = try await service.send()
        bench.clock.advance(hours: 24)
        _ = try await service.send()
        _ = try await service.send()
        #expect(bench.digests(to: Self.ada).map(\.messageID) == ["digest.1.2026-11-26@linnet.localhost"])
        #expect(try bench.row("SELECT state FROM delivery WHERE issueDate = '2026-11-25'")?["state"] == "failed")
    }

    @Test func threeRefusalsInARowEndASubscription() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, service)
        /// The next day's issue, refused or taken.
        func nextDay(refused: Bool) async throws -> SubscriberState {
            if refused { bench.transport.answer(MailError.refused("550 no such user")) }
            bench.clock.advance(hours: 24)
            try bench.add("day\(bench.clock.now.timeIntervalSince1970)")
            #expect(try await service.send().count(refused ? .bounced : .sent) == 1)
            return try await service.subscribers()[0].state
        }
        for refused in [true, true, false, true, true] { #expect(try await nextDay(refused: refused) == .active) }
        #expect(try await nextDay(refused: true) == .bounced)
        bench.clock.advance(hours: 24)
        #expect(try await service.send() == DigestReport())
        try await bench.subscribe(Self.ada, service)
        #expect(try await service.subscribers()[0].bounces == 0, "a confirmation makes it good again")
    }

    @Test func aServerThatCannotBeUsedIsNobodysBounce() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, service)
        bench.transport.answer(MailError.setup("no STARTTLS"))
        await #expect(throws: MailError.setup("no STARTTLS")) { try await service.send() }
        #expect(try bench.row("SELECT attempts FROM delivery")?["attempts"] == 0)
        #expect(try await service.send().count(.sent) == 1)
    }

    @Test func silenceAfterTheMessageIsNotTriedAgain() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe(Self.ada, service)
        bench.transport.answer(MailError.uncertain("no answer"))
        #expect(try await service.send().count(.uncertain) == 1)
        bench.clock.advance(hours: 2)
        #expect(try await service.send().notDue == 1)
        #expect(bench.digests(to: Self.ada).isEmpty)
    }

    /// Another service, as of another process, finds the lock taken while the first is between two messages.
    @Test func onlyOneServiceSendsAtATime() async throws {
        let bench: DigestBench = try DigestBench()
        let other: DigestService = try bench.service()
        let path: String = bench.store.path
        let service: DigestService = try DigestService(
            store: bench.store, transport: bench.transport, settings: DigestSettings(), ranking: FixedRanking(),
            pause: { duration in
                #expect(duration == .seconds(1))
                await #expect(throws: DigestError.sendingElsewhere(path: path)) { try await other.send() }
            })
        try await bench.subscribe(Self.ada, service)
        try await bench.subscribe(Self.bob, service)
        #expect(try await service.send().count(.sent) == 2)
        #expect(try await other.send().nothingNew == 2, "the lock is free again")
    }

    @Test func whoUnsubscribesDuringTheSendingGetsNothing() async throws {
        let bench: DigestBench = try DigestBench()
        let other: DigestService = try bench.service()
        let service: DigestService = try DigestService(
            store: bench.store, transport: bench.transport, settings: DigestSettings(), ranking: FixedRanking(),
            pause: { _ in try await other.remove(email: Self.bob) })
        try await bench.subscribe(Self.ada, service)
        try await bench.subscribe(Self.bob, service)
        #expect(try await service.send().outcomes.map(\.email) == [Self.ada])
        #expect(bench.digests(to: Self.bob).isEmpty)
    }

    @Test func anotherKeyIsNoticedBeforeAnythingIsSent() async throws {
        let bench: DigestBench = try DigestBench()
        try await bench.subscribe(Self.ada, try bench.service())
        try FileManager.default.removeItem(atPath: bench.store.path + ".key")
        let service: DigestService = try bench.service()
        await #expect(throws: DigestError.otherKey) { try await service.send() }
        #expect(bench.digests(to: Self.ada).isEmpty)
    }

    /// With the catalogue's own search: votes lift a paper, and a query of words and conditions chooses.
    @Test func theCataloguesOwnSearchRanksAndChooses() async throws {
        let bench: DigestBench = try DigestBench(slugs: ["alpha", "beta", "gamma"])
        try bench.store.upvote("gamma", voter: "eve")
        let service: DigestService = try DigestService(
            store: bench.store, transport: bench.transport, settings: DigestSettings(), pause: { _ in })
        try await bench.subscribe(Self.ada, service)
        try await bench.subscribe(Self.bob, query: "\"about beta\" group:efficiency", service)
        try await service.send()
        let (whole, chosen): (String, String) = (bench.digests(to: Self.ada)[0].text, bench.digests(to: Self.bob)[0].text)
        #expect(whole.contains("1. Paper gamma") && whole.contains("3. "))
        #expect(chosen.contains("1. Paper beta") && !chosen.contains("2. "))
        #expect(try SearchRanking().matches("group:sequence -gamma", in: bench.store) == [bench.store.paper("alpha").id])
        await #expect(throws: DigestError.self) { try await service.subscribe(email: "x@example.org", query: "year:never") }
    }

    @Test func aPreviewSendsNothing() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        let text: String = try #require(try await service.preview(topics: [.sequence]))
        #expect(text.contains("Paper alpha") && !text.contains("Paper beta") && text.contains("Claim: It is faster (2x)"))
        #expect(try await service.preview(query: "nothing has this") == nil)
        #expect(bench.transport.accepted.isEmpty)
    }
}
