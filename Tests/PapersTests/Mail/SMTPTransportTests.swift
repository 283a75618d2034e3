import Foundation
import Testing

@testable import Papers

@Suite(.timeLimit(.minutes(1))) struct SMTPTransportTests {
    typealias Answer = FakeSMTPServer.Answer

    private func transport(
        _ server: FakeSMTPServer, security: SMTPSecurity = .automatic, credentials: SMTPCredentials? = nil, timeout: Int = 20
    ) throws -> SMTPTransport {
        try SMTPTransport(
            SMTPConfiguration(host: "127.0.0.1", port: server.port, security: security, credentials: credentials, timeout: timeout))
    }

    /// The error that sending to a server with this script ends with.
    private func failure(_ script: [(String, Answer)], security: SMTPSecurity = .automatic, timeout: Int = 20) async throws -> MailError? {
        let server: FakeSMTPServer = try await FakeSMTPServer(script)
        do {
            _ = try await transport(server, security: security, timeout: timeout).send(MIMEMessageTests.message())
            return nil
        } catch let error as MailError {
            #expect(isOneLine(error))
            return error
        }
    }

    private func kind(_ error: MailError?) -> String {
        switch error {
        case .temporary: "temporary"
        case .refused: "refused"
        case .uncertain: "uncertain"
        case .setup: "setup"
        case .address, .header: "other"
        case nil: "sent"
        }
    }

    @Test func aMessageIsHandedOver() async throws {
        let server: FakeSMTPServer = try await FakeSMTPServer()
        let message: MIMEMessage = try MIMEMessageTests.message(text: "first\n.\n.dot\n..dots\nlast")
        let receipt: MailReceipt = try await transport(server).send(message)
        #expect(receipt == MailReceipt(messageID: message.messageID, answer: "250 2.0.0 taken"))
        #expect(server.lines == ["EHLO example.org", "MAIL FROM:<linnet@example.org>", "RCPT TO:<ada@example.org>", "DATA", "QUIT"])
        let body: String = try #require(server.bodies.first)
        #expect(body.contains("\r\n..\r\n..dot\r\n...dots\r\n"))
        #expect(body.replacing("\r\n..", with: "\r\n.") == message.encoded)
    }

    @Test func repliesOfSeveralLinesAndInPiecesAreRead() async throws {
        let greeting: String = "220-one\r\n220-two\r\n220 three\r\n"
        #expect(try await failure([("", .text(greeting)), ("MAIL", .text("250-a\n250 b\n")), ("RCPT", .text("251\r\n"))]) == nil)
    }

    @Test(arguments: [
        ("", "554 go away", "setup"), ("", "421 busy", "temporary"), ("EHLO", "502 no", "setup"), ("MAIL", "451 later", "temporary"),
        ("MAIL", "550 not you", "setup"), ("RCPT", "450 busy", "temporary"), ("RCPT", "550 5.1.1 nobody", "refused"),
        ("DATA", "554 no", "refused"),
        ("DATA", "421 closing", "temporary"), (".", "451 later", "temporary"), (".", "554 spam", "refused"), ("QUIT", "500 what", "sent"),
    ]) func aReplyDecidesWhatAFailureMeans(_ command: String, _ reply: String, _ expected: String) async throws {
        let error: MailError? = try await failure([(command, .text(reply + "\r\n"))])
        #expect(kind(error) == expected)
        if let error { #expect("\(error)".contains(reply)) }
    }

    @Test(arguments: [
        ("", "setup"), ("EHLO", "setup"), ("MAIL", "temporary"), ("RCPT", "temporary"), ("DATA", "temporary"), (".", "uncertain"),
        ("QUIT", "sent"),
    ])
    func aLostConnectionIsHarmlessUntilTheLastLine(_ command: String, _ expected: String) async throws {
        #expect(kind(try await failure([(command, .hangUp)])) == expected)
    }

    @Test func silenceEndsAConversation() async throws {
        async let before: MailError? = failure([("RCPT", .silence)], timeout: 3)
        async let after: MailError? = failure([(".", .silence)], timeout: 3)
        async let leaving: MailError? = failure([("QUIT", .silence)], timeout: 3)
        #expect(try await before == .temporary("no answer for 3 s"))
        #expect(try await after == .uncertain("no answer for 3 s"))
        #expect(try await leaving == nil)
    }

    @Test(arguments: [
        "hello\r\n", "2\r\n", "999 no\r\n", "250-a\r\n251 b\r\n", "250_a\r\n", "\r\n", String(repeating: "x", count: 5000),
        "250 " + String(repeating: "x", count: 5000) + "\r\n", String(repeating: "250-x\r\n", count: 300),
    ]) func answersThatAreNoSMTPEndAConversation(_ text: String) async throws {
        #expect(try await failure([("RCPT", .text(text))]) == .temporary("the server's answer is not SMTP"))
    }

    @Test func withoutSTARTTLSNothingIsSent() async throws {
        let server: FakeSMTPServer = try await FakeSMTPServer()
        let credentials: SMTPCredentials = SMTPCredentials(user: "u", password: "secret")
        let transport: SMTPTransport = try transport(server, security: .startTLS, credentials: credentials)
        await #expect(throws: MailError.setup("127.0.0.1 offers no STARTTLS, and without encryption nothing is sent to it")) {
            try await transport.send(MIMEMessageTests.message())
        }
        #expect(server.lines == ["EHLO example.org"])
    }

    /// A reply smuggled in before the encryption must not be taken for one that came through it.
    @Test func whatComesBetweenSTARTTLSAndTheEncryptionIsRefused() async throws {
        for smuggled in ["220 go\r\n250-fake\r\n250 AUTH PLAIN\r\n", "220 go\r\n25"] {
            let error: MailError? = try await failure(
                [("EHLO", .text("250-fake\r\n250 STARTTLS\r\n")), ("STARTTLS", .text(smuggled))], security: .startTLS)
            #expect(error == .setup("the server sent something between STARTTLS and the encryption"))
        }
        #expect(
            kind(try await failure([("EHLO", .text("250-f\r\n250 starttls\r\n")), ("STARTTLS", .text("454 no\r\n"))], security: .startTLS))
                == "temporary")
    }

    @Test func loginsArePlainOrLogin() async throws {
        let credentials: SMTPCredentials = SMTPCredentials(user: "lin", password: "pässwort")
        func lines(_ offer: String, _ script: [(String, Answer)]) async throws -> [String] {
            let server: FakeSMTPServer = try await FakeSMTPServer([("EHLO", .text("250-fake\r\n250 \(offer)\r\n"))] + script)
            _ = try await transport(server, credentials: credentials).send(MIMEMessageTests.message())
            return Array(server.lines.dropFirst().prefix { !$0.hasPrefix("MAIL") })
        }
        let ok: Answer = .text("235 in\r\n")
        #expect(try await lines("AUTH LOGIN PLAIN", [("AUTH", ok)]) == ["AUTH PLAIN " + Data("\0lin\0pässwort".utf8).base64EncodedString()])
        let (user, password): (String, String) = (Data("lin".utf8).base64EncodedString(), Data("pässwort".utf8).base64EncodedString())
        let next: Answer = .text("334 VXNlcm5hbWU6\r\n")
        #expect(
            try await lines("AUTH LOGIN", [("AUTH", next), (user.uppercased(), next), (password.uppercased(), ok)])
                == ["AUTH LOGIN", user, password])
    }

    @Test func aRefusedLoginSaysNothingOfThePassword() async throws {
        let credentials: SMTPCredentials = SMTPCredentials(user: "lin", password: "secret")
        for (reply, expected) in [("535 no lin secret", "setup"), ("454 later secret", "temporary")] {
            let server: FakeSMTPServer = try await FakeSMTPServer([
                ("EHLO", .text("250-fake\r\n250 AUTH PLAIN\r\n")), ("AUTH", .text(reply + "\r\n")),
            ])
            let error: MailError? = await #expect(throws: MailError.self) {
                try await transport(server, credentials: credentials).send(MIMEMessageTests.message())
            }
            #expect(kind(error) == expected && !"\(error!)".contains("secret"))
        }
        let server: FakeSMTPServer = try await FakeSMTPServer()
        await #expect(throws: MailError.setup("127.0.0.1 offers neither AUTH PLAIN nor AUTH LOGIN, and a user is given")) {
            try await transport(server, credentials: credentials).send(MIMEMessageTests.message())
        }
    }

    @Test func noServerIsASetupError() async throws {
        // Port 1 needs privileges to listen at, and nobody does.
        let nobody: SMTPTransport = try SMTPTransport(SMTPConfiguration(host: "127.0.0.1", port: 1))
        let error: MailError? = await #expect(throws: MailError.self) { try await nobody.send(MIMEMessageTests.message()) }
        #expect(kind(error) == "setup" && "\(error!)".contains("127.0.0.1:1"))
    }

    /// The service over a scripted server: 451 and then success, 550 as a bounce, and only the mails that were due.
    @Test func theDigestOverAServer() async throws {
        let bench: DigestBench = try DigestBench()
        let memory: DigestService = try bench.service()
        try await bench.subscribe("ada@example.org", memory)
        try await bench.subscribe("bob@example.org", memory)
        let scripted: FakeSMTPServer = try await FakeSMTPServer([
            ("RCPT", .text("451 4.7.1 greylisted\r\n")), ("RCPT", .text("550 5.1.1 nobody\r\n")),
        ])
        let service: DigestService = try bench.service(transport: try transport(scripted))
        let first: DigestReport = try await service.send()
        #expect(first.outcomes.map(\.state) == [.queued, .bounced])
        bench.clock.advance(hours: 1.0 / 60)
        #expect(try await service.send().outcomes.map(\.state) == [.sent])
        #expect(scripted.bodies.count == 1)
        #expect(try await service.subscribers().map(\.bounces) == [0, 1])
    }
}
