import Foundation

/// What a server said when it took a message.
public struct MailReceipt: Sendable, Equatable {
    public let messageID: String
    /// The server's reply, or the file that was written.
    public let answer: String

    public init(messageID: String, answer: String) {
        self.messageID = messageID
        self.answer = answer
    }
}

/// A way for messages to leave.
public protocol MailTransport: Sendable {
    /// Hands one message over. When it returns, the message has been accepted.
    ///
    /// - Throws: ``MailError``; which case it is decides whether the message may be sent again.
    func send(_ message: MIMEMessage) async throws -> MailReceipt
}
