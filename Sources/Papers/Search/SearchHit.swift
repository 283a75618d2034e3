import Foundation

/// How a search ranks.
public enum SearchMode: String, Codable, Sendable, CaseIterable {
    /// BM25 over the words.
    case keyword
    /// Nearness of meaning by a sentence encoder.
    case semantic
    /// Both, by reciprocal ranks.
    case hybrid
}

/// A paper that a search found.
public struct SearchHit: Sendable, Codable {
    public let paper: Paper
    /// BM25, cosine or the sum of reciprocal ranks, by the mode; larger is better.
    public let score: Double
    public let why: Why

    /// Why the paper was found.
    public struct Why: Sendable, Codable {
        /// The query's words that the paper has, as they were typed, and the words that stood in for others.
        public var matchedTerms: [String] = []
        /// The place of the text where they are densest, in pieces; empty where no word matches.
        public var snippet: [SnippetPart] = []
        /// Cosine between the query and the paper; nil in keyword mode.
        public var cosine: Double?
        /// Places in the two lists, from 1; nil where the paper is not in that list.
        public var keywordRank: Int?
        public var semanticRank: Int?
    }
}

/// A piece of plain text, to be escaped by whoever shows it.
public struct SnippetPart: Sendable, Codable, Equatable {
    public let text: String
    /// Whether these are words of the query.
    public let isMatch: Bool
}
