import Foundation
import Synchronization

/// Lets a visitor do something a number of times within a time.
final class RateLimiter: Sendable {
    private let limit: Int
    private let seconds: Double
    private let now: @Sendable () -> Date
    /// When each visitor last did it, the oldest first.
    private let times: Mutex<[String: [Date]]> = Mutex([:])
    /// Visitors that are remembered at a time.
    private static let capacity: Int = 10_000

    init(_ limit: Int, per seconds: Double, now: @escaping @Sendable () -> Date) {
        self.limit = limit
        self.seconds = seconds
        self.now = now
    }

    /// Counts one attempt of a visitor.
    ///
    /// - Throws: ``WebError`` with the time to wait when there have been too many.
    func admit(_ visitor: String, to what: String) throws {
        let time: Date = now()
        let wait: Double? = times.withLock { times in
            if times.count >= Self.capacity, times[visitor] == nil { forget(before: time.addingTimeInterval(-seconds), in: &times) }
            let recent: [Date] = (times[visitor] ?? []).filter { time.timeIntervalSince($0) < seconds }
            if recent.count >= limit { return seconds - time.timeIntervalSince(recent[0]) }
            times[visitor] = recent + [time]
            return nil
        }
        guard let wait else { return }
        let minutes: Int = Int((wait / 60).rounded(.up))
        throw WebError.tooMany(
            "too many requests to \(what) from your address; try again in \(minutes) minute\(minutes == 1 ? "" : "s")",
            after: Int(wait.rounded(.up)))
    }

    /// Drops whom the limit no longer concerns, and everybody when that is nobody: memory has a bound before the limit has.
    private func forget(before time: Date, in times: inout [String: [Date]]) {
        times = times.filter { $0.value.last.map { $0 > time } ?? false }
        if times.count >= Self.capacity { times.removeAll() }
    }
}
