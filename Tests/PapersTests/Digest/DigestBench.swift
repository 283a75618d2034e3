import Foundation
import GRDB
import Synchronization

@testable import Papers

/// A time that a test sets.
final class TestClock: Sendable {
    private let current: Mutex<Date>

    init(_ text: String = "2026-11-25T10:00:00Z") { current = Mutex(try! Date(text, strategy: .iso8601)) }

    var now: Date { current.withLock { $0 } }

    func advance(hours: Double) { current.withLock { $0 += hours * 3600 } }
}

/// Answers each message as it is told, in order, then accepts; keeps what it accepted.
final class ScriptedTransport: MailTransport {
    struct Crash: Error {}

    private let state: Mutex<(answers: [any Error], accepted: [MIMEMessage])>

    init(_ answers: [any Error] = []) { state = Mutex((answers, [])) }

    var accepted: [MIMEMessage] { state.withLock { $0.accepted } }

    /// What the next messages meet.
    func answer(_ errors: any Error...) { state.withLock { $0.answers += errors } }

    func send(_ message: MIMEMessage) async throws -> MailReceipt {
        try state.withLock { state in
            if !state.answers.isEmpty { throw state.answers.removeFirst() }
            state.accepted.append(message)
        }
        return MailReceipt(messageID: message.messageID, answer: "250 ok")
    }
}

/// Scores by slug; a query matches the slugs that have it in them.
struct FixedRanking: PaperRanking {
    struct BadQuery: Error, CustomStringConvertible { let description: String = "it has a bad word" }

    var bySlug: [String: Double] = [:]

    func scores(_ store: PaperStore, at time: Date) throws -> [Int64: Double] {
        Dictionary(uniqueKeysWithValues: bySlug.compactMap { slug, score in (try? store.paper(slug)).map { ($0.id, score) } })
    }

    func matches(_ query: String, in store: PaperStore) throws -> Set<Int64> {
        guard query != "bad" else { throw BadQuery() }
        return try store.pool.read {
            try Int64.fetchSet($0, sql: "SELECT id FROM paper WHERE instr(slug, ?) > 0", arguments: [query])
        }
    }
}

/// A catalogue in a folder of its own with a clock and a scripted transport.
final class DigestBench: Sendable {
    let folder: URL
    let clock: TestClock = TestClock()
    let transport: ScriptedTransport = ScriptedTransport()
    let store: PaperStore

    init(slugs: [String] = ["alpha", "beta"]) throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-digest-\(UUID().uuidString)")
        store = try PaperStore(folder.path + "/papers.db", cards: Self.cards(slugs), now: { [clock] in clock.now })
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    static func cards(_ slugs: [String]) -> [PaperCard] {
        slugs.enumerated().map { index, slug in
            PaperCard(
                order: index + 1, slug: slug, title: "Paper \(slug)", arxiv: "2401.0000\(index)", year: 2024, listed: "2026-11-25",
                group: index % 2 == 0 ? .sequence : .efficiency, keywords: ["linear layer", slug], summary: "About \(slug).",
                claim: "It is faster", figure: "2x", code: "someone/\(slug)", library: "SequenceModels")
        }
    }

    func service(
        ranking: FixedRanking = FixedRanking(), transport: (any MailTransport)? = nil,
        afterStep: @escaping @Sendable (DigestStep) throws -> Void = { _ in }
    ) throws -> DigestService {
        try DigestService(
            store: store, transport: transport ?? self.transport, settings: DigestSettings(), ranking: ranking, pause: { _ in },
            afterStep: afterStep)
    }

    /// Adds a paper that came by an import.
    func add(_ slug: String, title: String? = nil, abstract: String? = nil, authors: [String] = []) throws {
        let time: Date = clock.now
        _ = try store.pool.write { database in
            try PaperEntry(
                slug: slug, title: title ?? "Paper \(slug)", abstract: abstract, group: .imported, source: .arxiv, listedOn: time,
                keywords: ["imported"], authors: authors
            ).write(over: nil, at: time, in: database)
        }
    }

    func note(_ kind: String, _ detail: String, of slug: String) throws {
        let (id, time): (Int64, Date) = (try store.paper(slug).id, clock.now)
        try store.pool.write { try PaperStore.note(kind, detail, of: id, at: time, in: $0) }
    }

    /// Subscribes and confirms an address; the confirmation's mail is among the accepted ones.
    func subscribe(
        _ email: String, topics: [PaperGroup] = [], query: String? = nil, frequency: DigestFrequency = .daily, _ service: DigestService
    ) async throws {
        try await service.subscribe(email: email, topics: topics, query: query, frequency: frequency)
        try await service.settle()
        try await service.confirm(token: Self.confirmationToken(transport.accepted.last!))
    }

    static func confirmationToken(_ message: MIMEMessage) -> String { token(after: "/confirm?t=", in: message.text) }

    static func unsubscribeToken(_ message: MIMEMessage) -> String { token(after: "/unsubscribe?t=", in: message.text) }

    private static func token(after mark: String, in text: String) -> String {
        String(text[text.range(of: mark)!.upperBound...].prefix { !$0.isWhitespace })
    }

    /// The digests that were accepted for an address.
    func digests(to email: String) -> [MIMEMessage] {
        transport.accepted.filter { $0.to.value == email && $0.messageID.hasPrefix("digest.") }
    }

    func row(_ sql: String, _ arguments: StatementArguments = []) throws -> Row? {
        try store.pool.read { try Row.fetchOne($0, sql: sql, arguments: arguments) }
    }
}

/// Whether an error is said on one line.
func isOneLine(_ error: any Error) -> Bool { "\(error)".split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).count == 1 }
