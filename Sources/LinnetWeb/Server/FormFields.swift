import Hummingbird
import NIOCore

/// The fields of a form or of a query, `application/x-www-form-urlencoded`.
struct FormFields: Sendable {
    /// More fields than any form here has.
    private static let most: Int = 64

    private var values: [(name: String, value: String)] = []

    /// - Throws: ``WebError`` when the text is not encoded as forms are, is not UTF-8, or has too many fields.
    init(_ text: some StringProtocol) throws {
        for part in text.split(separator: "&") {
            guard values.count < Self.most else { throw WebError.bad("the form has more than \(Self.most) fields") }
            let pair: [Substring.SubSequence] = Substring(part).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            values.append((try Self.decoded(pair[0]), pair.count > 1 ? try Self.decoded(pair[1]) : ""))
        }
    }

    /// The query of a request.
    init(queryOf request: Request) throws {
        let path: String = request.head.path ?? "/"
        let query: Substring = path.firstIndex(of: "?").map { path[path.index(after: $0)...] } ?? ""
        try self.init(query.prefix { $0 != "#" })
    }

    /// A field's value without white space around it; nil where it is missing or empty.
    subscript(_ name: String) -> String? {
        guard let value = values.first(where: { $0.name == name })?.value.trimmed, !value.isEmpty else { return nil }
        return value
    }

    /// All values of a field that may come more than once.
    func all(_ name: String) -> [String] { values.filter { $0.name == name }.map(\.value.trimmed).filter { !$0.isEmpty } }

    private static func decoded(_ text: Substring) throws -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        var rest: Substring.UTF8View = text.utf8
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): bytes.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard let high = rest.popFirst().flatMap(hexadecimal), let low = rest.popFirst().flatMap(hexadecimal) else {
                    throw WebError.bad("a % in the address or form is not followed by two hexadecimal digits")
                }
                bytes.append(high << 4 | low)
            default: bytes.append(byte)
            }
        }
        guard let decoded = String(validating: bytes, as: UTF8.self) else { throw WebError.bad("the address or form is not UTF-8") }
        // Nothing that is written here has control characters in it, and SQLite's text ends at a zero.
        guard decoded.unicodeScalars.allSatisfy({ $0.value >= 0x20 && $0.value != 0x7F || $0 == "\n" || $0 == "\r" || $0 == "\t" }) else {
            throw WebError.bad("the address or form has control characters in it")
        }
        return decoded
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

extension String {
    fileprivate var trimmed: String {
        let space: (Character) -> Bool = { $0.isWhitespace }
        guard let first = firstIndex(where: { !space($0) }), let last = lastIndex(where: { !space($0) }) else { return "" }
        return String(self[first...last])
    }
}
