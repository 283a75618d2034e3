import Foundation

/// Where the pages of the catalogue are, for the links in feeds and mails.
public struct PaperSite: Sendable, Equatable {
    /// Without a slash at the end, for example "http://127.0.0.1:8090".
    public let address: String
    /// The name that tag URIs and message identifiers are minted under; it has to stay the same when the address changes.
    public let authority: String

    /// The address of `linnet web` on this machine.
    public static let local: PaperSite = PaperSite(trusted: "http://127.0.0.1:8090", authority: "linnet.localhost")

    /// - Parameters:
    ///   - address: of the web application: http or https, a host, perhaps a port and a path.
    ///   - authority: a host name; by default the address's host, or "linnet.localhost" for this machine's own.
    /// - Throws: ``DigestError/settings(_:)``.
    public init(_ address: String, authority: String? = nil) throws {
        let trimmed: String = String(address.reversed().drop { $0 == "/" }.reversed())
        let isPlain: Bool = trimmed.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"<>\"'`\\^{}|?#@".utf8.contains($0) }
        guard isPlain, let parts = URLComponents(string: trimmed), let host = parts.host, !host.isEmpty,
            ["http", "https"].contains(parts.scheme)
        else {
            throw DigestError.settings("'\(address)' is no address of a site; give one such as https://papers.example.org")
        }
        let isOwn: Bool = ["localhost", "::1", "[::1]"].contains(host) || host.hasPrefix("127.")
        let name: String = authority ?? (isOwn ? Self.local.authority : host)
        guard (try? MailAddress("digest@\(name)")) != nil else { throw DigestError.settings("'\(name)' is no host name") }
        self.init(trusted: trimmed, authority: name.lowercased())
    }

    private init(trusted address: String, authority: String) {
        self.address = address
        self.authority = authority
    }

    public func page(_ slug: String) -> String { "\(address)/p/\(Self.encoded(slug))" }

    public func confirm(_ token: String) -> String { "\(address)/confirm?t=\(Self.encoded(token))" }

    public func unsubscribe(_ token: String) -> String { "\(address)/unsubscribe?t=\(Self.encoded(token))" }

    func feed(_ query: String?) -> String { "\(address)/feed.xml" + (query.map { "?q=\(Self.encoded($0))" } ?? "") }

    /// A tag URI (RFC 4151).
    func tag(_ day: String, _ specific: String) -> String { "tag:\(authority),\(day):\(specific)" }

    /// Everything but letters, digits and "-._~" percent-encoded.
    static func encoded(_ text: String) -> String {
        text.utf8.reduce(into: "") { result, byte in
            let scalar: UnicodeScalar = UnicodeScalar(byte)
            if scalar.isASCII,
                scalar.properties.isAlphabetic || scalar.properties.numericType != nil || "-._~".unicodeScalars.contains(scalar)
            {
                result.unicodeScalars.append(scalar)
            } else {
                result += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
    }
}
