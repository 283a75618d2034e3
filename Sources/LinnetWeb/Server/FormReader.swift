import Hummingbird
import NIOCore

/// Reads the forms that visitors send, within the limits on size and time.
struct FormReader: Sendable {
    let configuration: WebConfiguration
    let secrets: Secrets

    /// The fields of a form that came from a page of the visitor's session.
    ///
    /// - Throws: ``WebError`` when the form is too large or too slow, is not encoded as forms are, or comes from elsewhere.
    func read(_ request: Request, _ context: WebContext) async throws -> FormFields {
        // Browsers say where a request comes from; programs do not, and they have no cookies that could be abused.
        if let site = request.headers[Self.fetchSite], site != "same-origin", site != "none" { throw Self.foreign }
        let fields: FormFields = try await unchecked(request)
        guard !context.session.isNew, let token = fields["token"], secrets.isFormToken(token, of: context.session) else {
            throw Self.foreign
        }
        return fields
    }

    /// The same without asking where the form comes from: for requests that carry a secret of their own.
    func unchecked(_ request: Request) async throws -> FormFields {
        let type: String = request.headers[.contentType] ?? ""
        guard type.prefix(while: { $0 != ";" }).lowercased() == "application/x-www-form-urlencoded" else {
            throw WebError(status: .unsupportedMediaType, message: "a form has to be sent as application/x-www-form-urlencoded")
        }
        let body: ByteBuffer = try await body(of: request)
        guard let text = String(validating: body.readableBytesView, as: UTF8.self) else { throw WebError.bad("the form is not UTF-8") }
        return try FormFields(text)
    }

    private func body(of request: Request) async throws -> ByteBuffer {
        let (limit, seconds): (Int, Double) = (configuration.bodyLimit, configuration.bodyTimeout)
        do {
            return try await withThrowingTaskGroup(of: ByteBuffer.self) { group in
                group.addTask { try await request.body.collect(upTo: limit) }
                group.addTask {
                    try await Task.sleep(for: .seconds(seconds))
                    throw WebError(status: .requestTimeout, message: "the form did not come within \(Int(seconds)) seconds")
                }
                defer { group.cancelAll() }
                return try await group.next() ?? ByteBuffer()
            }
        } catch is NIOTooManyBytesError {
            throw WebError(status: .contentTooLarge, message: "the form is larger than \(limit) bytes")
        }
    }

    private static let fetchSite: HTTPFields.Element.Name = HTTPFields.Element.Name("Sec-Fetch-Site")!

    private static let foreign: WebError = WebError(
        status: .forbidden, message: "the form is too old or does not come from this page; load the page again and send it once more")
}
