import Foundation

/// A notice that a message could not be delivered (RFC 3464, in a `multipart/report` of RFC 6522). It is read as what anybody may have sent.
struct DeliveryNotice: Equatable {
    /// What became of the message at one address.
    struct Recipient: Equatable {
        /// The address that the message was sent to and the one that it ended at, where the notice has both.
        let addresses: [String]
        /// "failed", "delayed" and others, in lower case.
        let action: String
        /// Three numbers: 5.1.1.
        let status: String
        /// What the server said, on one line.
        let diagnostic: String

        /// Whether it will not be delivered any more.
        var isFailure: Bool { action == "failed" && !status.hasPrefix("4") }
    }

    /// Of the message that came back.
    let messageID: String
    let recipients: [Recipient]

    private static let longestDiagnostic: Int = 300

    /// Nil where the mail is no such notice, or does not say which message it is about.
    init?(_ mail: Data) {
        let text: String = String(decoding: mail, as: UTF8.self).replacingOccurrences(of: "\r\n", with: "\n")
        let whole: MailPart = MailPart(text[...])
        guard whole.type.hasPrefix("multipart/report"), let boundary = whole.boundary else { return nil }
        var messageID: String?
        var recipients: [Recipient] = []
        for part in whole.parts(boundary) {
            if part.type.hasPrefix("message/delivery-status") || part.type.hasPrefix("message/global-delivery-status") {
                recipients += part.body.split(separator: "\n\n").compactMap { Self.recipient(MailPart.fields(of: $0)) }
            } else if part.type.hasPrefix("message/rfc822") || part.type.hasPrefix("text/rfc822-headers") {
                messageID = MailPart(part.body).fields["message-id"]?.trimmingCharacters(in: CharacterSet(charactersIn: "<> \t"))
            }
        }
        guard let messageID, !messageID.isEmpty, !recipients.isEmpty else { return nil }
        self.messageID = messageID
        self.recipients = recipients
    }

    private static func recipient(_ fields: [String: String]) -> Recipient? {
        guard fields["final-recipient"] != nil else { return nil }
        let addresses: [String] = ["original-recipient", "final-recipient"].compactMap { fields[$0] }.map(value)
        let diagnostic: String = ImportedPaper.tidy(fields["diagnostic-code"].map(value) ?? "")
        return Recipient(
            addresses: addresses, action: fields["action"]?.lowercased() ?? "", status: fields["status"] ?? "",
            diagnostic: String(diagnostic.prefix(longestDiagnostic)))
    }

    /// What stands after the type, as in `rfc822; ada@example.org`.
    private static func value(_ field: String) -> String {
        let parts: [Substring] = field.split(separator: ";", maxSplits: 1)
        return (parts.count == 2 ? String(parts[1]) : field).trimmingCharacters(in: .whitespaces)
    }
}

/// A mail, or a part of one: fields, an empty line, a body.
private struct MailPart {
    /// By their names in lower case; the first of a name holds.
    let fields: [String: String]
    let body: Substring

    init(_ text: Substring) {
        if text.hasPrefix("\n") {
            (fields, body) = ([:], text.dropFirst())
        } else if let gap = text.range(of: "\n\n") {
            (fields, body) = (Self.fields(of: text[..<gap.lowerBound]), text[gap.upperBound...])
        } else {
            (fields, body) = (Self.fields(of: text), "")
        }
    }

    var type: String { fields["content-type"]?.lowercased() ?? "" }

    /// What divides the parts.
    var boundary: String? {
        let match = fields["content-type"]?.firstMatch(of: /(?i);\s*boundary\s*=\s*(?:"([^"]+)"|([^\s;"]+))/)
        return (match?.1 ?? match?.2).map { String($0) }
    }

    func parts(_ boundary: String) -> [MailPart] {
        var parts: [[Substring]] = []
        var isInside: Bool = false
        for line in body.split(separator: "\n", omittingEmptySubsequences: false) {
            switch line.trimmingCharacters(in: .whitespaces) {
            case "--\(boundary)--": return parts.map { MailPart($0.joined(separator: "\n")[...]) }
            case "--\(boundary)":
                parts.append([])
                isInside = true
            default: if isInside { parts[parts.count - 1].append(line) }
            }
        }
        return parts.map { MailPart($0.joined(separator: "\n")[...]) }
    }

    /// `Name: value` a line; a line that begins with white space goes on with the one before.
    static func fields(of text: Substring) -> [String: String] {
        var fields: [String: String] = [:]
        var lines: [String] = []
        for line in text.split(separator: "\n") {
            if let first = line.first, first == " " || first == "\t", !lines.isEmpty {
                lines[lines.count - 1] += " " + line.trimmingCharacters(in: .whitespaces)
            } else {
                lines.append(String(line))
            }
        }
        for line in lines {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name: String = line[..<colon].lowercased()
            if fields[name] == nil { fields[name] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces) }
        }
        return fields
    }
}
