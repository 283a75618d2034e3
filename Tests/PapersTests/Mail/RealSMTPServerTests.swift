import Foundation
import TestSupport
import Testing

@testable import Papers

/// Against aiosmtpd, an SMTP server that knows nothing of Linnet, with a certificate of its own authority.
@Suite(.timeLimit(.minutes(2)), .enabled(if: PythonPeer.has("aiosmtpd", "trustme"), "needs Python with aiosmtpd and trustme"))
struct RealSMTPServerTests {
    /// What the server made of a message, by Python's own parser.
    private struct Received: Decodable {
        let sender: String
        let recipients: [String]
        let user: String
        let subject: String
        let unsubscribe: String
        let post: String
        let text: String
        let html: String
    }

    private final class Server {
        let process: Process
        let authorities: String
        private var unread: Data = Data()
        private let output: FileHandle

        init() throws {
            authorities = FileManager.default.temporaryDirectory.path + "/linnet-authority-\(UUID().uuidString).pem"
            process = try PythonPeer.start(RealSMTPServerTests.script.replacing("AUTHORITIES", with: authorities))
            output = (process.standardOutput as! Pipe).fileHandleForReading
        }

        /// The server's next line.
        func line() throws -> Data {
            while true {
                if let end = unread.firstIndex(of: 10) {
                    let line: Data = Data(unread[..<end])
                    unread = Data(unread[(end + 1)...])
                    return line
                }
                let more: Data = output.availableData
                try #require(!more.isEmpty, "the server has ended")
                unread.append(more)
            }
        }

        /// Does not wait for the end: Foundation's wait spins when the task has moved to another thread.
        func stop() {
            process.terminate()
            try? FileManager.default.removeItem(atPath: authorities)
        }
    }

    private func configuration(
        _ server: Server, port: Int, _ security: SMTPSecurity, password: String = "p\u{e4}ss word", trusts: Bool = true
    ) throws -> SMTPConfiguration {
        try SMTPConfiguration(
            host: "localhost", port: port, security: security, credentials: SMTPCredentials(user: "linnet", password: password),
            authorities: trusts ? server.authorities : nil, timeout: 20)
    }

    @Test func aRealServerTakesTheMail() async throws {
        let server: Server = try Server()
        defer { server.stop() }
        let ports: [Int] = try JSONDecoder().decode([Int].self, from: server.line())
        let bench: DigestBench = try DigestBench()
        try bench.add("hard", title: "Zwölf 線形層 & <layers>", abstract: ".dot\n\(String(repeating: "ünï ", count: 60))")
        let memory: DigestService = try bench.service()
        try await bench.subscribe("ada@example.org", memory)
        try await memory.send()
        let message: MIMEMessage = try #require(bench.digests(to: "ada@example.org").first)
        for (port, security) in [(ports[0], SMTPSecurity.startTLS), (ports[1], .implicitTLS)] {
            let receipt: MailReceipt = try await SMTPTransport(configuration(server, port: port, security)).send(message)
            #expect(receipt.answer == "250 taken")
            let received: Received = try JSONDecoder().decode(Received.self, from: server.line())
            #expect(received.sender == "linnet@linnet.localhost" && received.recipients == ["ada@example.org"])
            #expect(received.user == "linnet" && received.subject == message.subject)
            #expect(received.text == message.text && received.html == message.html)
            #expect(received.unsubscribe == message.headers.first { $0.name == "List-Unsubscribe" }?.value)
            #expect(received.post == "List-Unsubscribe=One-Click")
        }
        try await refusals(server, ports, message)
    }

    /// A wrong password, a certificate that nobody vouches for, and a name that is not the certificate's.
    private func refusals(_ server: Server, _ ports: [Int], _ message: MIMEMessage) async throws {
        let bad: [SMTPConfiguration] = [
            try configuration(server, port: ports[0], .startTLS, password: "wrong"),
            try configuration(server, port: ports[0], .startTLS, trusts: false),
            try configuration(server, port: ports[1], .implicitTLS, trusts: false),
            try configuration(server, port: ports[2], .implicitTLS),
            try configuration(server, port: ports[0], .plain),
        ]
        for configuration in bad {
            let error: MailError? = await #expect(throws: MailError.self) { try await SMTPTransport(configuration).send(message) }
            guard let error, case .setup(let reason) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect(!reason.contains("wrong") && isOneLine(error))
        }
    }

    /// Prints the three ports (STARTTLS, TLS from the start, TLS with another name's certificate), then a line for each message.
    private static let script: String = """
        import asyncio, email, email.policy, json, ssl, trustme
        from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

        authority = trustme.CA()
        authority.cert_pem.write_to_path("AUTHORITIES")

        def context(name):
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(name).configure_cert(made)
            return made

        class Handler:
            async def handle_DATA(self, server, session, envelope):
                message = email.message_from_bytes(envelope.content, policy=email.policy.default)
                text, html = message.iter_parts()
                print(json.dumps(dict(
                    sender=envelope.mail_from, recipients=envelope.rcpt_tos, user=session.auth_data.login.decode(),
                    subject=message["Subject"], unsubscribe=message["List-Unsubscribe"].strip(), post=message["List-Unsubscribe-Post"],
                    text=text.get_content().replace("\\r\\n", "\\n"),
                    html=html.get_content().replace("\\r\\n", "\\n"))), flush=True)
                return "250 taken"

        def check(server, session, envelope, mechanism, data):
            ok = isinstance(data, LoginPassword) and (data.login, data.password) == (b"linnet", "p\u{e4}ss word".encode())
            return AuthResult(success=ok, auth_data=data)

        async def main():
            loop = asyncio.get_running_loop()
            async def serve(tls=None, **more):
                make = lambda: SMTP(Handler(), hostname="localhost", auth_required=True, authenticator=check, loop=loop, **more)
                server = await loop.create_server(make, "127.0.0.1", 0, ssl=tls)
                return server.sockets[0].getsockname()[1]
            print(json.dumps([
                await serve(tls_context=context("localhost"), require_starttls=True),
                await serve(context("localhost"), auth_require_tls=False),
                await serve(context("other.example"), auth_require_tls=False)]), flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
        """
}
