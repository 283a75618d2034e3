import Foundation

/// A paper as a file describes it.
struct ImportedPaper: Sendable, Equatable {
    var title: String
    var abstract: String?
    var authors: [String] = []
    var arxivID: String?
    var doi: String?
    var year: Int?
    var code: String?
    var keywords: [String] = []
    /// The slug of an entry that Linnet itself exported; its keywords are complete.
    var exportedSlug: String?
    /// Where the file has it, such as "line 12".
    var place: String

    /// The longest texts that are taken: a field beyond them is damage or an attack.
    static let longestTitle: Int = 600
    static let longestAbstract: Int = 20_000
    static let longestName: Int = 200
    static let longestKeyword: Int = 100
    static let mostAuthors: Int = 5000
    static let mostKeywords: Int = 60

    /// The paper with tidy text.
    ///
    /// - Throws: ``SkipReason`` where it cannot be taken.
    func validated() throws(SkipReason) -> ImportedPaper {
        var paper: ImportedPaper = self
        paper.title = Self.tidy(title)
        paper.abstract = abstract.map(Self.tidy).flatMap { $0.isEmpty ? nil : $0 }
        paper.authors = authors.map(Self.tidy).filter { !$0.isEmpty }
        paper.keywords = Self.distinct(keywords.map(Self.tidy).filter { !$0.isEmpty })
        guard paper.title.contains(where: { $0.isLetter || $0.isNumber }) else { throw SkipReason("it has no title") }
        let checks: [(what: String, size: Int, most: Int)] = [
            ("title", paper.title.count, Self.longestTitle), ("abstract", paper.abstract?.count ?? 0, Self.longestAbstract),
            ("list of authors", paper.authors.count, Self.mostAuthors), ("name", paper.authors.map(\.count).max() ?? 0, Self.longestName),
            ("list of keywords", paper.keywords.count, Self.mostKeywords),
            ("keyword", paper.keywords.map(\.count).max() ?? 0, Self.longestKeyword),
        ]
        if let wrong = checks.first(where: { $0.size > $0.most }) {
            throw SkipReason("a \(wrong.what) of \(wrong.size) is longer than the \(wrong.most) that are taken")
        }
        if let year, !(1000...9999).contains(year) { throw SkipReason("\(year) is no year") }
        return paper
    }

    /// One space between words, no control characters.
    static func tidy(_ text: String) -> String {
        let visible: [Unicode.Scalar] = text.unicodeScalars.map { scalar in
            switch scalar.properties.generalCategory {
            case .control, .lineSeparator, .paragraphSeparator, .surrogate: " "
            default: scalar
            }
        }
        return String(String.UnicodeScalarView(visible)).split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    private static func distinct(_ values: [String]) -> [String] {
        var seen: Set<String> = []
        return values.filter { seen.insert($0.lowercased()).inserted }
    }
}

/// Why an entry of a file was not taken.
struct SkipReason: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// What an import did.
public struct ImportReport: Codable, Sendable, Equatable {
    /// An entry of the file that was not taken.
    public struct Skipped: Codable, Sendable, Equatable {
        /// The entry's title, or where the file has it.
        public let title: String
        public let reason: String
    }

    /// Slugs of the papers that are new.
    public internal(set) var added: [String] = []
    /// Slugs of papers that were there and learnt something.
    public internal(set) var merged: [String] = []
    public internal(set) var skipped: [Skipped] = []
}

/// What an imported file is.
public enum ImportFormat: String, Codable, Sendable, CaseIterable {
    /// By what the file begins with.
    case auto
    /// A response of arXiv's query interface: Atom.
    case arxiv
    case bibtex
    /// Title, empty line, abstract, empty line, and so on.
    case listing

    /// The format that a text seems to be in.
    static func guess(_ text: String) -> ImportFormat {
        let start: Substring = text.drop { $0.isWhitespace || $0 == "\u{feff}" }
        if start.first == "<" { return .arxiv }
        let hasEntry: Bool = start.prefix(100_000).split(whereSeparator: \.isNewline).contains { line in
            line.prefixMatch(of: /\s*@[A-Za-z]{2,}\s*[{(]/) != nil
        }
        return hasEntry ? .bibtex : .listing
    }
}

/// Why a file was refused as a whole; nothing of it has been written then.
public struct ImportError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The line, from 1; nil where the file as a whole is wrong.
    public let line: Int?
    public let problem: String

    init(line: Int? = nil, _ problem: String) {
        self.line = line
        self.problem = problem
    }

    public var description: String { line.map { "line \($0): \(problem)" } ?? problem }
}
