import Foundation

/// Counts requests in a window of one hour that slides, by client and in all.
struct RequestLimiter {
    private let perClient: Int
    private let inAll: Int
    private var requests: [(time: Date, client: String?)] = []

    private static let window: TimeInterval = 3600

    init(perClient: Int, inAll: Int) {
        self.perClient = perClient
        self.inAll = inAll
    }

    /// Counts a request; one without a client only in all.
    ///
    /// - Throws: ``DigestError/tooManyRequests(wait:)``; a refused request does not count.
    mutating func admit(_ client: String?, at time: Date) throws {
        // A clock that was set back must not shut everybody out until it catches up.
        requests.removeAll { $0.time <= time.addingTimeInterval(-Self.window) || $0.time > time }
        let own: [Date] = client.map { client in requests.filter { $0.client == client }.map(\.time) } ?? []
        let full: [Date?] = [
            own.count >= perClient ? own.first : nil,
            requests.count >= inAll ? requests.first?.time : nil,
        ]
        if let first = full.compactMap({ $0 }).max() {
            throw DigestError.tooManyRequests(wait: Int((Self.window - time.timeIntervalSince(first)).rounded(.up)))
        }
        requests.append((time, client))
    }
}
