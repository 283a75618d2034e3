import Experiments
import Foundation
import Hummingbird
import NIOCore
import Papers
import ServiceLifecycle
import Synchronization

/// Votes, runs and the access token.
struct ActionHandlers: Sendable {
    private let pages: PageHandlers
    private let forms: FormReader
    private let votes: RateLimiter
    private let starts: RateLimiter
    private let logins: RateLimiter
    private let streams: OpenStreams

    init(pages: PageHandlers, forms: FormReader) {
        self.pages = pages
        self.forms = forms
        let (site, bounds): (WebSite, WebConfiguration) = (pages.site, forms.configuration)
        votes = RateLimiter(bounds.votesPerHour, per: 3600, now: site.store.now)
        starts = RateLimiter(bounds.jobsPerHour, per: 3600, now: site.store.now)
        logins = RateLimiter(10, per: 900, now: site.store.now)
        streams = OpenStreams(limit: bounds.maximumEventStreams)
    }

    func register(in router: Router<WebContext>) {
        router.post("/upvote/:slug", use: upvote)
        router.post("/p/:slug/run", use: start)
        router.post("/jobs/:id/cancel", use: cancel)
        router.get("/jobs/:id/events", use: events)
        guard pages.site.configuration.accessToken != nil else { return }
        router.get("/login") { _, context in pages.html(Page(template: "login", title: "Access token"), context) }
        router.post("/login", use: login)
    }

    // MARK: Votes

    @Sendable private func upvote(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try await forms.read(request, context)
        let paper: Paper = try pages.site.store.paper(try pages.slug(context))
        try votes.admit(context.visitor, to: "vote")
        _ = try pages.site.store.upvote(paper.slug, voter: context.visitor)
        return pages.redirect("/p/\(paper.slug)")
    }

    // MARK: Runs

    @Sendable private func start(_ request: Request, _ context: WebContext) async throws -> Response {
        let fields: FormFields = try await forms.read(request, context)
        let slug: String = try pages.slug(context)
        guard let jobs = pages.site.jobs, ExperimentCatalogue.slugs.contains(slug) else {
            throw WebError.notFound("there is no experiment to run here")
        }
        // What takes hours is started where somebody pays for it: on the command line.
        guard let scale = fields["scale"].flatMap({ Scale(rawValue: $0) }), scale != .full else {
            throw WebError.bad("the scale has to be smoke or small")
        }
        try starts.admit(context.visitor, to: "run experiments")
        do { _ = try await jobs.submit(slug: slug, scale: scale) } catch { throw WebError(status: .conflict, message: "\(error)") }
        return pages.redirect("/p/\(slug)#run")
    }

    @Sendable private func cancel(_ request: Request, _ context: WebContext) async throws -> Response {
        _ = try await forms.read(request, context)
        let job: Job = try await job(context)
        await pages.site.jobs?.cancel(job.id)
        return pages.redirect("/p/\(job.slug)#run")
    }

    private func job(_ context: WebContext) async throws -> Job {
        let id: String = context.parameters.get("id") ?? ""
        guard let job = await pages.site.jobs?.jobs().first(where: { $0.id == id }) else { throw WebError.notFound("there is no such job") }
        return job
    }

    /// A job's states as server-sent events, until it ends or the visitor goes.
    @Sendable private func events(_ request: Request, _ context: WebContext) async throws -> Response {
        let job: Job = try await job(context)
        guard let states = await pages.site.jobs?.states(of: job.id) else { throw WebError.notFound("there is no such job") }
        guard let place = streams.enter() else {
            throw WebError(
                status: .serviceUnavailable, message: "too many visitors follow experiments now", headers: [.retryAfter: "10"])
        }
        let frames: AsyncStream<ByteBuffer> = EventFrames.stream(of: states, heartbeat: forms.configuration.heartbeat)
        let body: ResponseBody = ResponseBody { writer in
            defer { place.leave() }
            for await frame in frames.cancelOnGracefulShutdown() { try await writer.write(frame) }
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache"], body: body)
    }

    // MARK: The access token

    @Sendable private func login(_ request: Request, _ context: WebContext) async throws -> Response {
        let fields: FormFields = try await forms.read(request, context)
        try logins.admit(context.visitor, to: "enter")
        guard let given = fields["access"], pages.secrets.isAccessToken(given), let cookie = pages.secrets.accessCookie else {
            let page: Page = Page(
                template: "login", title: "Access token", status: .unauthorized, view: ["error": "This is not the access token."])
            return pages.html(page, context)
        }
        var response: Response = pages.redirect("/")
        response.setCookie(
            Cookie(
                name: AccessMiddleware.cookie, value: cookie, maxAge: 30 * 86_400, path: "/",
                secure: forms.configuration.site.address.hasPrefix("https:"), httpOnly: true, sameSite: .lax))
        return response
    }
}
