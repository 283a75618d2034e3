import Foundation

/// What a Split or a Replace looks for.
enum TextPattern: Sendable {
    /// Exactly these bytes, never empty.
    case literal([UInt8])
    /// One of the patterns with a hand-written scanner.
    case scanner(PatternScanner)
    /// Any other regular expression.
    case expression(NSRegularExpression)

    /// Reads `{"String": ...}` or `{"Regex": ...}`.
    init(_ field: JSONField) throws {
        if let literal = try field.optional("String") {
            let bytes = try literal.bytes()
            guard !bytes.isEmpty else { throw literal.invalid("an empty pattern") }
            self = .literal(bytes)
        } else {
            let expression = try field.required("Regex")
            try self.init(expression: expression)
        }
    }

    private init(expression field: JSONField) throws {
        let pattern = try field.text()
        if let scanner = PatternScanner(pattern: pattern) {
            self = .scanner(scanner)
            return
        }
        do {
            let translated = Self.translated(pattern)
            self = .expression(try NSRegularExpression(pattern: translated, options: [.anchorsMatchLines, .useUnixLineSeparators]))
        } catch {
            throw field.invalid("not a regular expression that can be read: \(pattern)")
        }
    }

    /// Oniguruma's `\s` is the property White_Space, ICU's is a smaller set: the property is written out.
    private static func translated(_ pattern: String) -> String {
        var result = String.UnicodeScalarView()
        var isEscaped = false
        for scalar in pattern.unicodeScalars {
            guard isEscaped else {
                if scalar == "\\" { isEscaped = true } else { result.append(scalar) }
                continue
            }
            isEscaped = false
            result.append("\\")
            switch scalar {
            case "s": result.append(contentsOf: "p{White_Space}".unicodeScalars)
            case "S": result.append(contentsOf: "P{White_Space}".unicodeScalars)
            default: result.append(scalar)
            }
        }
        if isEscaped { result.append("\\") }
        return String(result)
    }

    /// The matches' ranges, ascending and apart from each other.
    func matches(in text: ArraySlice<UInt8>) -> [Range<Int>] {
        switch self {
        case .literal(let bytes): Self.occurrences(of: bytes, in: text)
        case .scanner(let scanner): scanner.matches(in: text)
        case .expression(let expression): Self.matches(of: expression, in: text)
        }
    }

    private static func occurrences(of needle: [UInt8], in text: ArraySlice<UInt8>) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var index = text.startIndex
        while index + needle.count <= text.endIndex {
            if text[index] == needle[0], text[index..<index + needle.count].elementsEqual(needle) {
                ranges.append(index..<index + needle.count)
                index += needle.count
            } else {
                index += 1
            }
        }
        return ranges
    }

    private static func matches(of expression: NSRegularExpression, in text: ArraySlice<UInt8>) -> [Range<Int>] {
        let string = String(decoding: text, as: UTF8.self)
        var offsets = UTF16Offsets(text)
        let whole = NSRange(location: 0, length: string.utf16.count)
        return expression.matches(in: string, range: whole).map { match in
            let start = offsets.index(atUTF16: match.range.location)
            return start..<offsets.index(atUTF16: match.range.location + match.range.length)
        }
    }

    /// The text with every match replaced.
    func replaceMatches(in text: ArraySlice<UInt8>, by content: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var end = text.startIndex
        for match in matches(in: text) {
            result.append(contentsOf: text[end..<match.lowerBound])
            result.append(contentsOf: content)
            end = match.upperBound
        }
        result.append(contentsOf: text[end...])
        return result
    }
}

/// Turns ascending UTF-16 offsets into indices of UTF-8 bytes in one pass.
private struct UTF16Offsets {
    private let text: ArraySlice<UInt8>
    private var index: Int
    private var offset = 0

    init(_ text: ArraySlice<UInt8>) {
        self.text = text
        index = text.startIndex
    }

    mutating func index(atUTF16 target: Int) -> Int {
        while offset < target, index < text.endIndex {
            let lead = text[index]
            index += lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
            offset += lead < 0xF0 ? 1 : 2
        }
        return min(index, text.endIndex)
    }
}
