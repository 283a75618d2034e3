import Crypto
import Foundation

/// The secrets in the links of mails. The catalogue keeps only their SHA-256.
enum DigestTokens {
    /// 32 random bytes in base64url: what confirms a subscription. None begins with "-", which a command line would take for a flag.
    static func confirmation() -> String {
        let token: String = base64url(SymmetricKey(size: .bits256).withUnsafeBytes { Data($0) })
        return token.hasPrefix("-") ? confirmation() : token
    }

    /// Random bytes that make a subscription's unsubscribe token its own.
    static func nonce() -> Data { SymmetricKey(size: .bits128).withUnsafeBytes { Data($0) } }

    /// What ends a subscription: 128 bits of HMAC-SHA256 under the catalogue's key file. Every digest has to carry the token although the
    /// catalogue keeps only its hash, so it is made anew each time; short, to fit the line of its header.
    static func unsubscribe(_ nonce: Data, _ key: VoterKey) -> String {
        base64url(key.hash("linnet unsubscribe " + nonce.base64EncodedString()).prefix(16))
    }

    /// What is kept of an address that has unsubscribed.
    static func suppression(_ address: MailAddress, _ key: VoterKey) -> Data { key.hash("linnet suppression " + address.value) }

    static func hash(_ token: String) -> Data { Data(SHA256.hash(data: Data(token.utf8))) }

    /// Whether a stored hash is the token's, in constant time. (A row is found by the hash of 128 or 256 secret bits, so how long an
    /// index takes to find it says nothing about the token; the comparison that decides does not rely on that.)
    static func isHash(_ stored: Data?, of token: String) -> Bool {
        guard let stored else { return false }
        return SHA256.hash(data: Data(token.utf8)) == stored
    }

    private static func base64url(_ bytes: Data) -> String {
        bytes.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}
