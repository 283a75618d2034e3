import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Papers

@Suite(.timeLimit(.minutes(1)), .enabled(if: FakeArXiv.isAvailable, "\(FakeArXiv.missing)")) struct ArXivClientTests {
    /// Counts what would have been waited.
    private final class Waits: Sendable {
        let durations: Mutex<[Duration]> = Mutex([])

        func wait(_ duration: Duration) { durations.withLock { $0.append(duration) } }

        var all: [Duration] { durations.withLock { $0 } }
    }

    private func client(
        _ server: FakeArXiv, _ waits: Waits = Waits(), seconds: Int = 10, rows: Int = 100, mostBytes: Int = 1 << 20
    ) throws -> ArXivClient {
        try ArXivClient(address: server.address, seconds: seconds, rows: rows, mostBytes: mostBytes, wait: { waits.wait($0) })
    }

    @Test func pagesComeOneAfterAnotherWithAPause() async throws {
        let (server, waits): (FakeArXiv, Waits) = (try FakeArXiv(), Waits())
        let query: ArXivQuery = try ArXivQuery("linear \"state space\"", order: .submitted, most: 20)
        let papers: [ImportedPaper] = try await client(server, waits, rows: 3).papers(query)
        #expect(papers.map(\.arxivID) == (0..<7).map { "2501.0000\($0)" })
        #expect(waits.all == [.seconds(3), .seconds(3)])
        let requests: [FakeArXiv.Request] = try server.requests()
        #expect(requests.map { $0.query["start"] } == [["0"], ["3"], ["6"]])
        #expect(requests.allSatisfy { $0.agent.hasPrefix("Linnet/") && $0.query["max_results"] == ["3"] })
        #expect(requests[0].query["search_query"] == ["all:linear AND all:\"state space\""])
        #expect(requests[0].query["sortBy"] == ["submittedDate"] && requests[0].query["sortOrder"] == ["descending"])
    }

    @Test func noMoreThanWanted() async throws {
        let server: FakeArXiv = try FakeArXiv()
        #expect(try await client(server, rows: 3).papers(try ArXivQuery("a", most: 5)).count == 5)
        #expect(try server.requests().map { $0.query["max_results"] } == [["3"], ["2"]])
    }

    @Test func aBusyServerIsGivenTheTimeThatItAsksFor() async throws {
        let (server, waits): (FakeArXiv, Waits) = (try FakeArXiv(), Waits())
        #expect(try await client(server, waits).papers(try ArXivQuery("busy")).count == 7)
        #expect(waits.all == [.seconds(7)])
        let forever: Waits = Waits()
        await #expect(throws: ArXivError.refused(host: "127.0.0.1", status: 429)) {
            _ = try await client(server, forever).papers(try ArXivQuery("always"))
        }
        #expect(forever.all == [.seconds(60), .seconds(60)])
    }

    @Test(arguments: [
        ("closed", "answered with status 403"), ("slow", "no whole answer within 1 s"),
        ("drip", "no whole answer within 1 s"), ("large", "larger than 100000 bytes"),
        ("cut", "not well-formed XML"), ("wrong", "error report"),
    ]) func whatGoesWrongIsSaid(word: String, part: String) async throws {
        let server: FakeArXiv = try FakeArXiv()
        let waits: Bool = word == "slow" || word == "drip"
        let client: ArXivClient = try client(server, seconds: waits ? 1 : 30, mostBytes: 100_000)
        let error: ArXivError? = await #expect(throws: ArXivError.self) { _ = try await client.papers(try ArXivQuery(word)) }
        #expect(error?.description.contains(part) == true && error?.description.contains("\n") == false, "\(error.debugDescription)")
    }

    @Test func nobodyThere() async throws {
        let client: ArXivClient = try ArXivClient(address: "http://127.0.0.1:1/api/query", seconds: 5)
        let error: ArXivError? = await #expect(throws: ArXivError.self) { _ = try await client.papers(try ArXivQuery("a")) }
        #expect(error?.description.contains("cannot be reached") == true, "\(error.debugDescription)")
        for address in ["file:///etc/passwd", "export.arxiv.org", "http://", ""] {
            #expect(throws: ArXivError.address(address)) { try ArXivClient(address: address) }
        }
    }

    @Test(arguments: [
        ("delta  rule", "all:delta AND all:rule"), ("ti:\"delta rule\" AND cat:cs.LG", "ti:\"delta rule\" AND cat:cs.LG"),
        ("\"a b\" c", "all:\"a b\" AND all:c"), ("x(y) & z", "all:x AND all:y AND all:z"), ("mamba-2", "all:mamba-2"),
    ]) func queries(text: String, expression: String) throws {
        #expect(try ArXivQuery(text).expression == expression)
    }

    @Test func queriesThatCannotBeAsked() {
        for text in ["", "  ", "\"open", "(&)", "a\nb", String(repeating: "a", count: 2000)] {
            #expect(throws: ArXivError.self, "\(text)") { try ArXivQuery(text) }
        }
        for most in [0, -1, 2001] { #expect(throws: ArXivError.self) { try ArXivQuery("a", most: most) } }
    }

    /// A file that could not be read whole leaves nothing in the catalogue.
    @Test func theCatalogueGetsAllOrNothing() async throws {
        let folder: URL = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let store: PaperStore = try PaperStore(folder.appendingPathComponent("papers.db").path)
        let (server, before): (FakeArXiv, Int) = (try FakeArXiv(), try store.count(PaperFilter()))
        let report: ImportReport = try await store.importPapers(try ArXivQuery("a", most: 4), from: client(server))
        #expect(report.added.count == 4)
        #expect(try store.paper(report.added[0]).source == .arxiv)
        await #expect(throws: ArXivError.self) { _ = try await store.importPapers(try ArXivQuery("cut"), from: client(server)) }
        #expect(try store.count(PaperFilter()) == before + 4)
    }
}
