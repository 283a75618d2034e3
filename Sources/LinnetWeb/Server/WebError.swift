import Hummingbird

/// Why a request is refused, in one line for the visitor.
struct WebError: Error {
    let status: HTTPResponse.Status
    let message: String
    var headers: HTTPFields = [:]

    static func bad(_ message: String) -> WebError { WebError(status: .badRequest, message: message) }

    static func notFound(_ message: String) -> WebError { WebError(status: .notFound, message: message) }

    static func tooMany(_ message: String, after seconds: Int) -> WebError {
        WebError(status: .tooManyRequests, message: message, headers: [.retryAfter: String(max(1, seconds))])
    }
}
