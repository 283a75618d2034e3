/// A JSON value as the text has it: members in order, integers apart from other numbers.
enum StrictJSON: Sendable {
    case object([Member])
    case array([StrictJSON])
    case string(String)
    case integer(Int)
    /// A number that is no `Int`, as written.
    case number(String)
    case bool(Bool)
    case null

    struct Member: Sendable {
        let key: String
        let value: StrictJSON
    }

    /// What kind of value this is, for messages.
    var kind: String {
        switch self {
        case .object: "an object"
        case .array: "an array"
        case .string: "a string"
        case .integer(let value): "\(value)"
        case .number(let text): "the number \(quoted(text))"
        case .bool(let value): "\(value)"
        case .null: "null"
        }
    }
}

/// Where and why a text is not strict JSON.
struct StrictJSONError: Error, Equatable {
    let offset: Int
    let problem: String
}

extension StrictJSON {
    /// Parses RFC 8259 JSON from hostile bytes: UTF-8 only, no duplicate keys (Foundation's reader keeps one of them silently),
    /// nested at most `depthLimit` deep, nothing after the value but white space.
    /// - Throws: ``StrictJSONError``.
    static func parse(_ bytes: UnsafeRawBufferPointer, depthLimit: Int = 16) throws -> StrictJSON {
        var parser: StrictJSONParser = StrictJSONParser(bytes: bytes, depthLimit: depthLimit)
        let value: StrictJSON = try parser.value(depth: 0)
        parser.skipSpace()
        if parser.position < bytes.count { throw parser.error("unexpected text after the value") }
        return value
    }
}

private struct StrictJSONParser {
    let bytes: UnsafeRawBufferPointer
    let depthLimit: Int
    var position: Int = 0

    func error(_ problem: String) -> StrictJSONError { StrictJSONError(offset: position, problem: problem) }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    /// Steps over `character` where it comes next.
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func value(depth: Int) throws -> StrictJSON {
        skipSpace()
        guard depth < depthLimit else { throw error("nested more than \(depthLimit) deep") }
        guard let first = next else { throw error("the text ends where a value should be") }
        switch first {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        default: throw error("no JSON value")
        }
    }

    private mutating func word(_ text: StaticString, _ value: StrictJSON) throws -> StrictJSON {
        for offset in 0..<text.utf8CodeUnitCount {
            guard next == text.utf8Start[offset] else { throw error("no JSON value") }
            position += 1
        }
        return value
    }

    private mutating func object(depth: Int) throws -> StrictJSON {
        position += 1
        var members: [StrictJSON.Member] = []
        var keys: Set<String> = []
        skipSpace()
        if take("}") { return .object([]) }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw error("a key in double quotes should be here") }
            let key: String = try string()
            guard keys.insert(key).inserted else { throw error("the key \(quoted(key)) occurs twice") }
            skipSpace()
            guard take(":") else { throw error("':' should be here") }
            members.append(StrictJSON.Member(key: key, value: try value(depth: depth + 1)))
            skipSpace()
        } while take(",")
        guard take("}") else { throw error("',' or '}' should be here") }
        return .object(members)
    }

    private mutating func array(depth: Int) throws -> StrictJSON {
        position += 1
        var elements: [StrictJSON] = []
        skipSpace()
        if take("]") { return .array([]) }
        repeat {
            elements.append(try value(depth: depth + 1))
            skipSpace()
        } while take(",")
        guard take("]") else { throw error("',' or ']' should be here") }
        return .array(elements)
    }

    private mutating func digits() throws {
        let start: Int = position
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        if position == start { throw error("a digit should be here") }
    }

    private mutating func number() throws -> StrictJSON {
        let start: Int = position
        var isInteger: Bool = true
        _ = take("-")
        if !take("0") { try digits() }
        if take(".") {
            isInteger = false
            try digits()
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        let text: String = String(decoding: bytes[start..<position], as: UTF8.self)
        return isInteger ? Int(text).map(StrictJSON.integer) ?? .number(text) : .number(text)
    }

    private mutating func string() throws -> String {
        position += 1
        var units: [UInt8] = []
        let start: Int = position
        while let byte = next {
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: units, as: UTF8.self) else {
                    throw StrictJSONError(offset: start, problem: "the string is not UTF-8")
                }
                return text
            case UInt8(ascii: "\\"): units.append(contentsOf: Character(try escape()).utf8)
            case ..<0x20: throw error("a control character in a string; it should be escaped")
            default: units.append(byte)
            }
        }
        throw error("the text ends inside a string")
    }

    private mutating func escape() throws -> Unicode.Scalar {
        guard let byte = next else { throw error("the text ends inside a string") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try escapedScalar()
        default: throw error("an unknown escape in a string")
        }
    }

    /// The scalar of `\uXXXX`, or of the surrogate pair `\uXXXX\uXXXX`, after its first `\u`.
    private mutating func escapedScalar() throws -> Unicode.Scalar {
        let first: UInt32 = try fourHexDigits()
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xDC00, take("\\"), take("u") else { throw error("half of a surrogate pair") }
        let second: UInt32 = try fourHexDigits()
        guard (0xDC00..<0xE000).contains(second), let scalar = Unicode.Scalar(0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)) else {
            throw error("half of a surrogate pair")
        }
        return scalar
    }

    private mutating func fourHexDigits() throws -> UInt32 {
        var result: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = next.flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else {
                throw error("four hex digits should be here")
            }
            position += 1
            result = result << 4 | UInt32(digit)
        }
        return result
    }
}
