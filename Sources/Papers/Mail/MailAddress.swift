import Foundation

/// An e-mail address that is safe to write into a header and into an SMTP command: ASCII, one "@", no control characters.
public struct MailAddress: Sendable, Hashable, Codable, CustomStringConvertible {
    /// Lower case, its host in IDNA's ASCII form.
    public let value: String

    public var host: String { String(value[value.index(after: value.lastIndex(of: "@")!)...]) }

    public var description: String { value }

    /// Checks an address's form: at most 254 bytes, a dot-atom of at most 64 bytes (RFC 5322, section 3.2.3), "@", a host.
    ///
    /// Upper and lower case are one address: no provider in use tells them apart.
    ///
    /// - Throws: ``MailError/address(_:reason:)``.
    public init(_ text: String) throws {
        guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw MailError.address(text, reason: "it has a control character")
        }
        let trimmed: String = text.trimmingCharacters(in: .whitespaces)
        let parts: [Substring] = trimmed.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw MailError.address(text, reason: "it needs exactly one @") }
        guard Self.isDotAtom(parts[0]) else {
            throw MailError.address(text, reason: "the part before the @ has to be 1 to 64 letters, digits or any of .!#$%&'*+/=?^_`{|}~-")
        }
        guard let host = Self.asciiHost(String(parts[1])) else {
            throw MailError.address(text, reason: "the part after the @ is no host name")
        }
        let whole: String = parts[0].lowercased() + "@" + host
        guard whole.utf8.count <= 254 else { throw MailError.address(text, reason: "it is longer than 254 bytes") }
        value = whole
    }

    public init(from decoder: any Decoder) throws { try self.init(decoder.singleValueContainer().decode(String.self)) }

    public func encode(to encoder: any Encoder) throws {
        var container: any SingleValueEncodingContainer = encoder.singleValueContainer()
        try container.encode(value)
    }

    private static func isDotAtom(_ text: Substring) -> Bool {
        guard (1...64).contains(text.utf8.count) else { return false }
        let atoms: [Substring] = text.split(separator: ".", omittingEmptySubsequences: false)
        return atoms.allSatisfy { atom in
            !atom.isEmpty && atom.utf8.allSatisfy { isAlphanumeric($0) || "!#$%&'*+/=?^_`{|}~-".utf8.contains($0) }
        }
    }

    /// Labels of 1 to 63 letters, digits and inner hyphens; other letters are turned into Punycode.
    private static func asciiHost(_ text: String) -> String? {
        guard !text.isEmpty, text.allSatisfy({ $0.isLetter || $0.isNumber || $0 == "." || $0 == "-" }),
            let host = text.utf8.allSatisfy({ $0 < 0x80 }) ? text : URLComponents(string: "https://\(text)/")?.encodedHost
        else { return nil }
        let labels: [Substring] = host.split(separator: ".", omittingEmptySubsequences: false)
        let isHost: Bool = labels.allSatisfy { label in
            (1...63).contains(label.utf8.count) && label.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
                && label.first != "-" && label.last != "-"
        }
        return isHost ? host.lowercased() : nil
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
        default: false
        }
    }
}
