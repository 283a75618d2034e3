import NIOCore

/// A server's reply, its lines joined.
struct SMTPReply: Sendable, Equatable {
    let code: Int
    let lines: [String]

    var isPositive: Bool { code / 100 == 2 }
    var isTemporary: Bool { code / 100 == 4 }

    /// Code and text on one line, for an error: printable ASCII, at most 200 characters.
    var description: String {
        let text: String = lines.joined(separator: " ")
        return "\(code) " + String(String.UnicodeScalarView(text.unicodeScalars.filter { (0x20..<0x7f).contains($0.value) }).prefix(200))
    }
}

/// What a server does that is no reply.
enum SMTPFault: Error, CustomStringConvertible {
    case silence(seconds: Int)
    case closed
    case malformed

    var description: String {
        switch self {
        case .silence(let seconds): "no answer for \(seconds) s"
        case .closed: "the server closed the connection"
        case .malformed: "the server's answer is not SMTP"
        }
    }
}

/// Puts replies together from lines; a silence, or an answer that is no reply, ends the connection.
final class SMTPReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = SMTPReply

    private let timeout: Int
    private var unread: ByteBuffer = ByteBuffer()
    private var code: Int?
    private var lines: [String] = []
    private var replies: Int = 0

    private static let longestLine: Int = 2048
    private static let mostLines: Int = 128

    init(timeout: Int) { self.timeout = timeout }

    /// Whether the server has sent these replies and nothing more, not even the start of another.
    func hasSentOnly(_ count: Int) -> Bool { replies == count && unread.readableBytes == 0 && lines.isEmpty }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unread.writeImmutableBuffer(unwrapInboundIn(data))
        while let end = unread.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
            let bytes: [UInt8] = unread.readBytes(length: end - unread.readerIndex + 1)!
            guard bytes.count <= Self.longestLine, read(bytes, context) else { return fail(.malformed, context) }
        }
        unread.discardReadBytes()
        if unread.readableBytes > Self.longestLine { fail(.malformed, context) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is IdleStateHandler.IdleStateEvent {
            fail(.silence(seconds: timeout), context)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// Takes "250-text" or "250 text"; false where the line is neither, or not of the reply that has begun.
    private func read(_ bytes: [UInt8], _ context: ChannelHandlerContext) -> Bool {
        let line: Substring = Substring(String(decoding: bytes, as: UTF8.self)).prefix { !$0.isNewline }
        guard let number = Int(line.prefix(3)), (200..<600).contains(number), number == code ?? number else { return false }
        let rest: Substring = line.dropFirst(3)
        guard rest.isEmpty || rest.first == " " || rest.first == "-", lines.count < Self.mostLines else { return false }
        lines.append(String(rest.dropFirst()))
        code = number
        guard rest.first != "-" else { return true }
        let reply: SMTPReply = SMTPReply(code: number, lines: lines)
        (code, lines, replies) = (nil, [], replies + 1)
        context.fireChannelRead(wrapInboundOut(reply))
        return true
    }

    private func fail(_ fault: SMTPFault, _ context: ChannelHandlerContext) {
        context.fireErrorCaught(fault)
        context.close(promise: nil)
    }
}
