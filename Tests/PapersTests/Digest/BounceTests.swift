import Foundation
import GRDB
import Testing

@testable import Papers

@Suite struct DeliveryNoticeTests {
    /// A notice as Postfix writes it.
    static func notice(
        about messageID: String, to email: String, action: String = "failed", status: String = "5.1.1", lineEnd: String = "\r\n"
    ) -> Data {
        let text: String = """
            Return-Path: <>
            From: MAILER-DAEMON@mx.example.org (Mail Delivery System)
            Subject: Undelivered Mail Returned to Sender
            To: linnet@papers.example.org
            MIME-Version: 1.0
            Content-Type: multipart/report; report-type=delivery-status;
            \tboundary="4C1/mx.example.org"

            This is a MIME-encapsulated message.

            --4C1/mx.example.org
            Content-Type: text/plain; charset=us-ascii

            I'm sorry to have to inform you that your message could not be delivered.

            --4C1/mx.example.org
            Content-Description: Delivery report
            Content-Type: message/delivery-status

            Reporting-MTA: dns; mx.example.org
            X-Postfix-Queue-ID: 4C1

            Final-Recipient: rfc822; \(email)
            Original-Recipient: rfc822;\(email)
            Action: \(action)
            Status: \(status)
            Diagnostic-Code: smtp; 550 5.1.1 <\(email)>: Recipient address
                rejected: User unknown

            --4C1/mx.example.org
            Content-Description: Undelivered Message Headers
            Content-Type: text/rfc822-headers

            From: Linnet <linnet@papers.example.org>
            Message-ID: <\(messageID)>
            Subject: One paper

            --4C1/mx.example.org--
            """
        return Data(text.replacingOccurrences(of: "\n", with: lineEnd).utf8)
    }

    @Test(arguments: ["\n", "\r\n"]) func aNotice(lineEnd: String) throws {
        let notice: DeliveryNotice = try #require(
            DeliveryNotice(Self.notice(about: "digest.1.2026-11-25@x", to: "ada@example.org", lineEnd: lineEnd)))
        #expect(notice.messageID == "digest.1.2026-11-25@x")
        let recipient: DeliveryNotice.Recipient = try #require(notice.recipients.first)
        #expect(notice.recipients.count == 1 && recipient.isFailure && recipient.status == "5.1.1")
        #expect(recipient.addresses == ["ada@example.org", "ada@example.org"])
        #expect(recipient.diagnostic == "550 5.1.1 <ada@example.org>: Recipient address rejected: User unknown")
    }

    @Test func whatIsNoFailure() throws {
        func isFailure(_ action: String, _ status: String) throws -> Bool? {
            DeliveryNotice(Self.notice(about: "a@x", to: "b@x", action: action, status: status))?.recipients.first?.isFailure
        }
        #expect(try isFailure("failed", "5.0.0") == true && isFailure("Failed", "5.7.1") == true)
        #expect(try isFailure("delayed", "4.4.1") == false && isFailure("failed", "4.4.7") == false)
        #expect(try isFailure("delivered", "2.0.0") == false)
    }

    /// Other mail, and whatever a notice is cut to, is no notice or a whole one.
    @Test func whatIsNoNotice() {
        let whole: Data = Self.notice(about: "a@x", to: "b@x")
        for size in stride(from: 0, to: whole.count, by: 7) {
            let cut: DeliveryNotice? = DeliveryNotice(whole.prefix(size))
            #expect(cut == nil || cut?.recipients.count == 1)
        }
        for text in [
            "", "\n\n", "Subject: hello\n\nyou\n", "Content-Type: multipart/report\n\n--x\n",
            "Content-Type: multipart/mixed; boundary=x\n\n--x\n\n--x--\n",
        ] { #expect(DeliveryNotice(Data(text.utf8)) == nil) }
        #expect(DeliveryNotice(Data((0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 31) })) == nil)
        let withoutID: String = String(decoding: whole, as: UTF8.self).replacingOccurrences(of: "Message-ID", with: "X-ID")
        #expect(DeliveryNotice(Data(withoutID.utf8)) == nil)
    }
}

@Suite struct BounceTests {
    /// The subscriber's state and bounces.
    private func state(_ bench: DigestBench) throws -> String? {
        try bench.row("SELECT state || ' ' || bounces FROM subscriber")?[0]
    }

    /// A digest a day, each of which comes back later.
    private func nextDigest(_ bench: DigestBench, _ service: DigestService, _ index: Int) async throws -> String {
        bench.clock.advance(hours: 24)
        try bench.add("paper-\(index)")
        try await service.send()
        return try #require(bench.digests(to: "ada@example.org").last).messageID
    }

    private func kinds(_ service: DigestService, _ mails: Data...) async throws -> [BounceReport.Kind] {
        try await service.takeNotice(of: mails.map { ("mail", $0) }).outcomes.map(\.kind)
    }

    @Test func threeInARowEndASubscription() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe("ada@example.org", service)
        var notices: [Data] = []
        for index in 0..<3 {
            notices.append(DeliveryNoticeTests.notice(about: try await nextDigest(bench, service, index), to: "Ada@example.org"))
        }
        #expect(try await kinds(service, notices[0]) == [.bounced])
        #expect(try state(bench) == "active 1")
        // Read again, it does not count again.
        #expect(try await kinds(service, notices[0], notices[0]) == [.known, .known])
        #expect(try state(bench) == "active 1")
        #expect(try await kinds(service, notices[1], notices[2]) == [.bounced, .stopped])
        #expect(try state(bench) == "bounced 3")
        bench.clock.advance(hours: 24)
        try bench.add("late")
        #expect(try await service.send().outcomes.isEmpty)
    }

    /// A digest that arrived in between ends the row.
    @Test func onlyBouncesInARowCount() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe("ada@example.org", service)
        for index in 0..<4 {
            let digest: String = try await nextDigest(bench, service, index)
            if index == 1 { continue }
            #expect(try await kinds(service, DeliveryNoticeTests.notice(about: digest, to: "ada@example.org")) == [.bounced], "\(index)")
        }
        #expect(try state(bench) == "active 2")
    }

    @Test func noticesAboutOthersChangeNothing() async throws {
        let bench: DigestBench = try DigestBench()
        let service: DigestService = try bench.service()
        try await bench.subscribe("ada@example.org", service)
        let digest: String = try await nextDigest(bench, service, 0)
        let found: [BounceReport.Kind] = try await kinds(
            service, DeliveryNoticeTests.notice(about: digest, to: "eve@example.org"),
            DeliveryNoticeTests.notice(about: "digest.9.2026-11-25@x", to: "ada@example.org"),
            DeliveryNoticeTests.notice(about: digest, to: "ada@example.org", action: "delayed", status: "4.4.1"),
            Data("Subject: hi\n\n".utf8))
        #expect(found == [.foreign, .foreign, .temporary, .other])
        #expect(try state(bench) == "active 0")
    }
}
