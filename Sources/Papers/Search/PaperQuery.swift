/// What a user searches for, parsed.
///
/// Bare words are alternatives that rank, `"words in quotes"` have to occur in this order, `-word` must not occur, and
/// `year:2023`, `year:2023..2025`, `group:sequence`, `status:reproduced`, `module:DeltaNet` and `author:lecun` filter. Two conditions on one
/// field are alternatives; conditions on different fields all have to hold.
public struct PaperQuery: Sendable, Equatable {
    /// A part of the query.
    public enum Clause: Sendable, Equatable {
        case word(String)
        case phrase([String])
        case excluded([String])
        case condition(Condition)
    }

    /// A `field:value`.
    public enum Condition: Sendable, Equatable {
        case years(ClosedRange<Int>)
        case group(PaperGroup)
        case status(PaperStatus)
        /// A library's or symbol's name.
        case module(String)
        case author(String)
    }

    /// The query as it was typed.
    public let text: String
    public let clauses: [Clause]

    /// - Throws: ``PaperQueryError``.
    public init(_ text: String) throws(PaperQueryError) {
        guard text.count <= Self.longestText else { throw .tooLong(text.count) }
        var parser: PaperQueryParser = PaperQueryParser(text)
        clauses = try parser.clauses()
        self.text = text
        guard !clauses.isEmpty else { throw .empty }
        guard words.count + phrases.joined().count <= Self.mostWords else { throw .tooManyWords(words.count + phrases.joined().count) }
    }

    /// The words that rank, phrases' words not among them.
    public var words: [String] {
        clauses.compactMap { if case .word(let word) = $0 { word } else { nil } }
    }

    /// Words that have to follow one another.
    public var phrases: [[String]] {
        clauses.compactMap { if case .phrase(let words) = $0 { words } else { nil } }
    }

    /// Words, or words that follow one another, that must not occur.
    public var excluded: [[String]] {
        clauses.compactMap { if case .excluded(let words) = $0 { words } else { nil } }
    }

    /// The conditions on fields.
    public var filter: PaperFilter {
        var filter: PaperFilter = PaperFilter()
        for case .condition(let condition) in clauses {
            switch condition {
            case .years(let years): filter.years.append(years)
            case .group(let group): filter.groups.insert(group)
            case .status(let status): filter.statuses.insert(status)
            case .module(let module): filter.modules.insert(module)
            case .author(let author): filter.authors.insert(author)
            }
        }
        return filter
    }

    static let longestText: Int = 1000
    static let mostWords: Int = 64
}

/// Why a query was refused, in one line.
public enum PaperQueryError: Error, Equatable, Sendable, CustomStringConvertible {
    case empty
    case tooLong(Int)
    case tooManyWords(Int)
    case unclosedQuote(String)
    case unknownField(String)
    case excludedField(String)
    case badYear(String)
    case badValue(field: String, value: String, known: [String])

    public var description: String {
        switch self {
        case .empty: "the query has no words"
        case .tooLong(let count): "the query has \(count) characters; at most \(PaperQuery.longestText) are searched for"
        case .tooManyWords(let count): "the query has \(count) words; at most \(PaperQuery.mostWords) are searched for"
        case .unclosedQuote(let rest): "the quotation mark before '\(rest.prefix(40))' has no second one"
        case .unknownField(let name):
            "there is no field '\(name.prefix(40))'; the fields are \(PaperQueryParser.fields.joined(separator: ", "))"
                + " (a colon between quotation marks is searched for)"
        case .excludedField(let name): "'-\(name):' is not understood; only words and phrases can be excluded"
        case .badYear(let value): "'year:\(value.prefix(40))' is no year; write year:2024 or year:2023..2025"
        case .badValue(let field, let value, let known):
            "there is no \(field) '\(value.prefix(40))'; there are \(known.joined(separator: ", "))"
        }
    }
}
