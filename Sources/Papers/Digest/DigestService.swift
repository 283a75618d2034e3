import Foundation
import GRDB

/// Subscriptions with double opt-in, and their digests, sent exactly once for each subscriber and issue.
///
/// Answers are the same for known, unknown and active addresses: nobody can find out by asking who is subscribed. Mails therefore leave
/// after the answer, see ``settle()``.
public actor DigestService {
    let store: PaperStore
    let transport: any MailTransport
    let settings: DigestSettings
    let ranking: any PaperRanking
    let key: VoterKey
    /// Waits between messages.
    let pause: @Sendable (Duration) async throws -> Void
    /// Called after each step of sending; a test throws from it to stop where a crash could.
    let afterStep: @Sendable (DigestStep) throws -> Void
    private var limiter: RequestLimiter
    private var confirmations: [UUID: Task<Void, Never>] = [:]
    private var confirmationFailure: (any Error)?

    /// How long an address has to wait for another confirmation: one that waits for its first, and one that has left or bounced.
    private static let confirmationInterval: TimeInterval = 3600
    private static let returnInterval: TimeInterval = 86_400

    /// - Throws: `FileError`, or ``PaperError`` for a key file beside the catalogue that others can read.
    public init(
        store: PaperStore, transport: any MailTransport, settings: DigestSettings, ranking: any PaperRanking = SearchRanking(),
        pause: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    ) throws {
        try self.init(store: store, transport: transport, settings: settings, ranking: ranking, pause: pause, afterStep: { _ in })
    }

    init(
        store: PaperStore, transport: any MailTransport, settings: DigestSettings, ranking: any PaperRanking,
        pause: @escaping @Sendable (Duration) async throws -> Void, afterStep: @escaping @Sendable (DigestStep) throws -> Void
    ) throws {
        self.store = store
        self.transport = transport
        self.settings = settings
        self.ranking = ranking
        self.pause = pause
        self.afterStep = afterStep
        key = try VoterKey.load(beside: store.path)
        limiter = RequestLimiter(perClient: settings.requestsPerClient, inAll: settings.requestsInAll, seconds: 3600)
    }

    /// Asks for a subscription. A confirmation goes to the address, unless it is subscribed already or was written to within the last hour
    /// (within the last day, if it has unsubscribed or bounced). What it was subscribed to changes only by unsubscribing first.
    ///
    /// - Parameters:
    ///   - email: the address, as it was typed.
    ///   - topics: groups that the digest is limited to; empty for all.
    ///   - query: a query that a paper has to match.
    ///   - frequency: how often a digest is sent at most.
    ///   - client: what tells clients apart for the limit on requests, for example an IP address; nil for the operator.
    /// - Throws: ``MailError/address(_:reason:)``, ``DigestError/query(_:reason:)``, ``DigestError/tooManyRequests(wait:)``.
    public func subscribe(
        email: String, topics: [PaperGroup] = [], query: String? = nil, frequency: DigestFrequency = .weekly, client: String? = nil
    ) async throws {
        let request: SubscriptionRequest = SubscriptionRequest(
            address: try MailAddress(email), topics: topics, query: try checked(query), frequency: frequency)
        if let wait = limiter.admit(client, at: store.now()) { throw DigestError.tooManyRequests(wait: Int(wait.rounded(.up))) }
        let token: String = DigestTokens.confirmation()
        let time: Date = store.now()
        let (key, hours): (VoterKey, Double) = (key, settings.confirmationHours)
        let isNew: Bool = try await store.pool.write { database in
            try Self.forgetExpired(at: time, in: database)
            let wait: TimeInterval? = try Self.earliestConfirmation(of: request.address, key, in: database)?.timeIntervalSince(time)
            guard let wait, wait <= 0 else { return false }
            try request.write(token: token, key: key, at: time, expires: time.addingTimeInterval(hours * 3600), in: database)
            return true
        }
        guard isNew else { return }
        let message: MIMEMessage = try DigestMail.confirmation(request, token: token, settings: settings, at: time)
        send(confirmation: message, to: request.address)
    }

    /// Waits until the confirmations that were asked for have left. A program that ends has to call this before it does.
    ///
    /// - Throws: why the last of those that failed did.
    public func settle() async throws {
        while let task = confirmations.values.first { await task.value }
        defer { confirmationFailure = nil }
        if let confirmationFailure { throw confirmationFailure }
    }

    /// Makes a subscription active. The token is used up.
    ///
    /// - Throws: ``DigestError/confirmationToken``.
    @discardableResult
    public func confirm(token: String) async throws -> Subscriber {
        let time: Date = store.now()
        return try await store.pool.write { database in
            try Self.forgetExpired(at: time, in: database)
            let found: Row? = try Row.fetchOne(
                database, sql: "SELECT id, confirmHash FROM subscriber WHERE state = 'pending' AND confirmHash = ?",
                arguments: [DigestTokens.hash(token)])
            guard let found, DigestTokens.isHash(found["confirmHash"], of: token) else { throw DigestError.confirmationToken }
            let id: Int64 = found["id"]
            try database.execute(
                sql: """
                    UPDATE subscriber SET state = 'active', confirmHash = NULL, confirmExpires = NULL, suppressed = NULL, bounces = 0,
                        confirmedAt = ? WHERE id = ?
                    """, arguments: [time, id])
            return try Subscriber.fetchOne(database, sql: "SELECT * FROM subscriber WHERE id = ?", arguments: [id])!
        }
    }

    /// Whether a token is that of an unsubscribe link, so that a page can say so before it asks.
    public func isUnsubscribeToken(_ token: String) async throws -> Bool {
        try await store.pool.read { try Self.subscriber(unsubscribeToken: token, in: $0) != nil }
    }

    /// Ends a subscription; to do so twice is fine. The address is deleted, its keyed hash stays.
    ///
    /// - Throws: ``DigestError/unsubscribeToken``.
    public func unsubscribe(token: String) async throws {
        let key: VoterKey = key
        try await store.pool.write { database in
            guard let subscriber = try Self.subscriber(unsubscribeToken: token, in: database) else { throw DigestError.unsubscribeToken }
            try Self.end(subscriber, key, in: database)
        }
    }

    static func subscriber(unsubscribeToken token: String, in database: Database) throws -> Subscriber? {
        let row: Row? = try Row.fetchOne(
            database, sql: "SELECT * FROM subscriber WHERE unsubscribeHash = ?", arguments: [DigestTokens.hash(token)])
        guard let row, DigestTokens.isHash(row["unsubscribeHash"], of: token) else { return nil }
        return try Subscriber(row: row)
    }

    static func end(_ subscriber: Subscriber, _ key: VoterKey, in database: Database) throws {
        guard let email = subscriber.email else { return }
        try database.execute(
            sql: """
                UPDATE subscriber SET state = 'unsubscribed', email = NULL, topics = NULL, "query" = NULL, confirmHash = NULL,
                    confirmExpires = NULL, suppressed = ? WHERE id = ?
                """, arguments: [DigestTokens.suppression(try MailAddress(email), key), subscriber.id])
        try database.execute(
            sql: "UPDATE delivery SET state = 'failed', error = 'unsubscribed' WHERE subscriberID = ? AND state = 'queued'",
            arguments: [subscriber.id])
    }

    /// Deletes what unconfirmed requests left: the row, or the address of one who had unsubscribed before. A bounced one is bounced again.
    static func forgetExpired(at time: Date, in database: Database) throws {
        let expired: String = "state = 'pending' AND confirmExpires < ?"
        try database.execute(
            sql: """
                UPDATE subscriber SET state = 'unsubscribed', email = NULL, topics = NULL, "query" = NULL, confirmHash = NULL,
                    confirmExpires = NULL WHERE \(expired) AND suppressed IS NOT NULL
                """, arguments: [time])
        try database.execute(
            sql: """
                UPDATE subscriber SET state = 'bounced', confirmHash = NULL, confirmExpires = NULL WHERE \(expired) AND bounces >= ?
                """, arguments: [time, DigestService.bouncesUntilStop])
        try database.execute(sql: "DELETE FROM subscriber WHERE \(expired)", arguments: [time])
    }

    /// When the address may be sent a confirmation; nil while it is subscribed.
    private static func earliestConfirmation(of address: MailAddress, _ key: VoterKey, in database: Database) throws -> Date? {
        guard let row = try SubscriptionRequest.row(of: address, key, in: database) else { return .distantPast }
        let state: SubscriberState = row["state"]
        guard state != .active else { return nil }
        let isReturn: Bool = row["suppressed"] as Data? != nil || row["bounces"] as Int >= bouncesUntilStop
        let sent: Date? = row["confirmSentAt"]
        return sent?.addingTimeInterval(isReturn ? returnInterval : confirmationInterval) ?? .distantPast
    }

    private func checked(_ query: String?) throws -> String? {
        guard let query = try DigestQuery.checked(query) else { return nil }
        _ = try DigestQuery.matches(query, ranking, store)
        return query
    }

    /// Sends beside the caller, so that how long an answer takes does not tell whether there was anything to send.
    private func send(confirmation message: MIMEMessage, to address: MailAddress) {
        let identifier: UUID = UUID()
        confirmations[identifier] = Task {
            do {
                _ = try await transport.send(message)
            } catch {
                await failed(address, error)
            }
            confirmations[identifier] = nil
        }
    }

    /// A confirmation that did not leave may be asked for again at once; one that may have left, or was refused, only after the usual time.
    private func failed(_ address: MailAddress, _ error: any Error) async {
        confirmationFailure = error
        switch error {
        case MailError.uncertain, MailError.refused: return
        default: break
        }
        do {
            try await store.pool.write { database in
                try database.execute(
                    sql: "UPDATE subscriber SET confirmSentAt = NULL WHERE email = ? AND state = 'pending'", arguments: [address.value])
            }
        } catch {
            confirmationFailure = error
        }
    }
}
