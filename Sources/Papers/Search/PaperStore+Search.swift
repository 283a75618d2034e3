import Foundation
import GRDB

extension PaperStore {
    /// The papers that a query finds, best first. A query of conditions alone lists what they admit, by trend.
    ///
    /// - Parameters:
    ///   - query: words, phrases and conditions.
    ///   - mode: how papers are ranked; `.hybrid` adds `1 / (60 + rank)` over both lists (Cormack, Clarke and Büttcher, SIGIR 2009).
    ///   - filter: holds beside the conditions of the query itself.
    ///   - limit: most papers to give.
    public func search(
        _ query: PaperQuery, mode: SearchMode = .hybrid, filter: PaperFilter = PaperFilter(), limit: Int = 20
    ) throws -> [SearchHit] {
        // Outside of the transaction, since it may have to write the vectors of new papers.
        let index: SemanticIndex? = mode == .keyword ? nil : try semanticIndex()
        let request: SearchRequest = SearchRequest(
            query: query.text, mode: mode, filter: filter, limit: limit, minute: Int(now().timeIntervalSince1970 / 60))
        return try pool.read { database in
            let kept: Memo<SearchRequest, [SearchHit]> = caches.results.value(of: try SearchSchema.state(of: database)) { Memo(most: 300) }
            return try kept.value(of: request) { try found(query, mode, filter, limit, index, database) }
        }
    }

    private func found(
        _ query: PaperQuery, _ mode: SearchMode, _ filter: PaperFilter, _ limit: Int, _ index: SemanticIndex?, _ database: Database
    ) throws -> [SearchHit] {
        let text: FullText = try fullText(database)
        let table: ListingTable = try listingTable(database)
        let terms: [QueryTerm] = try QueryExpansion(vocabulary: text.vocabulary, papers: table.rows.count).terms(of: query)
        var search: Search = Search(terms: terms, text: text, table: table, filters: [filter, query.filter], database: database)
        try search.addConditions(of: query)
        if query.words.isEmpty && query.phrases.isEmpty { return try unranked(search, limit) }
        let depth: Int = max(limit, Self.fusionDepth)
        let keyword: [FullText.Match] = mode == .semantic ? [] : try search.keyword(depth)
        let semantic: [FullText.Match] = try index.map { try search.semantic($0, query, depth) } ?? []
        let ranked: [RankedPaper] = RankedPaper.fused(keyword: keyword, semantic: semantic, mode: mode)
        return try hits(sorted(ranked, database), search, limit)
    }

    /// The papers nearest in meaning to a paper, itself not among them.
    public func similar(to slug: String, limit: Int = 10) throws -> [SearchHit] {
        let id: Int64 = try paper(slug).id
        let index: SemanticIndex = try semanticIndex()
        guard let vector = index.vector(of: id) else { return [] }
        let near: [FullText.Match] = index.nearest(to: vector, limit + 1).filter { $0.id != id }
        return try pool.read { database in
            zip(try Self.papers(near.map(\.id), in: database), near).prefix(limit).enumerated().map { rank, pair in
                SearchHit(paper: pair.0, score: pair.1.score, why: SearchHit.Why(cosine: pair.1.score, semanticRank: rank + 1))
            }
        }
    }

    /// How many papers of each list are fused.
    private static let fusionDepth: Int = 100

    func fullText(_ database: Database) throws -> FullText {
        let sql: String = try String.fetchOne(database, sql: "SELECT sql FROM sqlite_master WHERE name = 'paperText'") ?? ""
        if sql.contains("fts5") { return .sqlite(database, caches) }
        return .process(
            try caches.keywords.value(of: try SearchSchema.counter(.text, in: database)) { try BM25Index(database) }, database)
    }

    /// By score, then trend, then slug.
    private func sorted(_ ranked: [RankedPaper], _ database: Database) throws -> [RankedPaper] {
        let table: ListingTable = try listingTable(database)
        let events: [Int64: Trend.Events] = try trendEvents(database)
        let time: Date = now()
        let keyed: [(paper: RankedPaper, trend: Double, slug: String)] = ranked.compactMap { paper in
            guard let row = table.row(paper.id) else { return nil }
            let own: Trend.Events = events[paper.id] ?? Trend.Events()
            return (paper, Trend.score(runs: own.runs, votes: own.votes, listedOn: row.listedOn, now: time), row.slug)
        }
        return keyed.sorted { ($1.paper.score, $1.trend, $0.slug) < ($0.paper.score, $0.trend, $1.slug) }.map(\.paper)
    }

    private func hits(_ ranked: [RankedPaper], _ search: Search, _ limit: Int) throws -> [SearchHit] {
        let best: ArraySlice<RankedPaper> = ranked.prefix(limit)
        return try zip(Self.papers(best.map(\.id), in: search.database), best).map { paper, ranked in
            SearchHit(
                paper: paper, score: ranked.score,
                why: SearchHit.Why(
                    matchedTerms: try search.matchedTerms(of: paper.id), snippet: try search.text.snippet(of: paper.id, search.terms),
                    cosine: ranked.cosine, keywordRank: ranked.keywordRank, semanticRank: ranked.semanticRank))
        }
    }

    private func unranked(_ search: Search, _ limit: Int) throws -> [SearchHit] {
        let admitted: Set<Int64> = try ids(where: search.conditions, in: search.database)
        let scored: [(id: Int64, score: Double)] = search.table.trending(
            events: try trendEvents(search.database), now: now(), offset: 0, limit: limit
        ) { admitted.contains($0.id) }
        return zip(try Self.papers(scored.map(\.id), in: search.database), scored).map {
            SearchHit(paper: $0, score: $1.score, why: SearchHit.Why())
        }
    }
}

/// A paper's places in the lists of a search.
struct RankedPaper {
    let id: Int64
    var score: Double = 0
    var cosine: Double?
    var keywordRank: Int?
    var semanticRank: Int?

    /// Joins two lists that are sorted best first.
    static func fused(keyword: [FullText.Match], semantic: [FullText.Match], mode: SearchMode) -> [RankedPaper] {
        var papers: [Int64: RankedPaper] = [:]
        for (place, match) in keyword.enumerated() {
            papers[match.id, default: RankedPaper(id: match.id)].keywordRank = place + 1
            papers[match.id]?.score += mode == .hybrid ? reciprocal(place + 1) : match.score
        }
        for (place, match) in semantic.enumerated() {
            papers[match.id, default: RankedPaper(id: match.id)].semanticRank = place + 1
            papers[match.id]?.cosine = match.score
            papers[match.id]?.score += mode == .hybrid ? reciprocal(place + 1) : match.score
        }
        return Array(papers.values)
    }

    private static func reciprocal(_ rank: Int) -> Double { 1 / Double(60 + rank) }
}
