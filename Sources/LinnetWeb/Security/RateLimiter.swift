import Foundation
import Papers
import Synchronization

/// Lets a visitor do something a number of times within a time.
final class RateLimiter: Sendable {
    private let limiter: Mutex<RequestLimiter>
    private let now: @Sendable () -> Date

    init(_ limit: Int, per seconds: Double, now: @escaping @Sendable () -> Date) {
        limiter = Mutex(RequestLimiter(perClient: limit, seconds: seconds))
        self.now = now
    }

    /// Counts one attempt of a visitor.
    ///
    /// - Throws: ``WebError`` with the time to wait when there have been too many.
    func admit(_ visitor: String, to what: String) throws {
        let time: Date = now()
        guard let wait = limiter.withLock({ $0.admit(visitor, at: time) }) else { return }
        let minutes: Int = Int((wait / 60).rounded(.up))
        throw WebError.tooMany(
            "too many requests to \(what) from your address; try again in \(minutes) minute\(minutes == 1 ? "" : "s")",
            after: Int(wait.rounded(.up)))
    }
}
