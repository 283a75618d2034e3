import Foundation

/// The steps of sending one digest; a crash can come after any of them.
enum DigestStep: Sendable, CaseIterable {
    /// The delivery is in the catalogue.
    case queued
    /// The delivery is marked as being sent.
    case claimed
    /// The transport has accepted the message.
    case accepted
    /// That is in the catalogue.
    case recorded
}

/// How a delivery ended, or where it stands.
public enum DeliveryState: String, Codable, Sendable, CaseIterable {
    /// It waits for its first or next attempt.
    case queued
    /// It is on its way to the server.
    case sending
    case sent
    /// The server refused it for good.
    case bounced
    /// The attempts are used up, or it is no longer wanted.
    case failed
    /// The sending ended with no answer, in a crash or in silence: it may or may not have been delivered, and is never sent again.
    case uncertain
}

/// What became of the digests that were due.
public struct DigestReport: Codable, Sendable, Equatable {
    /// One subscriber's.
    public struct Outcome: Codable, Sendable, Equatable {
        public let subscriber: Int64
        public let email: String
        public let issueDate: String
        public let state: DeliveryState
        /// The server's answer, or what went wrong.
        public let detail: String
        /// When a queued one is tried again, UTC.
        public var nextAttempt: Date?
    }

    public var outcomes: [Outcome] = []
    /// Active subscribers for whom nothing was new.
    public var nothingNew: Int = 0
    /// Active subscribers who have had their issue, or whose next attempt is later.
    public var notDue: Int = 0
    /// Deliveries of an earlier, interrupted sending whose outcome is not known.
    public var interrupted: Int = 0

    public func count(_ state: DeliveryState) -> Int { outcomes.count { $0.state == state } }
}
