import Foundation
import GRDB
import Testing

@testable import Papers

@Suite struct SubscriptionTests {
    @Test func aSubscriptionIsActiveOnlyAfterItsConfirmation() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await service.subscribe(email: "Ada@Example.org", topics: [.efficiency], query: "beta", frequency: .daily)
        try await service.settle()
        #expect(try await service.send().outcomes.isEmpty, "a pending address gets no digest")
        let mail: MIMEMessage = try #require(bench.transport.accepted.first)
        #expect(bench.transport.accepted.count == 1 && mail.to.value == "ada@example.org")
        let token: String = DigestBench.confirmationToken(mail)
        #expect(token.count == 43 && mail.html.contains(token))
        let subscriber: Subscriber = try await service.confirm(token: token)
        #expect(subscriber.state == .active && subscriber.topics == [.efficiency] && subscriber.query == "beta")
        #expect(try await service.send().count(.sent) == 1)
        #expect(bench.digests(to: "ada@example.org").first?.text.contains("Paper beta") == true)
    }

    @Test func tokensAreStoredHashedAndUsedOnce() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe("ada@example.org", service)
        try await service.send()
        let confirmation: String = DigestBench.confirmationToken(bench.transport.accepted[0])
        let unsubscription: String = DigestBench.unsubscribeToken(bench.transport.accepted[1])
        await #expect(throws: DigestError.confirmationToken) { try await service.confirm(token: confirmation) }
        await #expect(throws: DigestError.confirmationToken) { try await service.confirm(token: "") }
        await #expect(throws: DigestError.confirmationToken) { try await service.confirm(token: unsubscription) }
        _ = try await bench.store.pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        let bytes: Data = try Data(contentsOf: URL(fileURLWithPath: bench.store.path))
        #expect(bytes.range(of: Data(confirmation.utf8)) == nil && bytes.range(of: Data(unsubscription.utf8)) == nil)
        #expect(bytes.range(of: Data("ada@example.org".utf8)) != nil)
    }

    @Test func aTokenExpiresAndTheAddressIsForgotten() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await service.subscribe(email: "ada@example.org")
        try await service.settle()
        bench.clock.advance(hours: 48.01)
        let token: String = DigestBench.confirmationToken(bench.transport.accepted[0])
        await #expect(throws: DigestError.confirmationToken) { try await service.confirm(token: token) }
        _ = try await service.send()
        #expect(try await service.subscribers().isEmpty)
    }

    @Test func aTokenIsGoodUntilItExpires() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await service.subscribe(email: "ada@example.org")
        try await service.settle()
        bench.clock.advance(hours: 47.9)
        try await service.confirm(token: DigestBench.confirmationToken(bench.transport.accepted[0]))
    }

    @Test func aPendingAddressIsAskedOnceAnHour() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        for _ in 0..<3 { try await service.subscribe(email: "ada@example.org") }
        try await service.settle()
        #expect(bench.transport.accepted.count == 1)
        bench.clock.advance(hours: 1)
        try await service.subscribe(email: "ADA@example.org ")
        try await service.settle()
        #expect(bench.transport.accepted.count == 2)
        let (first, second): (MIMEMessage, MIMEMessage) = (bench.transport.accepted[0], bench.transport.accepted[1])
        await #expect(throws: DigestError.confirmationToken, "the newer token replaces the older") {
            try await service.confirm(token: DigestBench.confirmationToken(first))
        }
        try await service.confirm(token: DigestBench.confirmationToken(second))
    }

    /// Known, unknown and active addresses: no error, no difference in what comes back.
    @Test func anActiveAddressIsNotAskedAgainAndNotChanged() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe("ada@example.org", service)
        bench.clock.advance(hours: 100)
        try await service.subscribe(email: "ada@example.org", topics: [.weights], frequency: .weekly)
        try await service.settle()
        #expect(bench.transport.accepted.count == 1)
        let kept: [Subscriber] = try await service.subscribers()
        #expect(kept.count == 1 && kept[0].state == .active && kept[0].topics.isEmpty && kept[0].frequency == .daily)
    }

    @Test func unsubscribingIsIdempotentAndForgetsTheAddress() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe("ada@example.org", topics: [.sequence], query: "alpha", service)
        try await service.send()
        let token: String = DigestBench.unsubscribeToken(try #require(bench.digests(to: "ada@example.org").first))
        #expect(try await service.isUnsubscribeToken(token))
        for _ in 0..<2 { try await service.unsubscribe(token: token) }
        await #expect(throws: DigestError.unsubscribeToken) { try await service.unsubscribe(token: token + "A") }
        #expect(try await !service.isUnsubscribeToken(""))
        let row: Row = try #require(try bench.row("SELECT * FROM subscriber"))
        #expect(row["email"] as String? == nil && row["topics"] as String? == nil && row["query"] as String? == nil)
        #expect((row["suppressed"] as Data?)?.count == 32 && row["state"] == "unsubscribed")
        bench.clock.advance(hours: 24)
        try bench.add("gamma")
        #expect(try await service.send() == DigestReport())
        await #expect(throws: DigestError.suppressed) { try await service.add(email: "ada@example.org") }
    }

    @Test func whoHasLeftComesBackOnlyByAConfirmationOfTheirOwn() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe("ada@example.org", service)
        try await service.remove(email: "ada@example.org")
        await #expect(throws: DigestError.noSubscriber("ada@example.org")) { try await service.remove(email: "ada@example.org") }
        try await service.subscribe(email: "ada@example.org")
        try await service.settle()
        #expect(bench.transport.accepted.count == 1, "within a day of the last mail there is none")
        bench.clock.advance(hours: 24)
        try await service.subscribe(email: "ada@example.org")
        try await service.settle()
        #expect(bench.transport.accepted.count == 2)
        bench.clock.advance(hours: 49)
        _ = try await service.send()
        #expect(try await service.subscribers().map(\.state) == [.unsubscribed], "without a confirmation all is as it was")
        #expect(try await service.subscribers()[0].email == nil)
        try await bench.subscribe("ada@example.org", service)
        #expect(try await service.subscribers().map(\.state) == [.active])
        #expect(try bench.row("SELECT 1 FROM subscriber WHERE suppressed IS NOT NULL") == nil)
    }

    @Test func requestsAreLimitedByClientAndInAll() async throws {
        let bench: DigestBench = try DigestBench()
        var settings: DigestSettings = try DigestSettings()
        (settings.requestsPerClient, settings.requestsInAll) = (2, 3)
        let service: DigestService = try DigestService(
            store: bench.store, transport: bench.transport, settings: settings, ranking: FixedRanking())
        try await service.subscribe(email: "a@example.org", client: "1")
        bench.clock.advance(hours: 0.5)
        try await service.subscribe(email: "b@example.org", client: "1")
        await #expect(throws: DigestError.tooManyRequests(wait: 1800)) { try await service.subscribe(email: "c@example.org", client: "1") }
        try await service.subscribe(email: "c@example.org", client: "2")
        await #expect(throws: DigestError.tooManyRequests(wait: 1800)) { try await service.subscribe(email: "d@example.org", client: "3") }
        bench.clock.advance(hours: 0.5)
        try await service.subscribe(email: "d@example.org", client: "1")
        try await service.settle()
        #expect(bench.transport.accepted.count == 4)
    }

    @Test func aConfirmationThatDidNotLeaveMayBeAskedForAtOnce() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        bench.transport.answer(MailError.temporary("421 busy"), MailError.refused("550 nobody"))
        await #expect(throws: MailError.temporary("421 busy")) { try await service.add(email: "ada@example.org") }
        await #expect(throws: MailError.refused("550 nobody")) { try await service.add(email: "ada@example.org") }
        try await service.add(email: "ada@example.org")
        #expect(bench.transport.accepted.isEmpty, "a refused one waits for its hour")
    }

    @Test func badWishesAreRefusedWithOneLine() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        await #expect(throws: DigestError.query("bad", reason: "it has a bad word")) {
            try await service.subscribe(email: "ada@example.org", query: "bad")
        }
        await #expect(throws: DigestError.self) { try await service.subscribe(email: "ada@example.org", query: "a\r\nBcc: b@c") }
        await #expect(throws: DigestError.self) {
            try await service.subscribe(email: "ada@example.org", query: String(repeating: "x", count: 201))
        }
        await #expect(throws: MailError.self) { try await service.subscribe(email: "a@b\r\nBcc: c@d") }
        #expect(try await service.subscribers().isEmpty && bench.transport.accepted.isEmpty)
    }

    @Test func aKeyThatOthersCanReadIsRefused() throws {
        let bench: DigestBench = try DigestBench()
        _ = try bench.service()
        let key: String = bench.store.path + ".key"
        #expect(try FileManager.default.attributesOfItem(atPath: key)[.posixPermissions] as? Int == 0o600)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: key)
        #expect(throws: PaperError.voterKey(path: key)) { try bench.service() }
    }
}
