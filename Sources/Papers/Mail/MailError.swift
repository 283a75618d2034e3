/// What can be wrong with a message or with its way to the server.
public enum MailError: Error, Equatable, Sendable, CustomStringConvertible {
    case address(String, reason: String)
    /// A header's value with a line break or another control character: what header injection needs.
    case header(String)
    /// The server could not take the message now (a 4xx reply), or the connection failed before the message was complete. It may be sent again.
    case temporary(String)
    /// The server refused the recipient or the message for good (a 5xx reply).
    case refused(String)
    /// The message was handed over whole and no reply came: whether it was delivered is not known. Sending it again could deliver it twice.
    case uncertain(String)
    /// The server cannot be used as it is set up: no encryption, a wrong password, a refused sender. No fault of the recipient.
    case setup(String)

    public var description: String {
        switch self {
        case .address(let text, let reason): "'\(XMLText.line(text))' is no e-mail address: \(reason)"
        case .header(let name): "the mail header \(name) has a line break or a control character in it"
        case .temporary(let reason): "the mail server could not take the message now: \(reason)"
        case .refused(let reason): "the mail server refused the message: \(reason)"
        case .uncertain(let reason): "the mail server was given the message and did not answer, so it is not sent again: \(reason)"
        case .setup(let reason): "cannot send mail: \(reason)"
        }
    }
}
