import Foundation
import Hummingbird

/// An error as OpenAI's API gives it: a status and `{"error": {"message", "type", "param", "code"}}`.
struct APIError: Error, Sendable, CustomStringConvertible {
    let status: HTTPResponse.Status
    let message: String
    let code: String
    var headers: HTTPFields = [:]
    /// The field of the request that is wrong.
    var field: String?

    var description: String { message }

    static func invalid(_ message: String, field: String? = nil) -> APIError {
        APIError(status: .badRequest, message: message, code: "invalid_request", field: field)
    }

    static func modelNotFound(_ name: String, served: String) -> APIError {
        APIError(
            status: .notFound, message: "the model '\(name)' is not here; this server has '\(served)'", code: "model_not_found",
            field: "model")
    }

    static let timeout: APIError = APIError(
        status: .serviceUnavailable, message: "the time for the request was over before the text was begun", code: "timeout",
        headers: [.retryAfter: "1"])
    static let stopping: APIError = APIError(
        status: .serviceUnavailable, message: "the server is shutting down", code: "shutting_down", headers: [.retryAfter: "5"])

    init(
        status: HTTPResponse.Status, message: String, code: String, headers: HTTPFields = [:], field: String? = nil
    ) {
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers
        self.field = field
    }

    init(_ refusal: GenerationRefusal) {
        switch refusal {
        case .queueFull:
            self.init(status: .tooManyRequests, message: refusal.description, code: "queue_full", headers: [.retryAfter: "1"])
        case .stopping: self = .stopping
        case .invalid(let reason): self = .invalid(reason)
        }
    }

    private struct Body: Encodable {
        struct Detail: Encodable {
            let message: String
            let type: String
            let param: String?
            let code: String

            private enum CodingKeys: String, CodingKey { case message, type, param, code }

            func encode(to encoder: any Encoder) throws {
                var container: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
                try container.encode(message, forKey: .message)
                try container.encode(type, forKey: .type)
                try container.encode(param, forKey: .param)
                try container.encode(code, forKey: .code)
            }
        }
        let error: Detail
    }

    /// The JSON of the body.
    var json: ByteBuffer {
        let type: String =
            switch status.code {
            case 401: "authentication_error"
            case 429: "rate_limit_error"
            case 500...: "server_error"
            default: "invalid_request_error"
            }
        return encodedJSON(Body(error: Body.Detail(message: message, type: type, param: field, code: code)))
    }

    var response: Response {
        var fields: HTTPFields = headers
        fields[.contentType] = "application/json"
        return Response(status: status, headers: fields, body: ResponseBody(byteBuffer: json))
    }
}

/// A document as JSON with its keys in order.
func encodedJSON(_ value: some Encodable) -> ByteBuffer {
    let encoder: JSONEncoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do { return ByteBuffer(bytes: try encoder.encode(value)) } catch { preconditionFailure("a reply cannot be encoded: \(error)") }
}

/// A reply of status 200.
func jsonResponse(_ value: some Encodable) -> Response {
    Response(status: .ok, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: encodedJSON(value)))
}
