import Hummingbird
import NIOCore

/// Turns whatever goes wrong into an error of the API, and counts the responses.
struct ErrorMiddleware: RouterMiddleware {
    let metrics: ServingMetrics
    /// The methods of each path.
    let routes: [String: HTTPRequest.Method]

    func handle(
        _ request: Request, context: ServingContext, next: (Request, ServingContext) async throws -> Response
    ) async throws -> Response {
        let response: Response
        do { response = try await next(request, context) } catch { response = apiError(error, request).response }
        let route: String = routes[request.uri.path] == nil ? "other" : request.uri.path
        metrics.recordResponse(route: route, status: response.status.code)
        return response
    }

    private func apiError(_ error: any Error, _ request: Request) -> APIError {
        switch error {
        case let error as APIError: error
        case let error as HTTPError where error.status == .notFound: unknownRoute(request)
        case let error as HTTPError: APIError(status: error.status, message: error.body ?? "\(error.status)", code: "http_error")
        case is CancellationError: APIError.stopping
        default: APIError(status: .internalServerError, message: "an error inside the server: \(error)", code: "internal_error")
        }
    }

    private func unknownRoute(_ request: Request) -> APIError {
        let path: String = request.uri.path
        guard let method = routes[path] else {
            let known: String = routes.keys.sorted().joined(separator: ", ")
            return APIError(status: .notFound, message: "there is nothing at \(path); this server has \(known)", code: "not_found")
        }
        return APIError(
            status: .methodNotAllowed, message: "\(path) takes \(method.rawValue), not \(request.method.rawValue)",
            code: "method_not_allowed", headers: [.allow: method.rawValue])
    }
}

/// Asks for `Authorization: Bearer KEY`, except on `/health`.
struct AuthorizationMiddleware: RouterMiddleware {
    let key: String

    func handle(
        _ request: Request, context: ServingContext, next: (Request, ServingContext) async throws -> Response
    ) async throws -> Response {
        if request.uri.path == "/health" { return try await next(request, context) }
        let given: String = request.headers[.authorization] ?? ""
        guard Self.isEqual(Array(given.utf8), Array("Bearer \(key)".utf8)) else {
            throw APIError(
                status: .unauthorized, message: "the API key is missing or wrong; send it as Authorization: Bearer KEY",
                code: "invalid_api_key", headers: [.wwwAuthenticate: "Bearer"])
        }
        return try await next(request, context)
    }

    /// Compares in a time that depends on the length of what was given alone, so that the key cannot be found byte by byte.
    static func isEqual(_ given: [UInt8], _ expected: [UInt8]) -> Bool {
        var difference: UInt8 = given.count == expected.count ? 0 : 1
        for (index, byte) in given.enumerated() { difference |= byte ^ expected[index % max(expected.count, 1)] }
        return difference == 0
    }
}
