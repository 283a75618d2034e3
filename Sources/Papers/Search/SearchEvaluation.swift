import Foundation
import Yams

/// A query with the papers that a judge found relevant: 3 is about it, 2 has it as a main part, 1 touches it; what is not named is 0.
public struct JudgedQuery: Codable, Sendable, Equatable {
    public let query: String
    public let relevant: [String: Int]

    /// The judgements that come with Linnet.
    public static func load() throws -> [JudgedQuery] {
        guard let file = Bundle.module.url(forResource: "queries", withExtension: "yaml", subdirectory: "Judgements") else {
            throw PaperError.noCards
        }
        return try load(file)
    }

    /// - Throws: ``PaperError/card(file:reason:)`` for a file that is no list of judged queries.
    public static func load(_ file: URL) throws -> [JudgedQuery] {
        do {
            return try YAMLDecoder().decode([JudgedQuery].self, from: Data(contentsOf: file))
        } catch {
            throw PaperError.judgements(file: file.path, reason: "\(error)")
        }
    }
}

/// How well each mode ranks judged queries.
public struct SearchEvaluation: Codable, Sendable {
    public struct Result: Codable, Sendable {
        public let query: String
        /// nDCG@10 by mode.
        public let gains: [String: Double]
    }

    public let encoder: String
    public let results: [Result]

    /// The mean of nDCG@10 over the queries.
    public func mean(_ mode: SearchMode) -> Double {
        results.reduce(0) { $0 + ($1.gains[mode.rawValue] ?? 0) } / Double(max(1, results.count))
    }

    /// Normalised discounted cumulative gain (Järvelin and Kekäläinen, TOIS 2002) with gains `2^relevance - 1`.
    public static func gain(_ ranked: [String], relevant: [String: Int], at depth: Int = 10) -> Double {
        func sum(_ grades: [Int]) -> Double {
            grades.prefix(depth).enumerated().reduce(0) { $0 + (exp2(Double($1.element)) - 1) / log2(Double($1.offset) + 2) }
        }
        let best: Double = sum(relevant.values.sorted(by: >))
        return best == 0 ? 0 : sum(ranked.map { relevant[$0] ?? 0 }) / best
    }
}

extension PaperStore {
    /// Searches Linnet's own papers for judged queries by every mode.
    public func evaluate(_ judged: [JudgedQuery]) throws -> SearchEvaluation {
        let own: PaperFilter = PaperFilter(sources: [.builtin])
        let results: [SearchEvaluation.Result] = try judged.map { judged in
            let query: PaperQuery = try PaperQuery(judged.query)
            let gains: [(String, Double)] = try SearchMode.allCases.map { mode in
                let ranked: [String] = try search(query, mode: mode, filter: own, limit: 10).map(\.paper.slug)
                return (mode.rawValue, SearchEvaluation.gain(ranked, relevant: judged.relevant))
            }
            return SearchEvaluation.Result(query: judged.query, gains: Dictionary(uniqueKeysWithValues: gains))
        }
        return SearchEvaluation(encoder: try semanticIndex().encoder.id, results: results)
    }
}
