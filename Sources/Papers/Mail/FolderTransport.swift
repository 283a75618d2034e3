import Foundation
import Synchronization
import Torch

/// Writes each message as a file NAME.eml into a folder: what happens where no mail server is set up.
///
/// The name is the Message-ID's, so that a message written again replaces itself.
public struct FolderTransport: MailTransport {
    public let folder: String

    public init(_ folder: String) { self.folder = folder }

    /// - Throws: ``MailError/setup(_:)`` when the file cannot be written.
    public func send(_ message: MIMEMessage) async throws -> MailReceipt {
        let allowed: String = String(message.messageID.map { $0.isASCII && ($0.isLetter || $0.isNumber || "-_@.".contains($0)) ? $0 : "_" })
        let path: String = folder + "/" + allowed.drop { $0 == "." } + ".eml"
        do {
            try AtomicFile.createFolder(folder)
            try AtomicFile.write(message.encoded, to: path)
        } catch {
            throw MailError.setup("\(error)")
        }
        return MailReceipt(messageID: message.messageID, answer: path)
    }
}

/// Keeps messages in memory, for tests and previews.
public final class MemoryTransport: MailTransport {
    private let kept: Mutex<[MIMEMessage]> = Mutex([])

    public init() {}

    /// What was sent, in order.
    public var messages: [MIMEMessage] { kept.withLock { $0 } }

    public func send(_ message: MIMEMessage) async throws -> MailReceipt {
        kept.withLock { $0.append(message) }
        return MailReceipt(messageID: message.messageID, answer: "kept in memory")
    }
}
