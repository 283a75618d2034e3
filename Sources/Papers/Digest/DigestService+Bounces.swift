import Foundation
import GRDB

/// What mails that came back say.
public struct BounceReport: Codable, Sendable, Equatable {
    public enum Kind: String, Codable, Sendable, CaseIterable {
        /// A digest was not delivered.
        case bounced
        /// The same, so often in a row that the address is not written to any more.
        case stopped
        /// The server goes on trying.
        case temporary
        /// The notice was taken before.
        case known
        /// It is about no digest of this catalogue, or about another address than the digest went to.
        case foreign
        /// It is no notice of RFC 3464.
        case other
    }

    /// One mail's.
    public struct Outcome: Codable, Sendable, Equatable {
        /// The mail's name, such as its file's.
        public let name: String
        public let kind: Kind
        /// The subscriber's address, where the notice is about one.
        public var email: String?
        /// What the server said.
        public var detail: String = ""
    }

    public var outcomes: [Outcome] = []
}

/// Bounces that come later, as mails: a server that took a digest could not pass it on.
extension DigestService {
    /// Takes note of mails that came back; each notice counts once, however often it is read.
    ///
    /// A notice has to name a digest of ours and the address that it went to. Three digests in a row that were not delivered end a
    /// subscription, as three that are refused at once do.
    /// - Parameter mails: the mails, with a name for the report.
    public func takeNotice(of mails: [(name: String, mail: Data)]) async throws -> BounceReport {
        var report: BounceReport = BounceReport()
        for (name, mail) in mails {
            guard let notice = DeliveryNotice(mail) else {
                report.outcomes.append(BounceReport.Outcome(name: name, kind: .other))
                continue
            }
            report.outcomes.append(try await store.pool.write { try Self.outcome(of: notice, named: name, in: $0) })
        }
        return report
    }

    private static func outcome(of notice: DeliveryNotice, named name: String, in database: Database) throws -> BounceReport.Outcome {
        let row: Row? = try Row.fetchOne(
            database,
            sql: """
                SELECT delivery.id AS delivery, delivery.state AS state, issueDate, subscriberID, email
                FROM delivery JOIN subscriber ON subscriberID = subscriber.id WHERE messageID = ?
                """, arguments: [notice.messageID])
        guard let row, let email = row["email"] as String?,
            let recipient = notice.recipients.first(where: { $0.addresses.contains { $0.lowercased() == email.lowercased() } })
        else { return BounceReport.Outcome(name: name, kind: .foreign) }
        var outcome: BounceReport.Outcome = BounceReport.Outcome(
            name: name, kind: .temporary, email: email, detail: recipient.diagnostic.isEmpty ? recipient.status : recipient.diagnostic)
        guard recipient.isFailure else { return outcome }
        guard row["state"] != DeliveryState.bounced.rawValue else { return BounceReport.Outcome(name: name, kind: .known, email: email) }
        try database.execute(
            sql: "UPDATE delivery SET state = 'bounced', nextAttempt = NULL, error = ? WHERE id = ?",
            arguments: [outcome.detail, row["delivery"] as Int64])
        let count: Int = try bounces(of: row["subscriberID"], through: row["issueDate"], in: database)
        try database.execute(
            sql: """
                UPDATE subscriber SET bounces = MAX(bounces, ?), state = CASE WHEN ? >= ? AND state = 'active' THEN 'bounced' ELSE state END
                WHERE id = ?
                """, arguments: [count, count, bouncesUntilStop, row["subscriberID"] as Int64])
        outcome = BounceReport.Outcome(
            name: name, kind: count >= bouncesUntilStop ? .stopped : .bounced, email: email, detail: outcome.detail)
        return outcome
    }

    /// How many issues up to one bounced in a row, since the subscription was confirmed. A later issue that a server has taken does not end the
    /// row: its notice may be on the way.
    private static func bounces(of subscriber: Int64, through date: String, in database: Database) throws -> Int {
        try Int.fetchOne(
            database,
            sql: """
                SELECT COUNT(*) FROM delivery JOIN subscriber ON subscriber.id = subscriberID
                WHERE subscriberID = :id AND delivery.state = 'bounced' AND issueDate <= :date
                    AND issueDate >= substr(COALESCE(confirmedAt, ''), 1, 10)
                    AND issueDate > COALESCE(
                        (SELECT MAX(issueDate) FROM delivery WHERE subscriberID = :id AND state = 'sent' AND issueDate < :date), '')
                """, arguments: ["id": subscriber, "date": date]) ?? 0
    }
}
