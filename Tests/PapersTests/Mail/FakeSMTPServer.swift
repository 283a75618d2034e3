import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// A mail server on this machine that answers by a script and writes down what it was told. It knows no TLS.
final class FakeSMTPServer: Sendable {
    enum Answer: Sendable {
        /// Sent as it is.
        case text(String)
        case silence
        case hangUp
    }

    /// What a polite server says.
    static let polite: [String: Answer] = [
        "": .text("220 fake ready\r\n"), "EHLO": .text("250-fake\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n"), "MAIL": .text("250 ok\r\n"),
        "RCPT": .text("250 ok\r\n"), "DATA": .text("354 go on\r\n"), ".": .text("250 2.0.0 taken\r\n"), "QUIT": .text("221 bye\r\n"),
    ]

    private let script: Script
    private let channel: any Channel

    /// - Parameters:
    ///   - script: answers to the next commands of a name, each used once; "" is the greeting, "." the end of the message.
    ///   - answers: what is said when the script has nothing.
    init(_ script: [(String, Answer)] = [], answers: [String: Answer] = FakeSMTPServer.polite) async throws {
        let script: Script = Script(script, answers)
        self.script = script
        channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Conversation(script)) }
            }
            .bind(host: "127.0.0.1", port: 0).get()
    }

    deinit { channel.close(promise: nil) }

    var port: Int { channel.localAddress!.port! }

    /// All commands, in order.
    var lines: [String] { script.state.withLock { $0.lines } }

    /// The messages, with their doubled dots.
    var bodies: [String] { script.state.withLock { $0.bodies } }

    private final class Script: Sendable {
        let state: Mutex<(lines: [String], bodies: [String], next: [(String, Answer)])>
        private let answers: [String: Answer]

        init(_ next: [(String, Answer)], _ answers: [String: Answer]) {
            state = Mutex(([], [], next))
            self.answers = answers
        }

        func answer(_ line: String) -> Answer {
            state.withLock { state in
                let name: String = line.split(separator: " ").first.map { $0.uppercased() } ?? ""
                if !line.isEmpty, name != "." { state.lines.append(line) }
                if let place = state.next.firstIndex(where: { $0.0 == name }) { return state.next.remove(at: place).1 }
                return answers[name] ?? .text("500 what?\r\n")
            }
        }
    }

    /// One client's connection.
    private final class Conversation: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let script: Script
        private var unread: String = ""
        private var isInMessage: Bool = false

        init(_ script: Script) { self.script = script }

        func channelActive(context: ChannelHandlerContext) { say(script.answer(""), context) }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            unread += String(buffer: unwrapInboundIn(data))
            while let end = unread.range(of: isInMessage ? "\r\n.\r\n" : "\r\n") {
                let part: String = String(unread[..<end.lowerBound])
                unread = String(unread[end.upperBound...])
                if isInMessage { script.state.withLock { $0.bodies.append(part + "\r\n") } }
                let answer: Answer = script.answer(isInMessage ? "." : part)
                isInMessage = if case .text(let text) = answer { text.hasPrefix("354") } else { false }
                say(answer, context)
            }
        }

        private func say(_ answer: Answer, _ context: ChannelHandlerContext) {
            switch answer {
            case .text(let text): context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            case .silence: break
            case .hangUp: context.close(promise: nil)
            }
        }
    }
}
