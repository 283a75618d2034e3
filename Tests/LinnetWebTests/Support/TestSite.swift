import Experiments
import Foundation
import Hummingbird
import HummingbirdTesting
import NIOCore
import Synchronization

@testable import LinnetWeb
@testable import Papers

/// An application over a small catalogue in a temporary file, at a fixed time.
struct TestSite: Sendable {
    static let now: Date = Date(timeIntervalSince1970: 1_795_600_000)  // 2026-11-25, 09:46 UTC
    static let hostileTitle: String = #"<script>alert("x")</script> & 'quoted'"#

    let clock: TestClock = TestClock(now)
    let store: PaperStore
    let runner: FakeRunner = FakeRunner()
    /// Where mails go, unless another transport is given.
    let mails: MemoryTransport = MemoryTransport()
    let subscriptions: DigestService
    let application: WebApplication

    init(_ change: (inout WebConfiguration) -> Void = { _ in }, token: String? = nil, mails other: (any MailTransport)? = nil) throws {
        let path: String = FileManager.default.temporaryDirectory.path + "/web-\(UUID().uuidString)/papers.db"
        store = try PaperStore(path, cards: Self.cards, now: { [clock] in clock.now })
        try store.record(Self.report())
        var configuration: WebConfiguration = try WebConfiguration(port: 0, accessToken: token)
        change(&configuration)
        subscriptions = try DigestService(store: store, transport: other ?? mails, settings: DigestSettings(site: configuration.site))
        application = try WebApplication(store, jobs: runner, subscriptions: subscriptions, configuration: configuration)
    }

    private static let cards: [PaperCard] = [
        card(1, "deltanet", "The Delta Rule, Parallel", listed: "2026-11-25", group: .sequence, symbol: "DeltaNet"),
        card(2, "gla", "Gated Linear Attention", listed: "2026-11-25", group: .sequence, symbol: "GatedLinearAttention"),
        card(3, "low-rank-weights", "Low-Rank <b>Weights</b>", listed: "2026-11-01", group: .efficiency, symbol: nil),
        card(5, "lssl", "Linear State-Space Layers", listed: "2026-11-01", group: .sequence, symbol: "LinearStateSpace"),
        card(
            4, "hostile", hostileTitle, listed: "2026-10-01", group: .weights, symbol: nil, summary: "\"\u{301} onfocus=alert(1) x=\"<img>"),
    ]

    private static func card(
        _ order: Int, _ slug: String, _ title: String, listed: String, group: PaperGroup, symbol: String?, summary: String? = nil
    ) -> PaperCard {
        PaperCard(
            order: order, slug: slug, title: title, arxiv: "2406.0000\(order)", year: 2024, listed: listed, group: group,
            keywords: ["linear attention"], summary: summary ?? "What \(slug) is, in one sentence.", claim: "It is faster.",
            figure: "2 times", code: slug == "gla" ? "owner/name" : "javascript:alert(1)", library: "SequenceModels", symbol: symbol,
            command: "linnet train lm --mixer \(slug)", swift: "let layer = DeltaNet()")
    }

    /// A report at small scale with curves; one claim holds and one does not.
    static func report(_ slug: String = "deltanet", started: TimeInterval = 1_795_500_000, methods: [String] = ["softmax", "<DeltaNet>"])
        -> Report
    {
        var measurements: Measurements = Measurements()
        for seed: UInt64 in 0..<2 {
            for (index, method) in methods.enumerated() {
                measurements.record(method, "loss (nats)", seed: seed, 1.5 - Double(index) / 2)
                measurements.record(
                    curve: Measurements.Curve(
                        method: method, metric: "loss (nats)", axis: "step", seed: seed, x: [0, 1, 2], y: [3, 2, 1.5 - Double(index) / 2]))
            }
        }
        let claims: [Claim] = [
            Claim("the gap is wide", atLeast: 0.4) { _ in 0.5 }, Claim("the gap is a mile", atLeast: 10) { _ in 0.5 },
        ]
        return Report(
            slug: slug, summary: "Both on recall.", scale: .small, seeds: [0, 1], started: Date(timeIntervalSince1970: started),
            seconds: 75,
            measurements: measurements, criteria: Criteria(gates: [Gate("counts agree") { _ in true }], claims: claims))
    }

    /// Lets eight days pass, with news in them, and sends the digests that are due.
    func sendDigests() async throws {
        clock.advance(8 * 86_400)
        try store.record(Self.report("lssl", started: clock.now.timeIntervalSince1970 - 3600))
        try await subscriptions.send()
    }

    /// Runs `body` with a visitor of the application.
    func visit(_ setup: TestingSetup = .router, _ body: @escaping @Sendable (Visitor) async throws -> Void) async throws {
        try await application.application().test(setup) { client in try await body(Visitor(client: client)) }
    }
}

/// A clock that stands until a test moves it.
final class TestClock: Sendable {
    private let time: Mutex<Date>

    init(_ time: Date) { self.time = Mutex(time) }

    var now: Date { time.withLock { $0 } }

    func advance(_ seconds: TimeInterval) { time.withLock { $0 += seconds } }
}

/// What a visitor gets.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPFields
    let text: String

    /// The first match of a pattern's first group.
    func first(_ pattern: String) -> String? {
        guard let expression = try? NSRegularExpression(pattern: pattern, options: .dotMatchesLineSeparators),
            let match = expression.firstMatch(in: text, range: NSRange(text.startIndex..., in: text)),
            let range = Range(match.range(at: 1), in: text)
        else { return nil }
        return String(text[range])
    }

    func header(_ name: String) -> String? { HTTPFields.Element.Name(name).flatMap { headers[$0] } }

    var location: String? { headers[.location] }

    /// Whether a bare quotation mark has a combining acute accent behind it.
    var hasQuoteBeforeMark: Bool { zip(text.unicodeScalars, text.unicodeScalars.dropFirst()).contains { $0 == "\"" && $1.value == 0x301 } }
}

/// A browser without scripts: it keeps cookies, and sends the token of the page that it has loaded.
actor Visitor {
    private let client: any TestClientProtocol
    private var cookies: [String: String] = [:]
    private(set) var token: String = ""

    init(client: any TestClientProtocol) { self.client = client }

    nonisolated var port: Int { client.port ?? 0 }

    @discardableResult
    func get(_ path: String, headers: [String: String] = [:]) async throws -> Answer {
        let answer: Answer = try await send(.get, path, headers: headers)
        if let found = answer.first(#"name="token" value="([0-9a-f]+)""#) { token = found }
        return answer
    }

    /// Sends a form with the page's token, if none is among the fields.
    @discardableResult
    func post(_ path: String, _ fields: [(String, String)] = [], headers: [String: String] = [:]) async throws -> Answer {
        let all: [(String, String)] = fields.contains { $0.0 == "token" } ? fields : fields + [("token", token)]
        let allowed: CharacterSet = .alphanumerics
        let body: String = all.map { name, value in "\(name)=\(value.addingPercentEncoding(withAllowedCharacters: allowed) ?? "")" }
            .joined(separator: "&")
        return try await send(
            .post, path, headers: ["Content-Type": "application/x-www-form-urlencoded"].merging(headers) { $1 }, body: body)
    }

    @discardableResult
    func send(_ method: HTTPRequest.Method, _ path: String, headers: [String: String] = [:], body: String? = nil) async throws -> Answer {
        var fields: HTTPFields = [.accept: "text/html"]
        if !cookies.isEmpty { fields[.cookie] = cookies.map { "\($0)=\($1)" }.sorted().joined(separator: "; ") }
        for (name, value) in headers { if let name = HTTPFields.Element.Name(name) { fields[name] = value } }
        let answer: Answer = try await client.execute(uri: path, method: method, headers: fields, body: body.map { ByteBuffer(string: $0) })
        {
            Answer(status: Int($0.status.code), headers: $0.headers, text: String(buffer: $0.body))
        }
        for line in answer.headers[values: .setCookie] {
            let pair: [Substring] = line.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1)
            if pair.count == 2 { cookies[String(pair[0])] = String(pair[1]) }
        }
        return answer
    }

    func forgetCookies() { cookies = [:] }
}
