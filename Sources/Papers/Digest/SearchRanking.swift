import Foundation
import GRDB

/// The catalogue's own search and order of newness.
public struct SearchRanking: PaperRanking {
    public init() {}

    public func scores(_ store: PaperStore, at time: Date) throws -> [Int64: Double] { [:] }

    public func matches(_ query: String, in store: PaperStore) throws -> Set<Int64> {
        let words: [String] = query.split { !$0.isLetter && !$0.isNumber }.map { "\"\($0)\"" }
        guard !words.isEmpty else { return [] }
        return try store.pool.read {
            try Int64.fetchSet($0, sql: "SELECT rowid FROM paperText WHERE paperText MATCH ?", arguments: [words.joined(separator: " OR ")])
        }
    }
}
