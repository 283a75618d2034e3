import Foundation
import GRDB

/// Makes slugs from titles: ASCII letters, digits and hyphens, no two alike.
struct SlugMaker {
    /// The next number of a slug that several titles begin with, so that a file of likenesses is not searched again and again.
    private var next: [String: Int] = [:]
    private static let mostWords: Int = 8
    private static let longest: Int = 60

    /// A slug that no paper has.
    mutating func slug(for title: String, in database: Database) throws -> String {
        let base: String = Self.base(title)
        let statement: Statement = try database.cachedStatement(sql: "SELECT 1 FROM paper WHERE slug = ?")
        while true {
            let number: Int = next[base] ?? 1
            next[base] = number + 1
            let slug: String = number == 1 ? base : "\(base)-\(number)"
            if try Int.fetchOne(statement, arguments: [slug]) == nil { return slug }
        }
    }

    static func base(_ title: String) -> String {
        var ascii: String = title
        if !title.utf8.allSatisfy({ $0 < 128 }) {
            ascii = title.applyingTransform(StringTransform("Any-Latin; Latin-ASCII"), reverse: false) ?? title
        }
        let words: [Substring] = ascii.lowercased().split { !($0.isASCII && ($0.isLetter || $0.isNumber)) }
        var slug: String = ""
        for word in words.prefix(mostWords) {
            let longer: String = slug.isEmpty ? String(word.prefix(longest)) : slug + "-" + word
            if longer.count > longest { break }
            slug = longer
        }
        return slug.isEmpty ? "paper" : slug
    }

    /// Whether a text has the form of a slug.
    static func isSlug(_ text: String) -> Bool { text.count <= 80 && text.wholeMatch(of: /[a-z0-9]+(-[a-z0-9]+)*/) != nil }
}
