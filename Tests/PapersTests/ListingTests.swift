import Foundation
import GRDB
import TestSupport
import Testing

@testable import Papers

@Suite struct ListingTests {
    /// A catalogue of 400 papers with runs and votes, as a slow and plain computation sees it.
    private struct Sample {
        let store: PaperStore
        let papers: [Paper]

        init() throws {
            let now: Date = Date(timeIntervalSince1970: 1_800_000_000)
            store = try SearchTests.temporaryStore(now: { now })
            var generator: SeededGenerator = SeededGenerator(seed: 3)
            let lines: [String] = (0..<328).map { "Paper \(Int.random(in: 0...9999, using: &generator)) of \($0)\n\nText \($0).\n" }
            _ = try store.importPapers(Data(lines.joined(separator: "\n").utf8))
            try store.pool.write { database in
                for id in try Int64.fetchAll(database, sql: "SELECT id FROM paper WHERE source = 'listing'") {
                    let days: Int = Int.random(in: 0...40, using: &generator)
                    let date: Date = now.addingTimeInterval(Double(-days) * 86_400)
                    try database.execute(
                        sql: "UPDATE paper SET listedOn = ?, year = ? WHERE id = ?",
                        arguments: [date, Int.random(in: 2015...2025, using: &generator), id])
                    if Int.random(in: 0..<8, using: &generator) == 0 {
                        try database.execute(sql: "INSERT INTO vote VALUES (?, randomblob(32), ?)", arguments: [id, date])
                    }
                }
            }
            for slug in ["gla", "lssl", "mom"] {
                try store.recordFailure(slug: slug, startedAt: now, seconds: 1, scale: .smoke, seeds: 1, interrupted: slug == "mom")
            }
            papers = try store.pool.read { try Paper.fetchAll($0, sql: "SELECT * FROM paper") }
        }

        func sorted(_ order: PaperOrder) throws -> [Paper] {
            switch order {
            case .new: return papers.sorted { ($1.listedOn, $0.slug) < ($0.listedOn, $1.slug) }
            case .title: return papers.sorted { ($0.title.lowercased(), $0.slug) < ($1.title.lowercased(), $1.slug) }
            case .trending:
                let scored: [(Paper, Double)] = try papers.map { ($0, try store.trend(of: $0)) }
                return scored.sorted { ($1.1, $0.0.slug) < ($0.1, $1.0.slug) }.map(\.0)
            }
        }
    }

    private static let sample: Result<Sample, any Error> = Result { try Sample() }

    private static let filters: [PaperFilter] = [
        PaperFilter(), PaperFilter(groups: [.sequence]), PaperFilter(groups: [.imported], years: [2020...2021, 2025...2025]),
        PaperFilter(sources: [.listing]), PaperFilter(statuses: [.experiment, .planned]), PaperFilter(modules: ["sequencemodels"]),
    ]

    @Test(arguments: PaperOrder.allCases, filters) func pagesAreThoseOfAPlainSort(order: PaperOrder, filter: PaperFilter) throws {
        let sample: Sample = try Self.sample.get()
        let allowed: Set<Int64> = try sample.store.pool.read { try sample.store.ids(where: filter.conditions, in: $0) }
        let wanted: [String] = try sample.sorted(order).filter { allowed.contains($0.id) }.map(\.slug)
        #expect(!wanted.isEmpty)
        #expect(try sample.store.count(filter) == wanted.count, "the row's test and SQL's agree")
        var paged: [String] = []
        while true {
            let page: [Paper] = try sample.store.listing(filter, order: order, limit: 37, offset: paged.count)
            if page.isEmpty { break }
            paged += page.map(\.slug)
        }
        #expect(paged == wanted)
        #expect(try sample.store.listing(filter, order: order, limit: 0).isEmpty)
    }

    @Test func changesAreSeen() throws {
        let store: PaperStore = try SearchTests.temporaryStore()
        let other: PaperStore = try PaperStore(store.path)
        let count: Int = try store.count(PaperFilter(groups: [.imported]))
        _ = try other.importPapers(Data("A new one\n\nOf another process.\n".utf8))
        #expect(try store.count(PaperFilter(groups: [.imported])) == count + 1)
        #expect(try store.search(try PaperQuery("another process"), limit: 1).first?.paper.slug == "a-new-one")
        try other.upvote("mom", voter: "ann")
        #expect(try store.trending(limit: 1).first?.paper.slug == "mom")
    }

    @Test func verdictsAndAuthors() throws {
        let store: PaperStore = try SearchTests.temporaryStore()
        try store.pool.write { database in
            for (time, verdict) in [("2026-01-01", "not shown"), ("2026-02-01", "shown"), ("2026-03-01", "failed")] {
                try database.execute(
                    sql: """
                        INSERT INTO run (paperID, startedAt, seconds, scale, seeds, verdict, claimsShown, claims)
                        SELECT id, ?, 1, 'small', 3, ?, 1, 1 FROM paper WHERE slug = 'gla'
                        """, arguments: [time, verdict])
            }
        }
        #expect(try store.listing(PaperFilter(verdicts: [.shown])).map(\.slug) == ["gla"])
        #expect(try store.listing(PaperFilter(verdicts: [.notShown])).isEmpty)
        _ = try store.add(PaperChanges(title: "Mine", authors: ["Ann 100% Author", "Bob_B"]))
        #expect(try store.listing(PaperFilter(authors: ["100% a"])).map(\.slug) == ["mine"])
        #expect(try store.listing(PaperFilter(authors: ["%"])).map(\.slug) == ["mine"], "a sign of SQL is a sign")
        #expect(try store.count(PaperFilter(authors: ["bo__b"])) == 0)
    }
}
