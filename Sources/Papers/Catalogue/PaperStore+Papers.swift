import Foundation
import GRDB

extension PaperStore {
    /// - Throws: ``PaperError/unknownPaper(_:nearest:)``.
    public func paper(_ slug: String) throws -> Paper {
        let found: Paper? = try pool.read { try Paper.fetchOne($0, sql: "SELECT * FROM paper WHERE slug = ?", arguments: [slug]) }
        guard let found else { throw PaperError.unknownPaper(slug, nearest: try nearestSlugs(to: slug)) }
        return found
    }

    public func keywords(of paper: Paper) throws -> [String] { try list("term", "keyword", of: paper.id) }

    public func authors(of paper: Paper) throws -> [String] { try list("name", "author", of: paper.id) }

    public var count: Int { get throws { try pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM paper") ?? 0 } } }

    private func list(_ column: String, _ table: String, of id: Int64) throws -> [String] {
        try pool.read {
            try String.fetchAll($0, sql: "SELECT \(column) FROM \(table) WHERE paperID = ? ORDER BY position", arguments: [id])
        }
    }

    /// Slugs of Linnet's own papers that share the most letter pairs with a misspelt one.
    private func nearestSlugs(to slug: String) throws -> [String] {
        let slugs: [String] = try pool.read { try String.fetchAll($0, sql: "SELECT slug FROM paper WHERE source = 'builtin'") }
        func pairs(_ text: String) -> Set<String> { Set(zip(text, text.dropFirst()).map { String([$0, $1]) }) }
        let wanted: Set<String> = pairs(slug.lowercased())
        let scored: [(String, Double)] = slugs.map { other in
            let own: Set<String> = pairs(other)
            return (other, Double(own.intersection(wanted).count) / Double(max(1, own.union(wanted).count)))
        }
        return scored.filter { $0.1 >= 0.3 }.sorted { ($1.1, $0.0) < ($0.1, $1.0) }.prefix(3).map(\.0)
    }
}
