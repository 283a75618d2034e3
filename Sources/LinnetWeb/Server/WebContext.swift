import Hummingbird
import NIOCore

/// What a request's handler knows beside the request.
struct WebContext: RequestContext {
    var coreContext: CoreRequestContextStorage
    /// The visitor's address, "local" where there is no network (tests).
    let visitor: String
    /// Set by ``SessionMiddleware`` before any page is drawn.
    var session: Session = Session(id: "", isNew: true)

    init(source: ApplicationRequestContextSource) {
        coreContext = CoreRequestContextStorage(source: source)
        visitor = source.channel.remoteAddress?.ipAddress ?? "local"
    }
}

/// Forms belong to a visitor's session, a random name in a cookie.
struct Session: Sendable {
    let id: String
    /// Whether the visitor does not have the cookie yet.
    let isNew: Bool
}
