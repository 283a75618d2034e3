import Foundation
import Papers

extension WebSite {
    /// The first page: the dated listing, or what a search found.
    func listing(_ request: ListingRequest) throws -> Page {
        let trending: [View] = try store.trending(limit: 8).map { ["slug": $0.paper.slug, "title": $0.paper.title] }
        let chosen: View = try results(request).view.merging([
            "ownCount": try ownCount(), "query": request.query, "trending": trending, "topics": topics,
            "groups": options(PaperGroup.allCases, chosen: request.group, everything: "all groups") { $0.title },
            "statuses": options(PaperStatus.allCases, chosen: request.status, everything: "any verdict") { $0.label },
            "orders": options(PaperOrder.allCases, chosen: request.order, everything: nil) { Self.label($0) },
        ])
        return Page(template: "listing", title: request.query ?? "Papers", section: .papers, view: chosen)
    }

    /// The list alone, which a script puts in place of the one before.
    func results(_ request: ListingRequest) throws -> Page {
        let view: View = try request.query.map { try found($0, request) } ?? listed(request)
        return Page(template: "results", title: "Papers", section: .papers, view: view)
    }

    /// A listing without a query, by pages.
    private func listed(_ request: ListingRequest) throws -> View {
        let total: Int = try store.count(request.filter)
        let pages: Int = max(1, (total + request.length - 1) / request.length)
        let page: Int = min(request.page, pages)
        let papers: [Paper] = try store.listing(
            request.filter, order: request.order, limit: request.length, offset: (page - 1) * request.length)
        return [
            "countText": Wording.count(total, "paper"), "sections": request.order == .new ? days(papers) : ordered(papers, request.order),
            "isEmpty": papers.isEmpty, "hasPages": pages > 1, "page": page, "pages": pages,
            "previous": page > 1 ? request.link(page: page - 1) : nil, "next": page < pages ? request.link(page: page + 1) : nil,
        ]
    }

    private func ordered(_ papers: [Paper], _ order: PaperOrder) -> [View] {
        papers.isEmpty ? [] : [["heading": order == .title ? "By title" : "By trend", "papers": papers.map(row)]]
    }

    /// The papers under the days on which they were listed, the order kept.
    private func days(_ papers: [Paper]) -> [View] {
        var days: [(date: Date, papers: [Paper])] = []
        for paper in papers {
            if let last = days.last, Wording.machineDay(last.date) == Wording.machineDay(paper.listedOn) {
                days[days.count - 1].papers.append(paper)
            } else {
                days.append((paper.listedOn, [paper]))
            }
        }
        return days.map { date, papers in
            ["day": Wording.machineDay(date), "heading": Wording.day(date), "papers": papers.map(row)]
        }
    }

    private func found(_ query: String, _ request: ListingRequest) throws -> View {
        let hits: [SearchHit]
        do {
            hits = try store.search(PaperQuery(query), filter: request.filter, limit: Self.pageLength)
        } catch let error as PaperQueryError {
            return ["error": "\(error)", "countText": "", "sections": [View]()]
        }
        let rows: [View] = hits.map { hit in row(hit.paper).merging(["why": Self.why(hit)]) }
        let sections: [View] = rows.isEmpty ? [] : [["heading": "Best matches first", "papers": rows]]
        return [
            "countText": "\(Wording.count(hits.count, "paper")) for “\(query)”", "sections": sections, "isEmpty": hits.isEmpty,
        ]
    }

    /// The place where a query's words are, or that the meaning is near.
    private static func why(_ hit: SearchHit) -> String? {
        if hit.why.snippet.contains(where: \.isMatch) { return hit.why.snippet.map(\.text).joined() }
        return hit.why.cosine.map { "near in meaning, cosine " + String(format: "%.2f", $0) }
    }

    /// Has the catalogue read what listing and search keep in memory.
    func warmUp() throws {
        var request: ListingRequest = ListingRequest()
        request.query = "linear layer"
        _ = try listing(request)
    }

    private func ownCount() throws -> Int { try store.count(PaperFilter(sources: [.builtin])) }

    private func options<Choice: RawRepresentable & Equatable>(
        _ all: [Choice], chosen: Choice?, everything: String?, label: (Choice) -> String
    ) -> [View] where Choice.RawValue == String {
        let first: [View] = everything.map { [["value": "", "label": $0, "isChosen": chosen == nil]] } ?? []
        return first + all.map { ["value": $0.rawValue, "label": label($0), "isChosen": chosen == $0] }
    }

    private static func label(_ order: PaperOrder) -> String {
        switch order {
        case .trending: "trending"
        case .new: "newest"
        case .title: "title"
        }
    }

    /// Papers by their scores, and how these are made.
    func trending() throws -> Page {
        let papers: [View] = try store.trending(limit: 30).map { paper, score in
            ["slug": paper.slug, "title": paper.title, "score": String(format: "%.2f", score)]
        }
        return Page(template: "trending", title: "Trending", section: .trending, view: ["papers": papers])
    }
}
