import Hummingbird
import Papers

/// Subscribing to the digest with double opt-in, and unsubscribing.
struct SubscriptionHandlers: Sendable {
    private static let longestSecret: Int = 200

    private let pages: PageHandlers
    private let forms: FormReader
    /// Guesses at secrets. Requests for a subscription are counted by the service.
    private let attempts: RateLimiter

    init(pages: PageHandlers, forms: FormReader) {
        self.pages = pages
        self.forms = forms
        attempts = RateLimiter(60, per: 3600, now: pages.site.store.now)
    }

    func register(in router: Router<WebContext>) {
        router.get("/subscribe") { _, context in pages.html(form(), context) }
        router.post("/subscribe", use: subscribe)
        router.get("/confirm") { request, context in
            pages.message(
                "Confirm your subscription", "One click, and the digest comes to your address.", context, action: "/confirm",
                button: "Confirm", secret: try secret(FormFields(queryOf: request)))
        }
        router.post("/confirm", use: confirm)
        router.get("/unsubscribe") { request, context in
            pages.message(
                "Unsubscribe", "The digest will not be sent to your address any more.", context, action: "/unsubscribe",
                button: "Unsubscribe", secret: try secret(FormFields(queryOf: request)))
        }
        router.post("/unsubscribe", use: unsubscribe)
    }

    private func form(error: String? = nil) -> Page {
        Page(
            template: "subscribe", title: "Subscribe", section: .subscribe, status: error == nil ? .ok : .badRequest,
            view: ["topics": pages.site.topics, "isAvailable": pages.site.subscriptions != nil, "error": error])
    }

    private func service() throws -> DigestService {
        guard let service = pages.site.subscriptions else { throw WebError.notFound("subscriptions are not available here") }
        return service
    }

    /// The answer is the same for an address that is known and one that is not.
    @Sendable private func subscribe(_ request: Request, _ context: WebContext) async throws -> Response {
        let fields: FormFields = try await forms.read(request, context)
        let service: DigestService = try service()
        let topics: [PaperGroup] = try fields.all("topic").map { name in
            guard let topic = PaperGroup(rawValue: name) else { throw WebError.bad("there is no such topic") }
            return topic
        }
        guard let frequency = DigestFrequency(rawValue: fields["frequency"] ?? "weekly") else {
            throw WebError.bad("the digest comes daily or weekly")
        }
        do {
            try await service.subscribe(
                email: fields["email"] ?? "", topics: topics, query: fields["query"], frequency: frequency, client: context.visitor)
        } catch DigestError.tooManyRequests(let wait) {
            throw WebError.tooMany("too many subscriptions were asked for from your address; try again later", after: Int(wait))
        } catch { return pages.html(form(error: "\(error)"), context) }
        return pages.message(
            "Look into your inbox", "If the address can be subscribed, a mail with a link to confirm is on its way to it.", context)
    }

    @Sendable private func confirm(_ request: Request, _ context: WebContext) async throws -> Response {
        let secret: String = try secret(try await forms.read(request, context))
        try attempts.admit(context.visitor, to: "confirm")
        do { try await service().confirm(token: secret) } catch let error where !(error is WebError) { throw WebError.bad("\(error)") }
        return pages.message("Subscribed", "The next issue comes to your address. Each one has a link to unsubscribe.", context)
    }

    /// From the page's button, or by one click in a mail program (RFC 8058): the secret may be in the address. It is the permission.
    @Sendable private func unsubscribe(_ request: Request, _ context: WebContext) async throws -> Response {
        let query: FormFields = try FormFields(queryOf: request)
        let fields: FormFields = try await forms.unchecked(request)
        let secret: String = try secret(query["t"] == nil ? fields : query)
        try attempts.admit(context.visitor, to: "unsubscribe")
        do { try await service().unsubscribe(token: secret) } catch let error where !(error is WebError) { throw WebError.bad("\(error)") }
        return pages.message("Unsubscribed", "No more issues will be sent to your address.", context)
    }

    private func secret(_ fields: FormFields) throws -> String {
        guard let secret = fields["t"], secret.utf8.count <= Self.longestSecret else {
            throw WebError.bad("the link is not complete; open it from the mail once more")
        }
        return secret
    }
}
