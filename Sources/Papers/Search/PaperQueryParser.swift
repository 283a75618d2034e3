/// Reads a ``PaperQuery`` from left to right.
struct PaperQueryParser {
    static let fields: [String] = ["year", "group", "status", "module", "author"]

    private var rest: Substring

    init(_ text: String) { rest = text[...] }

    mutating func clauses() throws(PaperQueryError) -> [PaperQuery.Clause] {
        var clauses: [PaperQuery.Clause] = []
        while true {
            rest = rest.drop(while: \.isWhitespace)
            guard let first = rest.first else { return clauses }
            let isExcluded: Bool = first == "-"
            if isExcluded { rest.removeFirst() }
            if rest.first == "\"" {
                let words: [String] = TextAnalyzer.words(try quoted())
                if !words.isEmpty { clauses.append(isExcluded ? .excluded(words) : .phrase(words)) }
            } else if let name = fieldName() {
                clauses.append(.condition(try condition(name, isExcluded: isExcluded)))
            } else {
                let words: [String] = TextAnalyzer.words(String(untilSpace()))
                if isExcluded, !words.isEmpty {
                    clauses.append(.excluded(words))
                } else {
                    clauses += words.map(PaperQuery.Clause.word)
                }
            }
        }
    }

    /// The letters before a colon that a value follows at once, and takes both away. An address (`https://…`) is no field.
    private mutating func fieldName() -> String? {
        let name: Substring = rest.prefix { $0.isASCII && $0.isLetter }
        let after: Substring = rest[name.endIndex...]
        guard !name.isEmpty, after.first == ":", let value = after.dropFirst().first, !value.isWhitespace, value != "/" else { return nil }
        rest = after.dropFirst()
        return name.lowercased()
    }

    private mutating func condition(_ name: String, isExcluded: Bool) throws(PaperQueryError) -> PaperQuery.Condition {
        guard Self.fields.contains(name) else { throw .unknownField(name) }
        guard !isExcluded else { throw .excludedField(name) }
        let value: String = rest.first == "\"" ? try quoted() : String(untilSpace())
        switch name {
        case "year": return .years(try Self.years(value))
        case "group":
            guard let group = PaperGroup(rawValue: value.lowercased()) else {
                throw .badValue(field: name, value: value, known: PaperGroup.allCases.map(\.rawValue))
            }
            return .group(group)
        case "status":
            guard let status = PaperStatus(rawValue: value.lowercased()) else {
                throw .badValue(field: name, value: value, known: PaperStatus.allCases.map(\.rawValue))
            }
            return .status(status)
        case "module": return .module(value)
        default: return .author(value)
        }
    }

    /// `2023`, `2023..2025`, `2023..` or `..2025`.
    private static func years(_ value: String) throws(PaperQueryError) -> ClosedRange<Int> {
        func year(_ text: Substring, else open: Int) -> Int? {
            text.isEmpty ? open : text.count == 4 && text.allSatisfy({ $0.isASCII && $0.isNumber }) ? Int(text) : nil
        }
        guard let dots = value.firstRange(of: "..") else {
            guard !value.isEmpty, let one = year(value[...], else: 0) else { throw .badYear(value) }
            return one...one
        }
        guard value != "..", let first = year(value[..<dots.lowerBound], else: 0), let last = year(value[dots.upperBound...], else: 9999),
            first <= last
        else { throw .badYear(value) }
        return first...last
    }

    private mutating func quoted() throws(PaperQueryError) -> String {
        let inside: Substring = rest.dropFirst()
        guard let end = inside.firstIndex(of: "\"") else { throw .unclosedQuote(String(inside)) }
        rest = inside[inside.index(after: end)...]
        return String(inside[..<end])
    }

    private mutating func untilSpace() -> Substring {
        let word: Substring = rest.prefix { !$0.isWhitespace && $0 != "\"" }
        rest = rest[word.endIndex...]
        return word
    }
}
