import Foundation

/// A stored query: checked when it comes in, so that a digest does not fail by it later.
enum DigestQuery {
    /// The query without blanks around it; nil where that leaves nothing.
    ///
    /// - Throws: ``DigestError/query(_:reason:)`` for more than 200 characters or a control character.
    static func checked(_ query: String?) throws -> String? {
        guard let trimmed = query?.trimmingCharacters(in: .whitespaces), !trimmed.isEmpty else { return nil }
        guard trimmed.count <= 200 else {
            throw DigestError.query(String(trimmed.prefix(20)) + "…", reason: "it is longer than 200 characters")
        }
        guard !trimmed.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw DigestError.query(trimmed, reason: "it has a control character")
        }
        return trimmed
    }

    /// The papers that match, an error of the search as the digest's own.
    static func matches(_ query: String, _ ranking: any PaperRanking, _ store: PaperStore) throws -> Set<Int64> {
        do {
            return try ranking.matches(query, in: store)
        } catch let error as DigestError {
            throw error
        } catch {
            throw DigestError.query(query, reason: "\(error)")
        }
    }
}
