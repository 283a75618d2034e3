import Foundation
import GRDB

/// Full text in the process, with FTS5's ranking: what searches where SQLite has no FTS5, and what FTS5 is tested against.
///
/// The score of a term in a paper is `idf · f (k1 + 1) / (f + k1 (1 - b + b · length / mean length))`, where f counts the term's occurrences,
/// each with its column's weight, `k1 = 1.2`, `b = 0.75` and `idf = ln((N - n + 0.5) / (n + 0.5))`, at least 1e-6.
final class BM25Index: Sendable {
    /// Of slug, title, summary, abstract, keywords and claim.
    static let columnWeights: [Double] = [4, 6, 3, 1, 4, 2]

    private struct Entry: Sendable {
        let id: Int64
        /// Numbers of the stems, column by column.
        let columns: [[Int32]]
        let length: Int
    }

    private let entries: [Entry]
    private let numbers: [String: Int32]
    /// Places in `entries` of the papers that have a stem, by its number.
    private let postings: [[Int32]]
    private let meanLength: Double

    init(_ papers: [(id: Int64, columns: [String])]) {
        var numbers: [String: Int32] = [:]
        var postings: [[Int32]] = []
        entries = papers.enumerated().map { place, paper in
            let columns: [[Int32]] = paper.columns.map { column in
                TextAnalyzer.stems(column).map { stem in
                    let number: Int32 = numbers[stem] ?? Int32(numbers.count)
                    if Int(number) == postings.count {
                        numbers[stem] = number
                        postings.append([])
                    }
                    if postings[Int(number)].last != Int32(place) { postings[Int(number)].append(Int32(place)) }
                    return number
                }
            }
            return Entry(id: paper.id, columns: columns, length: columns.reduce(0) { $0 + $1.count })
        }
        self.numbers = numbers
        self.postings = postings
        meanLength = Double(entries.reduce(0) { $0 + $1.length }) / Double(max(1, entries.count))
    }

    convenience init(_ database: Database) throws {
        let rows: [Row] = try Row.fetchAll(
            database, sql: "SELECT rowid, slug, title, summary, abstract, keywords, claim FROM paperText ORDER BY rowid")
        self.init(rows.map { row in (row[0], (1...6).map { row[$0] }) })
    }

    /// The sum over terms of weight times score, of every paper that has any, by id.
    func scores(_ terms: [QueryTerm]) -> [Int64: Double] {
        var scores: [Int64: Double] = [:]
        for term in terms {
            let found: [(entry: Entry, frequency: Double)] = occurrences(of: term.stems)
            let rarity: Double = log((Double(entries.count - found.count) + 0.5) / (Double(found.count) + 0.5))
            for (entry, frequency) in found {
                let norm: Double = 1.2 * (0.25 + 0.75 * Double(entry.length) / meanLength)
                scores[entry.id, default: 0] += term.weight * (rarity <= 0 ? 1e-6 : rarity) * frequency * 2.2 / (frequency + norm)
            }
        }
        return scores
    }

    /// The papers in which these words follow one another.
    func papers(with words: [String]) -> [Int64] { occurrences(of: words.map(PorterStemmer.stem)).map(\.entry.id) }

    private func occurrences(of stems: [String]) -> [(entry: Entry, frequency: Double)] {
        let wanted: [Int32] = stems.compactMap { numbers[$0] }
        guard wanted.count == stems.count, let rarest = wanted.min(by: { postings[Int($0)].count < postings[Int($1)].count }) else {
            return []
        }
        return postings[Int(rarest)].compactMap { place in
            let entry: Entry = entries[Int(place)]
            let frequency: Double = zip(entry.columns, Self.columnWeights).reduce(0) { sum, column in
                sum + column.1 * Double(Self.count(of: wanted, in: column.0))
            }
            return frequency == 0 ? nil : (entry, frequency)
        }
    }

    private static func count(of wanted: [Int32], in column: [Int32]) -> Int {
        guard column.count >= wanted.count else { return 0 }
        return (0...column.count - wanted.count).count { column[$0..<$0 + wanted.count].elementsEqual(wanted) }
    }
}

extension BM25Index: TermVocabulary {
    func papers(with word: String) -> Int { numbers[PorterStemmer.stem(word)].map { postings[Int($0)].count } ?? 0 }

    func stems(startingWith letter: Character) -> [(stem: String, papers: Int)] {
        numbers.filter { $0.key.first == letter }.map { ($0.key, postings[Int($0.value)].count) }
    }
}
