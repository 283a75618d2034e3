import Foundation
import NIOCore
import NIOSSL
import Synchronization

/// How far a message has come, which decides what a failure means.
final class SMTPProgress: Sendable {
    enum Stage: Sendable {
        /// Greeting, encryption, login: the server's and ours, not the recipient's.
        case setup
        case envelope
        /// The message's last line is out, or may be.
        case handedOver
        case accepted(MailReceipt)
    }

    private let current: Mutex<Stage> = Mutex(.setup)

    var stage: Stage {
        get { current.withLock { $0 } }
        set { current.withLock { $0 = newValue } }
    }
}

/// One conversation with a mail server (RFC 5321), a command at a time.
struct SMTPSession {
    private var replies: NIOAsyncChannelInboundStream<SMTPReply>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private let channel: any Channel
    private let configuration: SMTPConfiguration
    private let tls: SMTPEncryption
    private var repliesRead: Int = 0

    init(
        _ inbound: NIOAsyncChannelInboundStream<SMTPReply>, _ outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>, channel: any Channel,
        configuration: SMTPConfiguration, tls: SMTPEncryption
    ) {
        replies = inbound.makeAsyncIterator()
        self.outbound = outbound
        self.channel = channel
        self.configuration = configuration
        self.tls = tls
    }

    /// Delivers a message, noting in `progress` how far it has come.
    mutating func deliver(_ message: MIMEMessage, _ progress: SMTPProgress) async throws {
        try Self.check(await reply(), "the greeting")
        let name: String = message.from.host
        var offers: [String] = try await hello(name)
        if configuration.security == .startTLS {
            try await startTLS(offers)
            offers = try await hello(name)
        }
        if let credentials = configuration.credentials { try await logIn(credentials, offers) }
        progress.stage = .envelope
        let sender: SMTPReply = try await command("MAIL FROM:<\(message.from)>")
        try Self.check(sender, "the sender \(message.from)")
        for step in ["RCPT TO:<\(message.to)>", "DATA"] {
            let answer: SMTPReply = try await command(step)
            guard answer.isPositive || answer.code == 354 else { throw Self.refusal(answer) }
        }
        try await write(Self.stuffed(message.encoded))
        // From here the server may take the message whether or not we hear of it.
        progress.stage = .handedOver
        let answer: SMTPReply = try await command(".")
        guard answer.isPositive else { throw Self.refusal(answer) }
        progress.stage = .accepted(MailReceipt(messageID: message.messageID, answer: answer.description))
        _ = try await command("QUIT")
    }

    private mutating func reply() async throws -> SMTPReply {
        guard let reply = try await replies.next() else { throw SMTPFault.closed }
        repliesRead += 1
        return reply
    }

    private mutating func command(_ text: String) async throws -> SMTPReply {
        try await write(Array((text + "\r\n").utf8))
        return try await reply()
    }

    private func write(_ bytes: [UInt8]) async throws { try await outbound.write(ByteBuffer(bytes: bytes)) }

    /// What the server offers, in upper case, such as "AUTH PLAIN LOGIN".
    private mutating func hello(_ name: String) async throws -> [String] {
        let answer: SMTPReply = try await command("EHLO \(name)")
        try Self.check(answer, "EHLO")
        return answer.lines.dropFirst().map { $0.uppercased() }
    }

    private mutating func startTLS(_ offers: [String]) async throws {
        guard offers.contains("STARTTLS") else {
            throw MailError.setup("\(configuration.host) offers no STARTTLS, and without encryption nothing is sent to it")
        }
        try Self.check(await command("STARTTLS"), "STARTTLS")
        let (channel, tls, count): (any Channel, SMTPEncryption, Int) = (channel, tls, repliesRead)
        // On the event loop nothing can come between the look and the change. What the server, or somebody between, has sent before the
        // encryption begins must not be taken for what comes after.
        try await channel.eventLoop.submit {
            let handler: SMTPReplyHandler = try channel.pipeline.syncOperations.handler(type: SMTPReplyHandler.self)
            guard handler.hasSentOnly(count) else { throw MailError.setup("the server sent something between STARTTLS and the encryption") }
            try channel.pipeline.syncOperations.addHandler(tls.handler(), position: .first)
        }.get()
    }

    private mutating func logIn(_ credentials: SMTPCredentials, _ offers: [String]) async throws {
        let mechanisms: [Substring] = offers.filter { $0.hasPrefix("AUTH ") || $0.hasPrefix("AUTH=") }.flatMap {
            $0.dropFirst(5).split(separator: " ")
        }
        let answer: SMTPReply
        if mechanisms.contains("PLAIN") {
            answer = try await command("AUTH PLAIN " + Self.base64("\0\(credentials.user)\0\(credentials.password)"))
        } else if mechanisms.contains("LOGIN") {
            var step: SMTPReply = try await command("AUTH LOGIN")
            for secret in [credentials.user, credentials.password] where step.code == 334 { step = try await command(Self.base64(secret)) }
            answer = step
        } else {
            throw MailError.setup("\(configuration.host) offers neither AUTH PLAIN nor AUTH LOGIN, and a user is given")
        }
        // The reply's text is left out: a server could repeat in it what it was sent.
        if answer.isTemporary { throw MailError.temporary("\(answer.code) on logging in") }
        guard answer.code == 235 else { throw MailError.setup("\(configuration.host) refused the user or the password (\(answer.code))") }
    }

    private static func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }

    /// Lets a positive reply pass. Any other here is about the server or about us, not about the recipient.
    private static func check(_ answer: SMTPReply, _ what: String) throws {
        if answer.isTemporary { throw MailError.temporary(answer.description) }
        guard answer.isPositive else { throw MailError.setup("the mail server did not accept \(what): \(answer.description)") }
    }

    private static func refusal(_ answer: SMTPReply) -> MailError {
        answer.code / 100 == 5 ? .refused(answer.description) : .temporary(answer.description)
    }

    /// The message with a second dot wherever a line begins with one (RFC 5321, section 4.5.2).
    static func stuffed(_ message: String) -> [UInt8] {
        var result: [UInt8] = []
        var isStart: Bool = true
        for byte in message.utf8 {
            if isStart, byte == UInt8(ascii: ".") { result.append(byte) }
            result.append(byte)
            isStart = byte == UInt8(ascii: "\n")
        }
        return result
    }
}

/// TLS to one server: its certificate is checked, against the system's authorities and the given ones, and so is its name.
struct SMTPEncryption: Sendable {
    private let context: NIOSSLContext
    private let host: String

    /// - Throws: ``MailError/setup(_:)`` when the file of authorities cannot be used.
    init(_ configuration: SMTPConfiguration) throws {
        var tls: TLSConfiguration = .makeClientConfiguration()
        tls.minimumTLSVersion = .tlsv12
        // After QUIT nothing is left that a cut connection could cost, and some servers never say goodbye.
        tls.shutdownTimeout = .seconds(1)
        if let file = configuration.authorities { tls.additionalTrustRoots = [.file(file)] }
        do {
            context = try NIOSSLContext(configuration: tls)
        } catch {
            throw MailError.setup("the authorities in \(configuration.authorities ?? "the system") cannot be used: \(error)")
        }
        host = configuration.host
    }

    func handler() throws -> NIOSSLClientHandler {
        // A numeric address is no name to ask for; the certificate then has to have the address.
        let isNumeric: Bool = (try? SocketAddress(ipAddress: host, port: 0)) != nil
        return try NIOSSLClientHandler(context: context, serverHostname: isNumeric ? nil : host)
    }
}
