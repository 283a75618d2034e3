import Hummingbird
import NIOCore
import Synchronization

/// Says when the client of a connection goes, so that nobody works on for it.
final class ClientConnection: Sendable {
    private struct State {
        var isClosed: Bool = false
        var action: (@Sendable () -> Void)?
    }

    private let state: Mutex<State> = Mutex(State())

    /// Runs `action` when the client goes, at once if it has gone already. A connection has one request at a time, and one action.
    func onClose(_ action: @escaping @Sendable () -> Void) {
        let isClosed: Bool = state.withLock { state in
            if !state.isClosed { state.action = action }
            return state.isClosed
        }
        if isClosed { action() }
    }

    /// The request is answered.
    func clear() { state.withLock { $0.action = nil } }

    func close() {
        let action: (@Sendable () -> Void)? = state.withLock { state in
            defer { state = State(isClosed: true) }
            return state.action
        }
        action?()
    }

    /// That of a channel with a ``DisconnectHandler``; without one (a test without a network) a connection that never closes.
    static func of(_ channel: any Channel) async -> ClientConnection {
        let found: EventLoopFuture<ClientConnection> = channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: DisconnectHandler.self).connection
        }
        return (try? await found.get()) ?? ClientConnection()
    }
}

/// Watches for the end of a connection. A client that closes its sending side only is taken to have gone: one that waits for an
/// answer keeps both open.
final class DisconnectHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = Any

    let connection: ClientConnection = ClientConnection()

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .inputClosed? = event as? ChannelEvent { connection.close() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.close()
        context.fireChannelInactive()
    }
}

/// What a request's handler knows beside the request.
struct ServingContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        channel = source.channel
    }
}
