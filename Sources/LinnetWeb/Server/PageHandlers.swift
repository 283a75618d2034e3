import Experiments
import Foundation
import Hummingbird
import NIOCore
import Papers

/// Everything that is read and changes nothing.
struct PageHandlers: Sendable {
    let site: WebSite
    let renderer: Renderer
    let assets: Assets
    let secrets: Secrets

    /// Asks for a part of a page, and says that the answer is one.
    private static let part: HTTPFields.Element.Name = HTTPFields.Element.Name("X-Linnet-Part")!

    func register(in router: Router<WebContext>) {
        router.get("/", use: listing)
        router.get("/p/:slug") { _, context in html(try await site.paper(try slug(context)), context) }
        router.get("/runs") { request, context in html(try site.runs(compare: try runs(FormFields(queryOf: request))), context) }
        router.get("/runs/:id") { _, context in html(try site.run(try number("id", context)), context) }
        router.get("/runs/:id/curves.json") { _, context in
            json(ReportView.json(try site.charts(of: try number("id", context))))
        }
        router.get("/curves.json") { request, _ in json(ReportView.json(try site.comparison(try runs(FormFields(queryOf: request))))) }
        router.get("/results") { _, context in html(try site.overview(), context) }
        router.get("/trending") { _, context in html(try site.trending(), context) }
        router.get("/feed.xml", use: feed)
        router.get("/api/search", use: search)
        router.get("/health") { _, _ in
            _ = try site.store.count
            return json(Data(#"{"status":"ok"}"#.utf8))
        }
        router.get("/static/:name") { request, context in try assets.response(context.parameters.get("name") ?? "", to: request) }
    }

    // MARK: Answers

    func html(_ page: Page, _ context: WebContext) -> Response {
        respond(renderer.html(page, .live(secrets.formToken(of: context.session))), status: page.status)
    }

    private func respond(_ html: String, status: HTTPResponse.Status = .ok, headers: HTTPFields = [:]) -> Response {
        var headers: HTTPFields = headers
        headers[.contentType] = "text/html; charset=utf-8"
        headers[.cacheControl] = "no-store"
        return Response(status: status, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
    }

    func json(_ data: Data) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/json", .cacheControl: "no-cache"],
            body: ResponseBody(byteBuffer: ByteBuffer(data: data)))
    }

    /// A page that says one thing.
    func message(
        _ heading: String, _ text: String, _ context: WebContext, action: String? = nil, button: String? = nil, secret: String? = nil
    ) -> Response {
        let view: View = ["heading": heading, "message": text, "action": action, "button": button, "secret": secret]
        return html(Page(template: "message", title: heading, view: view), context)
    }

    func redirect(_ path: String) -> Response { Response(status: .seeOther, headers: [.location: path, .cacheControl: "no-store"]) }

    // MARK: Pages

    @Sendable private func listing(_ request: Request, _ context: WebContext) async throws -> Response {
        let asked: ListingRequest = try ListingRequest(FormFields(queryOf: request))
        guard request.headers[Self.part] == "results" else { return html(try site.listing(asked), context) }
        let list: String = renderer.part("results", of: try site.results(asked), .live(secrets.formToken(of: context.session)))
        return respond(list, headers: [Self.part: "results"])
    }

    @Sendable private func feed(_ request: Request, _ context: WebContext) async throws -> Response {
        let query: String? = try FormFields(queryOf: request)["q"]
        let xml: String = try await site.feed(query: query)
        return Response(
            status: .ok, headers: [.contentType: "application/atom+xml; charset=utf-8", .cacheControl: "no-cache"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: xml)))
    }

    /// `GET /api/search?q=`.
    @Sendable private func search(_ request: Request, _ context: WebContext) async throws -> Response {
        let asked: ListingRequest = try ListingRequest(FormFields(queryOf: request))
        guard let query = asked.query else { throw WebError.bad("the search is empty; give it as ?q=WORDS") }
        let hits: [SearchHit]
        do { hits = try site.store.search(PaperQuery(query), filter: asked.filter, limit: WebSite.pageLength) } catch let error
            as PaperQueryError
        { throw WebError.bad("\(error)") }
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return json(try encoder.encode(FoundList(query: query, hits: hits.map(FoundPaper.init))))
    }

    // MARK: What an address names

    func slug(_ context: WebContext) throws -> String {
        guard let slug = context.parameters.get("slug"), slug.utf8.count <= 200 else { throw WebError.notFound("there is no such paper") }
        return slug
    }

    private func number(_ name: String, _ context: WebContext) throws -> Int64 {
        guard let text = context.parameters.get(name), let number = Int64(text) else { throw WebError.notFound("there is no such run") }
        return number
    }

    private func runs(_ fields: FormFields) throws -> [Int64] {
        try fields.all("run").map { text in
            guard let number = Int64(text) else { throw WebError.bad("a run is named by its number") }
            return number
        }
    }
}

/// The answer to a search, for programs.
private struct FoundList: Encodable {
    let query: String
    let hits: [FoundPaper]
}

private struct FoundPaper: Encodable {
    let slug: String
    let title: String
    let summary: String
    let year: Int?
    let arxiv: String?
    let group: String
    let status: String
    let score: Double
    let link: String

    init(_ hit: SearchHit) {
        slug = hit.paper.slug
        title = hit.paper.title
        summary = hit.paper.summary
        year = hit.paper.year
        arxiv = hit.paper.arxivID
        group = hit.paper.group.rawValue
        status = hit.paper.status.rawValue
        score = hit.score
        link = "/p/\(hit.paper.slug)"
    }
}
