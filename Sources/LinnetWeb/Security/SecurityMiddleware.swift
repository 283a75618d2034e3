import Hummingbird

/// Headers that keep a browser from doing anything with a page but show it: no script, style or connection from elsewhere, no frame around it.
struct SecurityHeadersMiddleware: RouterMiddleware {
    static let contentSecurityPolicy: String = """
        default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'
        """

    private static let headers: [(String, String)] = [
        ("Content-Security-Policy", contentSecurityPolicy), ("X-Content-Type-Options", "nosniff"), ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "same-origin"), ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"), ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
    ]

    func handle(
        _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
    ) async throws -> Response {
        var response: Response = try await next(request, context)
        for (name, value) in Self.headers { if let name = HTTPFields.Element.Name(name) { response.headers[name] = value } }
        return response
    }
}

/// Refuses what no page of the application asks for: long paths, and on a loopback address other hosts' names (DNS rebinding).
struct RequestCheckMiddleware: RouterMiddleware {
    let configuration: WebConfiguration

    func handle(
        _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
    ) async throws -> Response {
        let path: String = request.head.path ?? ""
        guard path.utf8.count <= configuration.pathLimit else {
            throw WebError(status: .uriTooLong, message: "the address is longer than \(configuration.pathLimit) bytes")
        }
        guard path.first == "/" else { throw WebError.bad("the address has to begin with /") }
        if configuration.accessToken == nil, let authority = request.head.authority, !isOwn(authority) {
            throw WebError(status: .misdirectedRequest, message: "this server answers for localhost alone")
        }
        return try await next(request, context)
    }

    /// Whether an authority, `host:port`, is one of the application's own.
    private func isOwn(_ authority: String) -> Bool {
        let host: Substring
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            host = authority[authority.index(after: authority.startIndex)..<end]
        } else {
            host = authority.prefix { $0 != ":" }
        }
        let address: Substring = configuration.site.address.drop { $0 != "/" }.dropFirst(2).prefix { $0 != "/" }
        return WebConfiguration.isLoopback(host.lowercased()) || authority == address
    }
}

/// Gives each visitor a session, and lets no request change anything that does not come from a form of that session.
struct SessionMiddleware: RouterMiddleware {
    static let cookie: String = "linnet-session"
    let configuration: WebConfiguration

    func handle(
        _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
    ) async throws -> Response {
        var context: WebContext = context
        let given: String? = request.cookies[Self.cookie]?.value
        let known: String? = given.flatMap { $0.utf8.count == 32 && $0.allSatisfy(\.isHexDigit) ? $0 : nil }
        context.session = Session(id: known ?? Secrets.randomName(), isNew: known == nil)
        var response: Response = try await next(request, context)
        // What caches may keep has to be the same for everybody.
        if context.session.isNew, response.headers[.cacheControl] == "no-store" {
            response.setCookie(
                Cookie(
                    name: Self.cookie, value: context.session.id, path: "/", secure: configuration.site.address.hasPrefix("https:"),
                    httpOnly: true, sameSite: .lax))
        }
        return response
    }
}

/// Asks for the access token: a cookie that the page /login sets, `Authorization: Bearer TOKEN`, or the token as the password of Basic.
struct AccessMiddleware: RouterMiddleware {
    static let cookie: String = "linnet-access"
    /// What has to be reachable for the login page, for probes, and for people who come from an e-mail with a secret of their own.
    private static let open: Set<String> = ["/login", "/health", "/confirm", "/unsubscribe"]
    let secrets: Secrets

    func handle(
        _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
    ) async throws -> Response {
        let path: String = request.uri.path
        if Self.open.contains(path) || path.hasPrefix("/static/") || isAdmitted(request) { return try await next(request, context) }
        let wantsPage: Bool = request.head.method == .get && request.headers[.accept]?.contains("text/html") == true
        if wantsPage { return Response(status: .seeOther, headers: [.location: "/login", .cacheControl: "no-store"]) }
        throw WebError(
            status: .unauthorized, message: "the access token is missing or wrong; send it as Authorization: Bearer TOKEN",
            headers: [.wwwAuthenticate: #"Basic realm="Linnet", charset="UTF-8""#])
    }

    private func isAdmitted(_ request: Request) -> Bool {
        if let cookie = request.cookies[Self.cookie]?.value, secrets.isAccessCookie(cookie) { return true }
        guard let header = request.headers[.authorization] else { return false }
        if header.hasPrefix("Bearer ") { return secrets.isAccessToken(String(header.dropFirst("Bearer ".count))) }
        guard header.hasPrefix("Basic "), let password = BasicCredentials.password(String(header.dropFirst("Basic ".count))) else {
            return false
        }
        return secrets.isAccessToken(password)
    }
}
