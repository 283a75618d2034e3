import Foundation
import GRDB

/// How often a subscriber gets a digest.
public enum DigestFrequency: String, Codable, Sendable, CaseIterable {
    case daily, weekly

    /// Days from one issue to the next.
    public var days: Int { self == .daily ? 1 : 7 }
}

/// Where a subscription stands.
public enum SubscriberState: String, Codable, Sendable, CaseIterable {
    /// A confirmation was asked for and has not come.
    case pending
    case active
    /// The address itself is gone; what is left is its salted hash.
    case unsubscribed
    /// The server refused three messages in a row.
    case bounced
}

/// A subscription.
public struct Subscriber: Codable, Identifiable, Sendable, Equatable, FetchableRecord {
    public let id: Int64
    /// nil after unsubscribing.
    public var email: String?
    /// Groups that the digest is limited to; empty for all. In the table a list with commas between.
    public var topics: [PaperGroup]
    /// A query that a paper has to match.
    public var query: String?
    public var frequency: DigestFrequency
    public var state: SubscriberState
    /// UTC, as all times here.
    public var createdAt: Date
    public var confirmedAt: Date?
    public var lastSentAt: Date?
    public var bounces: Int

    public init(row: Row) throws {
        id = row["id"]
        email = row["email"]
        topics = Self.topics(row["topics"])
        query = row["query"]
        frequency = row["frequency"]
        state = row["state"]
        createdAt = row["createdAt"]
        confirmedAt = row["confirmedAt"]
        lastSentAt = row["lastSentAt"]
        bounces = row["bounces"]
    }

    static func topics(_ list: String?) -> [PaperGroup] {
        (list ?? "").split(separator: ",").compactMap { PaperGroup(rawValue: String($0)) }
    }
}

extension DigestFrequency: DatabaseValueConvertible {}
extension SubscriberState: DatabaseValueConvertible {}

/// What can be wrong with a subscription or with sending.
public enum DigestError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A confirmation token that is wrong, was used already or has expired; one answer for all, since the difference would tell about an address.
    case confirmationToken
    case unsubscribeToken
    /// A client, or all clients together, asked too often. The wait is in seconds.
    case tooManyRequests(wait: Int)
    case query(String, reason: String)
    /// Another process, or another service of this one, is sending from the same catalogue.
    case sendingElsewhere(path: String)
    /// The key file is not the one that the subscribers' tokens were made with.
    case otherKey
    /// No subscription has the address.
    case noSubscriber(String)
    /// The address asked not to be written to.
    case suppressed
    case settings(String)

    public var description: String {
        switch self {
        case .confirmationToken: "this confirmation is not valid, or no longer; subscribe again to get another"
        case .unsubscribeToken: "this is no unsubscribe link of ours; take the one at the end of a digest"
        case .tooManyRequests(let wait): "too many requests; try again in \(wait) s"
        case .query(let query, let reason): "the query '\(XMLText.line(query))' cannot be used for a digest: \(reason)"
        case .sendingElsewhere(let path): "another process is sending the digest of \(path); wait for it to end"
        case .otherKey: "the digest's key is not the one that this catalogue's subscriptions were made with; restore its key file"
        case .noSubscriber(let address): "nobody is subscribed as '\(XMLText.line(address))'"
        case .suppressed: "this address has unsubscribed; only its owner can subscribe again, through the web page"
        case .settings(let reason): "the digest is not set up: \(reason)"
        }
    }
}

/// What the digest and the feed ask of the search: which papers a query means, and which come first.
public protocol PaperRanking: Sendable {
    /// The score of each paper by its id; papers without one come last, the newest of them first.
    func scores(_ store: PaperStore, at time: Date) throws -> [Int64: Double]

    /// The ids of the papers that match a query.
    ///
    /// - Throws: an error whose description says what is wrong with the query.
    func matches(_ query: String, in store: PaperStore) throws -> Set<Int64>
}
