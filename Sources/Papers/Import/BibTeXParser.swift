import Foundation

/// An entry of a BibTeX file.
struct BibTeXEntry: Equatable {
    /// In lower case: article, inproceedings, …
    let type: String
    let key: String
    /// Values by the field's name in lower case, with their TeX.
    let fields: [String: String]
    let line: Int
}

/// Reads BibTeX: entries between braces or parentheses, values in braces, in quotation marks, numbers and names of `@string`s, joined by `#`;
/// `@comment` and `@preamble` and all text between entries are passed over. As in BibTeX, a backslash takes no part in how braces pair.
struct BibTeXParser {
    private let text: [UInt8]
    private var place: Int = 0
    private var line: Int = 1
    private var strings: [String: String] = [
        "jan": "January", "feb": "February", "mar": "March", "apr": "April", "may": "May", "jun": "June", "jul": "July", "aug": "August",
        "sep": "September", "oct": "October", "nov": "November", "dec": "December",
    ]
    /// The longest value, so that `@string`s that double one another come to an end.
    private static let longestValue: Int = 1_000_000

    /// - Throws: ``ImportError`` with the line where the file is no BibTeX.
    static func entries(_ text: String) throws(ImportError) -> [BibTeXEntry] {
        var parser: BibTeXParser = BibTeXParser(text: Array(text.utf8))
        var entries: [BibTeXEntry] = []
        while let entry = try parser.nextEntry() { entries.append(entry) }
        return entries
    }

    private init(text: [UInt8]) { self.text = text }

    private mutating func nextEntry() throws(ImportError) -> BibTeXEntry? {
        while true {
            while let byte = peek, byte != UInt8(ascii: "@") { advance(byte) }
            guard peek != nil else { return nil }
            place += 1
            let start: Int = line
            let type: String = name().lowercased()
            skipSpace()
            // An @ in the text between entries, as in an address, begins none.
            guard !type.isEmpty, let open = peek, open == UInt8(ascii: "{") || open == UInt8(ascii: "(") else { continue }
            let close: UInt8 = open == UInt8(ascii: "{") ? UInt8(ascii: "}") : UInt8(ascii: ")")
            switch type {
            case "comment", "preamble": _ = try balanced(open, close, start)
            case "string":
                place += 1
                for (name, value) in try fields(until: close, type, start) { strings[name] = value }
            default:
                place += 1
                return try entry(type, until: close, start)
            }
        }
    }

    private mutating func entry(_ type: String, until close: UInt8, _ start: Int) throws(ImportError) -> BibTeXEntry {
        skipSpace()
        var key: [UInt8] = []
        while let byte = peek, byte != UInt8(ascii: ","), byte != close, !isSpace(byte) {
            if byte == UInt8(ascii: "=") { break }
            key.append(byte)
            place += 1
        }
        skipSpace()
        if peek == UInt8(ascii: "=") { throw ImportError(line: line, "@\(type) has no key before its fields") }
        try passComma(until: close, "the key of @\(type)", type, start)
        return BibTeXEntry(
            type: type, key: String(decoding: key, as: UTF8.self), fields: try fields(until: close, type, start), line: start)
    }

    private mutating func passComma(until close: UInt8, _ what: String, _ type: String, _ start: Int) throws(ImportError) {
        guard let byte = peek else { throw ImportError(line: line, "@\(type) of line \(start) does not end") }
        if byte == UInt8(ascii: ",") {
            place += 1
        } else if byte != close {
            throw ImportError(line: line, "a comma is missing after \(what)")
        }
    }

    /// `name = value` with commas between, and the closing mark.
    private mutating func fields(until close: UInt8, _ type: String, _ start: Int) throws(ImportError) -> [String: String] {
        var fields: [String: String] = [:]
        while true {
            skipSpace()
            if peek == close {
                place += 1
                return fields
            }
            let field: String = name().lowercased()
            skipSpace()
            guard peek != nil else { throw ImportError(line: line, "@\(type) of line \(start) does not end") }
            guard !field.isEmpty, peek == UInt8(ascii: "=") else {
                throw ImportError(line: line, "in @\(type) of line \(start) a field 'name = value' is expected here")
            }
            place += 1
            let value: String = try value(of: field)
            // The first of two fields of one name holds, as in BibTeX.
            if fields[field] == nil { fields[field] = value }
            try passComma(until: close, "the field '\(field)'", type, start)
        }
    }

    /// Parts joined by `#`, and the space after them.
    private mutating func value(of field: String) throws(ImportError) -> String {
        var value: String = ""
        while true {
            skipSpace()
            value += try part(of: field)
            guard value.utf8.count <= Self.longestValue else { throw ImportError(line: line, "the field '\(field)' is too long") }
            skipSpace()
            guard peek == UInt8(ascii: "#") else { return value }
            place += 1
        }
    }

    private mutating func part(of field: String) throws(ImportError) -> String {
        if peek == UInt8(ascii: "{") { return try balanced(UInt8(ascii: "{"), UInt8(ascii: "}"), line) }
        if peek == UInt8(ascii: "\"") { return try quoted(line) }
        let word: String = name()
        guard !word.isEmpty else { throw ImportError(line: line, "the field '\(field)' has no value") }
        if word.allSatisfy(\.isNumber) { return word }
        guard let known = strings[word.lowercased()] else { throw ImportError(line: line, "no @string defines '\(word.prefix(40))'") }
        return known
    }

    /// What stands between two marks that nest.
    private mutating func balanced(_ open: UInt8, _ close: UInt8, _ start: Int) throws(ImportError) -> String {
        place += 1
        let first: Int = place
        var depth: Int = 1
        while let byte = peek {
            if byte == open { depth += 1 }
            if byte == close { depth -= 1 }
            advance(byte)
            if depth == 0 { return String(decoding: text[first..<place - 1], as: UTF8.self) }
        }
        throw ImportError(line: start, "the brace that opens here is not closed")
    }

    /// What stands between quotation marks outside of braces.
    private mutating func quoted(_ start: Int) throws(ImportError) -> String {
        place += 1
        let first: Int = place
        var depth: Int = 0
        while let byte = peek {
            if byte == UInt8(ascii: "{") { depth += 1 }
            if byte == UInt8(ascii: "}") { depth -= 1 }
            advance(byte)
            if byte == UInt8(ascii: "\""), depth == 0 { return String(decoding: text[first..<place - 1], as: UTF8.self) }
        }
        throw ImportError(line: start, "the quotation mark that opens here is not closed")
    }

    private var peek: UInt8? { place < text.count ? text[place] : nil }

    private mutating func advance(_ byte: UInt8) {
        if byte == UInt8(ascii: "\n") { line += 1 }
        place += 1
    }

    private mutating func skipSpace() {
        while let byte = peek, isSpace(byte) { advance(byte) }
    }

    private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

    /// Everything up to a space or a mark of the syntax.
    private mutating func name() -> String {
        let first: Int = place
        while let byte = peek, byte > 0x20, !"{}(),=#\"@\\%~".utf8.contains(byte) { place += 1 }
        return String(decoding: text[first..<place], as: UTF8.self)
    }
}
