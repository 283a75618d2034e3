import NIOCore
import NIOPosix

/// Sends by a mail server, a connection for each message, without pipelining.
public struct SMTPTransport: MailTransport {
    private let configuration: SMTPConfiguration
    private let tls: SMTPEncryption

    /// - Throws: ``MailError/setup(_:)``.
    public init(_ configuration: SMTPConfiguration) throws {
        self.configuration = configuration
        tls = try SMTPEncryption(configuration)
    }

    /// Returns when the server has accepted the message, whatever happens to the connection afterwards.
    ///
    /// - Throws: ``MailError``.
    public func send(_ message: MIMEMessage) async throws -> MailReceipt {
        let progress: SMTPProgress = SMTPProgress()
        let channel: NIOAsyncChannel<SMTPReply, ByteBuffer>
        do {
            channel = try await connect()
        } catch {
            throw MailError.setup("no connection to \(configuration.host):\(configuration.port): \(Self.reason(error))")
        }
        do {
            try await channel.executeThenClose { inbound, outbound in
                var session: SMTPSession = SMTPSession(
                    inbound, outbound, channel: channel.channel, configuration: configuration, tls: tls)
                try await session.deliver(message, progress)
            }
        } catch {
            switch progress.stage {
            case .accepted: break
            case _ where error is MailError: throw error
            case .handedOver: throw MailError.uncertain(Self.reason(error))
            case .envelope: throw MailError.temporary(Self.reason(error))
            case .setup: throw MailError.setup("\(configuration.host):\(configuration.port): \(Self.reason(error))")
            }
        }
        guard case .accepted(let receipt) = progress.stage else { preconditionFailure("SMTPTransport: a delivery ended without an answer") }
        return receipt
    }

    private func connect() async throws -> NIOAsyncChannel<SMTPReply, ByteBuffer> {
        let (configuration, tls): (SMTPConfiguration, SMTPEncryption) = (configuration, tls)
        return try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .connectTimeout(.seconds(Int64(configuration.timeout)))
            .connect(host: configuration.host, port: configuration.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline: ChannelPipeline.SynchronousOperations = channel.pipeline.syncOperations
                    if configuration.security == .implicitTLS { try pipeline.addHandler(tls.handler()) }
                    try pipeline.addHandler(IdleStateHandler(readTimeout: .seconds(Int64(configuration.timeout))))
                    try pipeline.addHandler(SMTPReplyHandler(timeout: configuration.timeout))
                    return try NIOAsyncChannel<SMTPReply, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
    }

    /// An error on one line; NIO's own descriptions can have several.
    private static func reason(_ error: any Error) -> String { XMLText.line("\(error)") }
}
