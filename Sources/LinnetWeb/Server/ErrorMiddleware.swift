import Foundation
import Hummingbird
import NIOCore
import Papers

/// Turns whatever goes wrong into a page with one clear line, or into JSON for programs.
struct ErrorMiddleware: RouterMiddleware {
    let renderer: Renderer

    func handle(
        _ request: Request, context: WebContext, next: (Request, WebContext) async throws -> Response
    ) async throws -> Response {
        do { return try await next(request, context) } catch { return response(Self.explained(error), request) }
    }

    private static func explained(_ error: any Error) -> WebError {
        switch error {
        case let error as WebError: error
        case let error as PaperError:
            if case .unknownPaper = error { .notFound("\(error)") } else { internalError }
        case let error as HTTPError where error.status == .notFound: .notFound("there is no such page")
        case let error as HTTPError: WebError(status: error.status, message: error.body ?? error.status.reasonPhrase.lowercased())
        default: internalError
        }
    }

    /// What happened inside is nobody's business outside.
    private static let internalError: WebError = WebError(
        status: .internalServerError, message: "something went wrong inside the server; try again")

    private func response(_ error: WebError, _ request: Request) -> Response {
        var headers: HTTPFields = error.headers
        headers[.cacheControl] = "no-cache"
        let body: ByteBuffer
        if request.headers[.accept]?.contains("text/html") == true, !request.uri.path.hasPrefix("/api/") {
            headers[.contentType] = "text/html; charset=utf-8"
            let heading: String = error.status.reasonPhrase
            let view: View = ["heading": heading, "message": Self.sentence(error.message), "isError": true]
            let page: Page = Page(template: "message", title: heading, status: error.status, view: view)
            body = ByteBuffer(string: renderer.html(page, .live("")))
        } else {
            headers[.contentType] = "application/json"
            body = ByteBuffer(data: (try? JSONSerialization.data(withJSONObject: ["error": error.message])) ?? Data())
        }
        return Response(status: error.status, headers: headers, body: ResponseBody(byteBuffer: body))
    }

    private static func sentence(_ message: String) -> String { message.prefix(1).uppercased() + message.dropFirst() + "." }
}
