import Crypto
import Foundation

/// What the application signs with. The key lives as long as the process: a form from before a restart has to be loaded again.
struct Secrets: Sendable {
    private let key: SymmetricKey = SymmetricKey(size: .bits256)
    private let accessToken: String?

    init(accessToken: String?) { self.accessToken = accessToken }

    /// What a form of this session has to send along.
    func formToken(of session: Session) -> String { Self.signature("form \(session.id)", key) }

    func isFormToken(_ given: String, of session: Session) -> Bool { Self.isEqual(given, formToken(of: session)) }

    func isAccessToken(_ given: String) -> Bool { accessToken.map { Self.isEqual(given, $0) } ?? true }

    /// The cookie of a visitor who has given the access token; the same after a restart, another one with another token.
    var accessCookie: String? {
        accessToken.map { Self.signature("linnet access", SymmetricKey(data: SHA256.hash(data: Data($0.utf8)))) }
    }

    func isAccessCookie(_ given: String) -> Bool { accessCookie.map { Self.isEqual(given, $0) } ?? true }

    /// 128 random bits.
    static func randomName() -> String { hexadecimal((0..<16).map { _ in UInt8.random(in: 0...255) }) }

    private static func signature(_ text: String, _ key: SymmetricKey) -> String {
        hexadecimal(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key))
    }

    private static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits: [UInt8] = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// Compares digests, so that the time says nothing about the bytes, nor about the length.
    private static func isEqual(_ given: String, _ expected: String) -> Bool {
        SHA256.hash(data: Data(given.utf8)) == SHA256.hash(data: Data(expected.utf8))
    }
}
