import Crypto
import Foundation

/// A message with a text and an HTML part (`multipart/alternative`), ready to be sent.
///
/// Header injection is impossible by construction: a value with a control character is refused when the message is made.
public struct MIMEMessage: Sendable, Equatable {
    public let from: MailAddress
    /// Shown before the sender's address.
    public let fromName: String
    public let to: MailAddress
    public let subject: String
    public let date: Date
    /// Without angle brackets, for example "digest.7.2026-11-25@example.org".
    public let messageID: String
    /// Further headers in their order, for example List-Unsubscribe.
    public let headers: [MIMEHeader]
    public let text: String
    public let html: String

    /// - Throws: ``MailError/header(_:)`` when a value has a control character, or a name or the identifier is not what a header can have.
    public init(
        from: MailAddress, fromName: String, to: MailAddress, subject: String, date: Date, messageID: String, headers: [MIMEHeader] = [],
        text: String, html: String
    ) throws {
        self.from = from
        self.fromName = fromName
        self.to = to
        self.subject = subject
        self.date = date
        self.messageID = messageID
        self.headers = headers
        self.text = text
        self.html = html
        let isIdentifier: Bool = messageID.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">") }
        guard isIdentifier, messageID.contains("@") else { throw MailError.header("Message-ID") }
        for header in headers + [MIMEHeader("Subject", subject), MIMEHeader("From", fromName)] { try header.check() }
    }

    /// The message in its wire form: ASCII, CRLF line ends, lines of at most 76 characters where they can be folded.
    public var encoded: String {
        let boundary: String = self.boundary
        let fixed: [String] = [
            MIMEHeader.folded("From", MIMEHeader.phrase(fromName) + ["<\(from)>"]),
            MIMEHeader.folded("To", ["<\(to)>"]),
            MIMEHeader("Subject", subject).encoded,
            MIMEHeader.folded("Date", MailDate.text(date).split(separator: " ").map(String.init)),
            MIMEHeader.folded("Message-ID", ["<\(messageID)>"]),
        ]
        let ends: [String] = [
            "MIME-Version: 1.0",
            "Content-Type: multipart/alternative;\r\n boundary=\"\(boundary)\"",
        ]
        let parts: [String] = [("plain", text), ("html", html)].map { kind, body in
            "--\(boundary)\r\nContent-Type: text/\(kind); charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
                + QuotedPrintable.encoded(body) + "\r\n"
        }
        return (fixed + headers.map(\.encoded) + ends).joined(separator: "\r\n") + "\r\n\r\n" + parts.joined() + "--\(boundary)--\r\n"
    }

    /// "=_" cannot come up in quoted-printable text (RFC 2045, section 6.7), so no part can hold the boundary.
    private var boundary: String {
        "=_" + SHA256.hash(data: Data(messageID.utf8)).prefix(12).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}

/// A header of a message.
public struct MIMEHeader: Sendable, Equatable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }

    func check() throws {
        let isName: Bool = !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ":") }
        let hasControl: Bool = value.unicodeScalars.contains {
            $0.properties.generalCategory == .control || $0.properties.generalCategory == .lineSeparator
                || $0.properties.generalCategory == .paragraphSeparator
        }
        guard isName, !hasControl else { throw MailError.header(name) }
    }

    /// The header folded at spaces into lines of at most 76 characters; a value that is not ASCII as encoded words.
    var encoded: String { Self.folded(name, Self.words(value)) }

    /// Words with a space between, a new line wherever the next word would go beyond 76 characters. A word that is longer stays whole.
    static func folded(_ name: String, _ words: [String]) -> String {
        var lines: [String] = [name + ":"]
        for word in words {
            if lines[lines.count - 1].utf8.count + 1 + word.utf8.count > 76 { lines.append("") }
            lines[lines.count - 1] += " " + word
        }
        return lines.joined(separator: "\r\n")
    }

    /// A display name: a quoted string where it is ASCII, else encoded words, in which quotes mean nothing.
    static func phrase(_ name: String) -> [String] {
        guard isPlain(name) else { return words(name) }
        return ["\"" + name.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""]
    }

    private static func words(_ value: String) -> [String] {
        isPlain(value) ? value.split(separator: " ").map(String.init) : encodedWords(value)
    }

    /// ASCII that no reader could take for an encoded word, with no word too long for a line of its own.
    private static func isPlain(_ value: String) -> Bool {
        value.utf8.allSatisfy { $0 < 0x80 } && !value.contains("=?") && value.split(separator: " ").allSatisfy { $0.utf8.count <= 900 }
    }

    /// RFC 2047: "=?utf-8?B?...?=" of at most 75 characters, each of whole characters. 39 bytes make 52 characters of Base64, so
    /// that the first of them has a place behind "Subject:".
    private static func encodedWords(_ value: String) -> [String] {
        var chunks: [[UInt8]] = [[]]
        for scalar in value.unicodeScalars {
            let bytes: [UInt8] = Array(String(scalar).utf8)
            if chunks[chunks.count - 1].count + bytes.count > 39 { chunks.append([]) }
            chunks[chunks.count - 1] += bytes
        }
        return chunks.map { "=?utf-8?B?" + Data($0).base64EncodedString() + "?=" }
    }
}

/// Quoted-printable (RFC 2045, section 6.7): ASCII, lines of at most 76 characters, CRLF line ends.
enum QuotedPrintable {
    /// Line ends of any kind in `text` become CRLF; control characters other than tab are encoded.
    static func encoded(_ text: String) -> String {
        let unified: String = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
        return unified.split(separator: "\n", omittingEmptySubsequences: false).map { line(Array($0.utf8)) }.joined(separator: "\r\n")
    }

    private static func line(_ bytes: [UInt8]) -> String {
        var result: String = ""
        var width: Int = 0
        for (index, byte) in bytes.enumerated() {
            let isLast: Bool = index == bytes.count - 1
            let token: String = token(byte, isLast: isLast)
            // A line that goes on ends with "=", which needs a place within the 76.
            if width + token.utf8.count > (isLast ? 76 : 75) {
                result += "=\r\n"
                width = 0
            }
            result += token
            width += token.utf8.count
        }
        return result
    }

    private static func token(_ byte: UInt8, isLast: Bool) -> String {
        let isBlank: Bool = byte == 0x20 || byte == 0x09
        if isBlank && !isLast || (0x21...0x7e).contains(byte) && byte != UInt8(ascii: "=") { return String(UnicodeScalar(byte)) }
        let digits: String = String(byte, radix: 16, uppercase: true)
        return "=" + (digits.utf8.count == 1 ? "0" : "") + digits
    }
}

/// The date form of RFC 5322 in UTC: "Wed, 25 Nov 2026 16:30:00 +0000".
enum MailDate {
    static func text(_ date: Date) -> String {
        var calendar: Calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        let parts: DateComponents = calendar.dateComponents([.weekday, .day, .month, .year, .hour, .minute, .second], from: date)
        let days: [String] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        let months: [String] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let clock: String = [parts.hour!, parts.minute!, parts.second!].map { ($0 < 10 ? "0" : "") + "\($0)" }.joined(separator: ":")
        return "\(days[parts.weekday! - 1]), \(parts.day!) \(months[parts.month! - 1]) \(parts.year!) \(clock) +0000"
    }
}
