import AsyncHTTPClient
import Foundation
import NIOCore

/// Asks arXiv's query interface, as politely as its terms of use want it: one request at a time, three seconds between them, with a name.
public struct ArXivClient: Sendable {
    public static let standardAddress: String = "https://export.arxiv.org/api/query"

    private let address: URLComponents
    private let seconds: Int
    private let rows: Int
    private let mostBytes: Int
    private let wait: @Sendable (Duration) async throws -> Void

    /// Between two requests.
    static let pause: Duration = .seconds(3)
    /// The longest time that the server may put a request off by.
    private static let longestPause: Int = 60
    /// Requests for one page, where the server has no time for the first.
    private static let attempts: Int = 3
    /// Says at once that a connection was refused. The shared client would try again until the request's time is up. It lives as long as the process.
    private static let client: HTTPClient = {
        var configuration: HTTPClient.Configuration = .singletonConfiguration
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroup: HTTPClient.defaultEventLoopGroup, configuration: configuration)
    }()
    private static let userAgent: String = "Linnet/0.1 (linnet papers import; a person's request)"

    /// - Parameters:
    ///   - address: of the interface.
    ///   - seconds: that a request may take, its answer included.
    ///   - rows: papers in an answer.
    ///   - mostBytes: of an answer.
    ///   - wait: waits between requests.
    /// - Throws: ``ArXivError/address(_:)``.
    public init(
        address: String = standardAddress, seconds: Int = 30, rows: Int = 100, mostBytes: Int = 16 << 20,
        wait: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) throws(ArXivError) {
        guard let parts = URLComponents(string: address), ["http", "https"].contains(parts.scheme), parts.host?.isEmpty == false else {
            throw .address(address)
        }
        self.address = parts
        self.seconds = seconds
        self.rows = rows
        self.mostBytes = mostBytes
        self.wait = wait
    }

    private var host: String { address.host ?? "" }

    /// The papers that answer a query.
    /// - Parameters:
    ///   - query: what is asked.
    ///   - progress: told how many papers there are so far.
    /// - Throws: ``ArXivError``, or what waiting throws.
    func papers(_ query: ArXivQuery, progress: @Sendable (Int) -> Void = { _ in }) async throws -> [ImportedPaper] {
        var papers: [ImportedPaper] = []
        while papers.count < query.most {
            if !papers.isEmpty { try await wait(Self.pause) }
            let page: [ImportedPaper] = try read(try await answer(query.fields(from: papers.count, rows: rows)))
            papers += page.prefix(query.most - papers.count)
            progress(papers.count)
            if page.count < rows { break }
        }
        return papers
    }

    private func read(_ answer: String) throws(ArXivError) -> [ImportedPaper] {
        do { return try ArXivFeed.papers(answer) } catch let error as ImportError {
            throw .answer(host: host, error)
        } catch { throw .unreachable(host: host, reason: "\(error)") }
    }

    /// Asks once, and again where the server says that it has no time now.
    private func answer(_ fields: [URLQueryItem]) async throws -> String {
        var address: URLComponents = address
        address.queryItems = (address.queryItems ?? []) + fields
        // A plus is a space to many servers, and not encoded by URLComponents.
        address.percentEncodedQuery = address.percentEncodedQuery?.replacingOccurrences(of: "+", with: "%2B")
        guard let url = address.string else { throw ArXivError.address(host) }
        var attempt: Int = 1
        while true {
            switch try await request(url) {
            case .text(let text): return text
            case .later(let status, let seconds):
                guard attempt < Self.attempts else { throw ArXivError.refused(host: host, status: status) }
                attempt += 1
                try await wait(max(Self.pause, .seconds(min(seconds ?? 0, Self.longestPause))))
            }
        }
    }

    private enum Answer: Sendable {
        case text(String)
        case later(status: Int, seconds: Int?)
    }

    /// One request, with an end to its time: the client's own deadline ends where the answer's body begins.
    private func request(_ url: String) async throws -> Answer {
        try await withThrowingTaskGroup(of: Answer.self) { group in
            group.addTask { try await ask(url) }
            group.addTask {
                try await Task.sleep(for: .seconds(seconds))
                throw ArXivError.tooSlow(host: host, seconds: seconds)
            }
            defer { group.cancelAll() }
            guard let answer = try await group.next() else { throw CancellationError() }
            return answer
        }
    }

    private func ask(_ url: String) async throws -> Answer {
        var request: HTTPClientRequest = HTTPClientRequest(url: url)
        request.headers.add(name: "User-Agent", value: Self.userAgent)
        do {
            let response: HTTPClientResponse = try await Self.client.execute(request, timeout: .seconds(Int64(seconds)))
            let status: Int = Int(response.status.code)
            switch status {
            case 200: return .text(String(buffer: try await response.body.collect(upTo: mostBytes)))
            case 429, 503: return .later(status: status, seconds: response.headers.first(name: "Retry-After").flatMap { Int($0) })
            default: throw ArXivError.refused(host: host, status: status)
            }
        } catch let error as ArXivError {
            throw error
        } catch is NIOTooManyBytesError {
            throw ArXivError.tooLarge(host: host, bytes: mostBytes)
        } catch let error as HTTPClientError where error == .deadlineExceeded {
            throw ArXivError.tooSlow(host: host, seconds: seconds)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            throw ArXivError.unreachable(host: host, reason: "\(error)")
        }
    }
}

extension PaperStore {
    /// Asks arXiv and adds what it answers, in one transaction once all of it is there. Nothing else in the catalogue uses the network.
    /// - Parameters:
    ///   - query: what is asked.
    ///   - client: how it is asked.
    ///   - progress: told how many papers there are so far.
    /// - Throws: ``ArXivError``, or what writing throws.
    public func importPapers(
        _ query: ArXivQuery, from client: ArXivClient, progress: @Sendable (Int) -> Void = { _ in }
    ) async throws -> ImportReport {
        try add(try await client.papers(query, progress: progress), from: .arxiv)
    }
}
