import Foundation
import Papers
import Torch

extension WebApplication {
    /// Writes the pages into a folder, to be looked at without a server: everything but search, votes, subscriptions and starting runs.
    ///
    /// The listing has the newest thousand papers, and those have pages.
    ///
    /// - Returns: how many pages were written.
    /// - Throws: `FileError`, or what the catalogue throws.
    public func export(to folder: String) async throws -> Int {
        for part in ["p", "runs", "static"] { try AtomicFile.createFolder("\(folder)/\(part)") }
        var count: Int = 0
        func write(_ page: Page, _ path: String, depth: Int = 0) throws {
            var page: Page = page
            page.refresh = nil
            // Scripts may not read files from a page that is a file, so an export shows the drawings.
            page.hasPlots = false
            try AtomicFile.write(renderer.html(page, .exported(depth: depth)), to: "\(folder)/\(path).html")
            count += 1
        }
        var everything: ListingRequest = ListingRequest()
        everything.length = 1000
        try write(try site.listing(everything), "index")
        try write(try site.overview(), "results")
        try write(try site.trending(), "trending")
        try write(try site.runs(compare: []), "runs")
        let listed: [Paper] = try site.store.listing(PaperFilter(), order: .new, limit: everything.length, offset: 0)
        for slug in Set(try site.store.ownPapers().map(\.slug) + listed.map(\.slug)).sorted() {
            try write(try await site.paper(slug), "p/\(slug)", depth: 1)
        }
        for run in try site.store.runSummaries() { try write(try site.run(run.id), "runs/\(run.id)", depth: 1) }
        try AtomicFile.write(try await site.feed(query: nil), to: "\(folder)/feed.xml")
        for (name, data) in assets.files where name != Assets.plotLibraryName { try AtomicFile.write(data, to: "\(folder)/static/\(name)") }
        return count
    }
}
