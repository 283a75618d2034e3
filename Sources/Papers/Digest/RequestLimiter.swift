import Foundation

/// Lets clients do something a number of times within a time that slides: each of them, and all together.
package struct RequestLimiter: Sendable {
    private let perClient: Int
    private let inAll: Int?
    private let seconds: TimeInterval
    /// When each client was admitted within the time, the oldest first; likewise all together, where that has a limit.
    private var times: [String: [Date]] = [:]
    private var allTimes: [Date] = []
    /// Clients that are remembered at a time.
    private static let capacity: Int = 10_000

    /// - Parameters:
    ///   - perClient: requests of one client, at least 1.
    ///   - inAll: requests of all; nil for no limit.
    ///   - seconds: the time.
    package init(perClient: Int, inAll: Int? = nil, seconds: TimeInterval) {
        self.perClient = perClient
        self.inAll = inAll
        self.seconds = seconds
    }

    /// Counts a request; one without a client only in all.
    ///
    /// - Returns: nil, or the seconds to wait where there have been too many; a refused request does not count.
    package mutating func admit(_ client: String?, at time: Date) -> TimeInterval? {
        let own: [Date] = client.map { recent(times[$0] ?? [], at: time) } ?? []
        allTimes = recent(allTimes, at: time)
        let full: [Date?] = [
            client != nil && own.count >= perClient ? own.first ?? time : nil,
            inAll.flatMap { allTimes.count >= $0 ? allTimes.first ?? time : nil },
        ]
        if let first = full.compactMap({ $0 }).max() { return seconds - time.timeIntervalSince(first) }
        if let client {
            if times.count >= Self.capacity, times[client] == nil { forget(at: time) }
            times[client] = own + [time]
        }
        if inAll != nil { allTimes.append(time) }
        return nil
    }

    /// Those within the time. A clock that was set back must not shut everybody out until it catches up.
    private func recent(_ times: [Date], at time: Date) -> [Date] {
        times.filter { (0..<seconds).contains(time.timeIntervalSince($0)) }
    }

    /// Drops whom the limit no longer concerns, and everybody when that is nobody: memory has a bound before the limit has.
    private mutating func forget(at time: Date) {
        times = times.filter { !recent($0.value, at: time).isEmpty }
        if times.count >= Self.capacity { times.removeAll() }
    }
}
