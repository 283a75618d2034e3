import Experiments
import Foundation
import Papers
import TestSupport
import Testing

@testable import LinnetWeb

/// What the pages show, as a browser without scripts sees them.
@Suite(.timeLimit(.minutes(1))) struct PageTests {
    @Test func theListingIsDatedAndGroupedByDay() async throws {
        try await TestSite().visit { visitor in
            let page: Answer = try await visitor.get("/")
            #expect(page.status == 200 && page.headers[.contentType] == "text/html; charset=utf-8")
            let days: [String] = page.text.components(separatedBy: "<time datetime=\"").dropFirst().map { String($0.prefix(10)) }
            #expect(days == ["2026-11-25", "2026-11-01", "2026-10-01"])
            // New for a week.
            #expect(page.text.components(separatedBy: #"<span class="new">new</span>"#).count == 3)
            #expect(page.text.contains(">5 papers<") && page.text.contains("claim not shown"))
        }
    }

    @Test func filtersAndOrder() async throws {
        try await TestSite().visit { visitor in
            let group: Answer = try await visitor.get("/?group=sequence&q=&status=")
            #expect(group.text.contains(">3 papers<") && group.text.components(separatedBy: "<article class=\"paper\">").count == 4)
            #expect(group.text.contains(#"<option value="sequence" selected>"#))
            let status: Answer = try await visitor.get("/?status=not-shown")
            #expect(status.text.contains(">1 paper<") && status.text.contains("/p/deltanet"))
            let titles: Answer = try await visitor.get("/?sort=title")
            let order: [String] = titles.text.components(separatedBy: "<h3><a href=\"/p/").dropFirst().map {
                String($0.prefix { $0 != "\"" })
            }
            #expect(order.count == 5 && order.firstIndex(of: "gla")! < order.firstIndex(of: "low-rank-weights")!)
            let beyond: Answer = try await visitor.get("/?page=99")
            #expect(beyond.status == 200 && beyond.text.contains(">5 papers<"))
            for wrong in ["group=none", "sort=random", "page=0", "page=x", "q=\(String(repeating: "a", count: 201))"] {
                #expect(try await visitor.get("/?\(wrong)").status == 400, "\(wrong)")
            }
        }
    }

    @Test func searchByFormScriptAndProgram() async throws {
        try await TestSite().visit { visitor in
            let page: Answer = try await visitor.get("/?q=gated+linear")
            #expect(page.text.contains("/p/gla\">") && page.text.contains(#"value="gated linear""#))
            let part: Answer = try await visitor.get("/?q=gated+linear", headers: ["X-Linnet-Part": "results"])
            #expect(part.header("X-Linnet-Part") == "results" && part.text.contains("/p/gla\">") && !part.text.contains("<html"))
            let found: Answer = try await visitor.get("/api/search?q=gated+linear")
            let object: [String: Any] = try #require(try JSONSerialization.jsonObject(with: Data(found.text.utf8)) as? [String: Any])
            let hits: [[String: Any]] = try #require(object["hits"] as? [[String: Any]])
            #expect(hits.contains { $0["slug"] as? String == "gla" } && hits[0]["link"] as? String != nil)
            #expect(try await visitor.get("/api/search?q=").status == 400)
            let wrong: Answer = try await visitor.get("/?q=year:x")
            #expect(wrong.status == 200 && wrong.text.contains("role=\"alert\""))
        }
    }

    @Test func aPapersPage() async throws {
        try await TestSite().visit { visitor in
            let page: Answer = try await visitor.get("/p/deltanet")
            for part in [
                "<h1>The Delta Rule, Parallel", "It is faster.", "2 times", "1 of 2 claims shown at small",
                "linnet train lm --mixer deltanet",
                "let layer = DeltaNet()", "the gap is a mile", "0.500", "<svg viewBox", "counts agree", "https://arxiv.org/abs/2406.00001",
                #"action="/p/deltanet/run""#, #"action="/upvote/deltanet""#, "Related papers", "/curves.json",
            ] { #expect(page.text.contains(part), "\(part) is missing") }
            // There is no experiment for this one, and its code is no repository.
            let other: Answer = try await visitor.get("/p/low-rank-weights")
            #expect(!other.text.contains("Run it now") && !other.text.contains("javascript:"))
            #expect(try await visitor.get("/p/gla").text.contains(#"href="https://github.com/owner/name""#))
        }
    }

    @Test func curvesAsJSONAndCompared() async throws {
        let site: TestSite = try TestSite()
        try site.store.record(TestSite.report("gla", started: 1_795_510_000, methods: ["GLA"]))
        let ids: [Int64] = try site.store.runSummaries().map(\.id)
        try await site.visit { visitor in
            let page: Answer = try await visitor.get("/runs?run=\(ids[0])&run=\(ids[1])")
            #expect(page.text.contains("A GLA") && page.text.contains("B softmax") && page.text.contains("B &lt;DeltaNet&gt;"))
            #expect(page.text.components(separatedBy: " checked").count == 3)
            let json: Answer = try await visitor.get("/curves.json?run=\(ids[0])&run=\(ids[1])")
            let charts: [[String: Any]] = try #require(try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [[String: Any]])
            let series: [[String: Any]] = try #require(charts[0]["series"] as? [[String: Any]])
            #expect(series.count == 3 && series[0]["y"] as? [Double] == [3, 2, 1.5])
            #expect(try await visitor.get("/runs/\(ids[0])").text.contains("the gap is wide"))
            #expect(try await visitor.get("/runs/\(ids[0])/curves.json").text.contains("\"GLA\""))
            for wrong in ["/runs/999", "/runs/x", "/runs/999/curves.json", "/runs?run=999"] {
                #expect(try await visitor.get(wrong).status == 404, "\(wrong)")
            }
            #expect(try await visitor.get("/runs?run=x").status == 400)
            let many: String = (0..<9).map { _ in "run=\(ids[0])" }.joined(separator: "&")
            #expect(try await visitor.get("/runs?\(many)").status == 400)
        }
    }

    @Test func resultsTrendingFeedAndHealth() async throws {
        try await TestSite().visit { visitor in
            let results: Answer = try await visitor.get("/results")
            #expect(results.text.components(separatedBy: "<li class=\"tile").count == 6 && results.text.contains("Of 5 papers:"))
            let trending: Answer = try await visitor.get("/trending")
            #expect(trending.text.contains("score ") && trending.text.contains("14 days"))
            let feed: Answer = try await visitor.get("/feed.xml")
            #expect(feed.headers[.contentType] == "application/atom+xml; charset=utf-8" && feed.text.contains("<feed"))
            #expect(!feed.text.contains("<script>"))
            #expect(try await visitor.get("/feed.xml?q=%22").status == 400)
            #expect(try await visitor.get("/health").text == #"{"status":"ok"}"#)
        }
    }

    @Test func errorsArePagesWithOneLine() async throws {
        try await TestSite().visit { visitor in
            for path in ["/p/none", "/nowhere", "/static/none.css", "/static/..%2F..%2Fetc%2Fpasswd", "/jobs/7/events"] {
                let page: Answer = try await visitor.get(path)
                #expect(page.status == 404 && page.text.contains("role=\"alert\"") && page.text.contains("<main"), "\(path)")
            }
            let near: Answer = try await visitor.get("/p/deltanets")
            #expect(near.text.contains("near are deltanet"))
            let program: Answer = try await visitor.get("/p/none", headers: ["Accept": "application/json"])
            #expect(program.text.hasPrefix(#"{"error":"#))
        }
    }

    @Test func assetsAreKeptByTheirVersion() async throws {
        try await TestSite().visit { visitor in
            let link: String = try #require(try await visitor.get("/").first(#"href="(/static/style\.css\?v=[0-9a-f]+)""#))
            let sheet: Answer = try await visitor.get(link)
            #expect(sheet.headers[.contentType] == "text/css; charset=utf-8" && sheet.headers[.cacheControl]?.contains("immutable") == true)
            let plain: Answer = try await visitor.get("/static/style.css")
            #expect(plain.headers[.cacheControl] == "public, no-cache" && plain.text == sheet.text)
            let tag: String = try #require(sheet.headers[.eTag])
            let again: Answer = try await visitor.get("/static/style.css", headers: ["If-None-Match": tag])
            #expect(again.status == 304 && again.text.isEmpty)
        }
    }

    /// Everything that a browser loads for a page, without the plotting library.
    @Test func pagesAreLight() async throws {
        let site: TestSite = try TestSite()
        let shared: Int = site.application.assets.files.reduce(0) { $0 + $1.data.count }
        try await site.visit { visitor in
            for path in ["/", "/results", "/runs", "/subscribe", "/trending"] {
                let weight: Int = try await visitor.get(path).text.utf8.count + shared
                #expect(weight < 150_000, "\(path) weighs \(weight) bytes")
            }
        }
    }

    @Test func anExportNeedsNoServer() async throws {
        let site: TestSite = try TestSite()
        let folder: String = FileManager.default.temporaryDirectory.path + "/export-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let count: Int = try await site.application.export(to: folder)
        #expect(count == 4 + 5 + 1)
        for path in ["index.html", "results.html", "p/gla.html", "runs.html", "feed.xml", "static/style.css"] {
            #expect(FileManager.default.fileExists(atPath: "\(folder)/\(path)"), "\(path)")
        }
        let page: String = try String(contentsOfFile: "\(folder)/p/deltanet.html", encoding: .utf8)
        #expect(!page.contains("<form") && page.contains(#"href="../index.html""#) && page.contains("<svg viewBox"))
        // Every link to a page of the export leads to a file.
        let links: [String] = page.components(separatedBy: "href=\"../").dropFirst().map { String($0.prefix { $0 != "\"" && $0 != "?" }) }
        for link in links { #expect(FileManager.default.fileExists(atPath: "\(folder)/\(link)"), "\(link)") }
    }
}
