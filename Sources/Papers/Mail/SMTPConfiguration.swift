import Foundation
import Torch
import Yams

/// How a connection to a mail server is encrypted.
public enum SMTPSecurity: String, Codable, Sendable, CaseIterable {
    /// TLS from the start on port 465; none to this machine's own server; STARTTLS to any other.
    case automatic
    /// STARTTLS, without which nothing is sent.
    case startTLS = "starttls"
    /// TLS from the start.
    case implicitTLS = "tls"
    /// None; only to a server on this machine.
    case plain
}

/// A mail server, and who we are to it.
public struct SMTPConfiguration: Sendable {
    public let host: String
    public let port: Int
    /// Never ``SMTPSecurity/automatic``.
    public let security: SMTPSecurity
    public let credentials: SMTPCredentials?
    /// A PEM file of authorities to trust beside the system's own.
    public let authorities: String?
    /// How long the server may be silent, in seconds.
    public let timeout: Int

    /// - Throws: ``MailError/setup(_:)`` for values that cannot be, and for an unencrypted connection to another machine.
    public init(
        host: String, port: Int = 587, security: SMTPSecurity = .automatic, credentials: SMTPCredentials? = nil, authorities: String? = nil,
        timeout: Int = 60
    ) throws {
        guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw MailError.setup("'\(host)' is no mail server's name")
        }
        guard (1...65535).contains(port) else { throw MailError.setup("\(port) is no port; give 1 to 65535") }
        guard timeout > 0 else { throw MailError.setup("the timeout has to be at least one second") }
        let isOwn: Bool = ["localhost", "::1"].contains(host.lowercased()) || host.hasPrefix("127.")
        guard isOwn || security != .plain else {
            throw MailError.setup("\(host) is another machine, to which mail goes encrypted only; use starttls or tls")
        }
        self.host = host
        self.port = port
        self.security = security != .automatic ? security : port == 465 ? .implicitTLS : isOwn ? .plain : .startTLS
        self.credentials = credentials
        self.authorities = authorities
        self.timeout = timeout
    }

    /// The server that the environment names: `$LINNET_SMTP_FILE`, a file that only its owner can read with `host`, `port`, `user`,
    /// `password`, `security` and `authorities` as YAML, or the variables `$LINNET_SMTP_HOST`, `_PORT`, `_USER`, `_PASSWORD`, `_SECURITY`
    /// and `_AUTHORITIES`. nil where there is neither.
    ///
    /// - Throws: ``MailError/setup(_:)``.
    public static func environment(_ variables: [String: String] = ProcessInfo.processInfo.environment) throws -> SMTPConfiguration? {
        func value(_ name: String) -> String? { variables["LINNET_SMTP_" + name].flatMap { $0.isEmpty ? nil : $0 } }
        if let file = value("FILE") { return try read(file) }
        guard let host = value("HOST") else { return nil }
        let port: Int? = try value("PORT").map { text in
            guard let port = Int(text) else { throw MailError.setup("LINNET_SMTP_PORT has to be a number, not '\(text)'") }
            return port
        }
        return try make(
            Fields(
                host: host, port: port, user: value("USER"), password: value("PASSWORD"), security: value("SECURITY"),
                authorities: value("AUTHORITIES")), from: "LINNET_SMTP_")
    }

    /// - Throws: ``MailError/setup(_:)`` for a file that others can read or that is no configuration.
    static func read(_ path: String) throws -> SMTPConfiguration {
        var status: stat = stat()
        guard stat(path, &status) == 0, let bytes = FileManager.default.contents(atPath: path) else {
            throw MailError.setup("\(FileError("read", path, code: errno))")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw MailError.setup("\(path) holds a password and others can read it; run chmod 600 on it")
        }
        let fields: Fields
        do {
            fields = try YAMLDecoder().decode(Fields.self, from: bytes)
        } catch {
            // The parser's message may quote the file, which has the password in it.
            throw MailError.setup("\(path) has to be YAML with a host, and perhaps port, user, password, security and authorities")
        }
        return try make(fields, from: path + ": ")
    }

    private struct Fields: Codable {
        var host: String
        var port: Int?
        var user: String?
        var password: String?
        var security: String?
        var authorities: String?
    }

    private static func make(_ fields: Fields, from place: String) throws -> SMTPConfiguration {
        guard (fields.user == nil) == (fields.password == nil) else {
            throw MailError.setup("\(place)USER and PASSWORD go together; give both or neither")
        }
        guard let security = SMTPSecurity(rawValue: fields.security?.lowercased() ?? "automatic") else {
            throw MailError.setup("\(place)SECURITY has to be one of \(SMTPSecurity.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let credentials: SMTPCredentials? = fields.user.flatMap { user in fields.password.map { SMTPCredentials(user: user, password: $0) }
        }
        return try SMTPConfiguration(
            host: fields.host, port: fields.port ?? 587, security: security, credentials: credentials, authorities: fields.authorities)
    }
}

/// A user and a password, which prints neither in a log nor in a debugger's dump.
public struct SMTPCredentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let user: String
    let password: String

    public init(user: String, password: String) {
        self.user = user
        self.password = password
    }

    public var description: String { "(credentials)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
