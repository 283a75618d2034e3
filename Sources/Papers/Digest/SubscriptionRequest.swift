import Foundation
import GRDB

/// What somebody wants to be subscribed to.
struct SubscriptionRequest: Sendable {
    let address: MailAddress
    let topics: [PaperGroup]
    let query: String?
    let frequency: DigestFrequency

    /// The row of an address: its own, or the one that has the hash of an address that unsubscribed.
    static func row(of address: MailAddress, _ key: VoterKey, in database: Database) throws -> Row? {
        try Row.fetchOne(
            database, sql: "SELECT * FROM subscriber WHERE email = ? OR suppressed = ?",
            arguments: [address.value, DigestTokens.suppression(address, key)])
    }

    /// Writes the request as a pending subscription, over the address's row where there is one.
    func write(token: String, key: VoterKey, at time: Date, expires: Date, in database: Database) throws {
        let list: String? = topics.isEmpty ? nil : topics.map(\.rawValue).joined(separator: ",")
        let values: StatementArguments = [address.value, list, query, frequency, DigestTokens.hash(token), expires, time]
        if let id = try Self.row(of: address, key, in: database).map({ $0["id"] as Int64 }) {
            try database.execute(
                sql: """
                    UPDATE subscriber SET state = 'pending', email = ?, topics = ?, "query" = ?, frequency = ?, confirmHash = ?,
                        confirmExpires = ?, confirmSentAt = ? WHERE id = ?
                    """, arguments: values + [id])
            return
        }
        let nonce: Data = DigestTokens.nonce()
        try database.execute(
            sql: """
                INSERT INTO subscriber (email, topics, "query", frequency, confirmHash, confirmExpires, confirmSentAt, state, createdAt,
                    unsubscribeNonce, unsubscribeHash) VALUES (?, ?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?)
                """, arguments: values + [time, nonce, DigestTokens.hash(DigestTokens.unsubscribe(nonce, key))])
    }
}
