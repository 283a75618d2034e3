import Foundation
import GRDB

/// What the operator does with subscriptions.
extension DigestService {
    /// All subscriptions in the order of their first request; of one that has ended the address is gone.
    public func subscribers() async throws -> [Subscriber] {
        try await store.pool.read { try Subscriber.fetchAll($0, sql: "SELECT * FROM subscriber ORDER BY id") }
    }

    /// Asks for a subscription as ``subscribe(email:topics:query:frequency:client:)`` does, and tells the operator what a visitor is not told.
    ///
    /// - Throws: ``DigestError/suppressed`` for an address that has unsubscribed: only its owner can come back.
    public func add(email: String, topics: [PaperGroup] = [], query: String? = nil, frequency: DigestFrequency = .weekly) async throws {
        let hash: Data = DigestTokens.suppression(try MailAddress(email), key)
        let isSuppressed: Bool = try await store.pool.read {
            try Bool.fetchOne($0, sql: "SELECT count(*) FROM subscriber WHERE suppressed = ?", arguments: [hash]) ?? false
        }
        guard !isSuppressed else { throw DigestError.suppressed }
        try await subscribe(email: email, topics: topics, query: query, frequency: frequency)
        try await settle()
    }

    /// Unsubscribes an address.
    ///
    /// - Throws: ``DigestError/noSubscriber(_:)``.
    public func remove(email: String) async throws {
        let address: MailAddress = try MailAddress(email)
        let key: VoterKey = key
        try await store.pool.write { database in
            let found: Subscriber? = try Subscriber.fetchOne(
                database, sql: "SELECT * FROM subscriber WHERE email = ?", arguments: [address.value])
            guard let found else { throw DigestError.noSubscriber(address.value) }
            try Self.end(found, key, in: database)
        }
    }

    /// The text of the digest that a subscriber with these wishes would get today; nil where nothing is new.
    public func preview(topics: [PaperGroup] = [], query: String? = nil, frequency: DigestFrequency = .weekly) async throws -> String? {
        let time: Date = store.now()
        let subscriber: Subscriber = Subscriber(
            topics: topics, query: try DigestQuery.checked(query), frequency: frequency, at: time)
        let issue: DigestIssue? = try DigestSelection(store, ranking, at: time, limit: settings.papers).issue(for: subscriber)
        return issue.map { DigestMail.text($0, settings) }
    }
}

extension Subscriber {
    /// Somebody who has just confirmed, for a preview; in no catalogue.
    init(topics: [PaperGroup], query: String?, frequency: DigestFrequency, at time: Date) {
        id = 0
        (self.topics, self.query, self.frequency) = (topics, query, frequency)
        state = .active
        createdAt = time
        confirmedAt = time
        bounces = 0
    }
}
