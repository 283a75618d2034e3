import Foundation
import Torch
import GRDB

/// Sending, exactly once for each subscriber and issue date.
///
/// The delivery's row goes into the catalogue before anything is sent, and its key (subscriber, issue date) is unique. It is marked
/// "sending" before the transport has the message and "sent" after the transport's answer. So a crash before the mark loses nothing: the
/// row is found queued, and sent. A crash after the mark, be it before the server's acknowledgement, between it and the catalogue, or in a
/// server that answers nothing, leaves a row of which nobody can know whether it was delivered; it becomes "uncertain" and is never sent
/// again. A crash may thus lose one mail, the one that was on its way, and never sends one twice; what it would have said is in the next issue.
extension DigestService {
    /// Refused messages in a row until an address is not written to any more.
    static let bouncesUntilStop: Int = 3
    /// Minutes until the next attempt, after a server's temporary refusal.
    private static let backOff: [Double] = [1, 5, 30]

    /// The digests that would be sent now.
    public func due() async throws -> [DigestIssue] {
        let selection: DigestSelection = try DigestSelection(store, ranking, at: store.now(), limit: settings.papers)
        return try await active().compactMap { subscriber in
            guard let issue = try selection.issue(for: subscriber), try isDue(issue, at: selection.time) else { return nil }
            return issue
        }
    }

    /// Sends what is due: once for each subscriber, then what a server has put off and whose time has come.
    ///
    /// - Throws: ``MailError/setup(_:)`` when the server cannot be used, which is nobody's bounce; ``DigestError/sendingElsewhere(path:)``.
    @discardableResult
    public func send() async throws -> DigestReport {
        guard let lock = try FileLock(store.path + ".sending", waits: false) else { throw DigestError.sendingElsewhere(path: store.path) }
        defer { lock.release() }
        var report: DigestReport = DigestReport()
        // The lock is ours, so whatever is marked as being sent was left by a process that ended in the middle.
        report.interrupted = try await store.pool.write { database in
            try Self.forgetExpired(at: self.store.now(), in: database)
            try database.execute(
                sql: """
                    UPDATE delivery SET state = 'uncertain', nextAttempt = NULL, error = 'the sending was interrupted' WHERE state = 'sending'
                    """)
            return database.changesCount
        }
        let selection: DigestSelection = try DigestSelection(store, ranking, at: store.now(), limit: settings.papers)
        for subscriber in try await active() {
            try Task.checkCancellation()
            guard let issue = try selection.issue(for: subscriber) else {
                report.nothingNew += 1
                continue
            }
            guard let delivery = try await queue(issue) else {
                report.notDue += 1
                continue
            }
            try afterStep(.queued)
            if !report.outcomes.isEmpty { try await pause(.seconds(60 / Double(max(1, settings.messagesPerMinute)))) }
            guard let outcome = try await deliver(issue, delivery) else { continue }
            report.outcomes.append(outcome)
        }
        return report
    }

    private func active() async throws -> [Subscriber] {
        try await store.pool.read { try Subscriber.fetchAll($0, sql: "SELECT * FROM subscriber WHERE state = 'active' ORDER BY id") }
    }

    private func isDue(_ issue: DigestIssue, at time: Date) throws -> Bool {
        try store.pool.read { try Self.openDelivery(issue, at: time, in: $0) != .closed }
    }

    private enum OpenDelivery: Equatable {
        case none
        case queued(Int64)
        case closed
    }

    /// The row of an issue as far as it matters: not there, to be sent now, or done with (until later, or for good).
    private static func openDelivery(_ issue: DigestIssue, at time: Date, in database: Database) throws -> OpenDelivery {
        let row: Row? = try Row.fetchOne(
            database, sql: "SELECT id, state, nextAttempt FROM delivery WHERE subscriberID = ? AND issueDate = ?",
            arguments: [issue.subscriber.id, issue.date])
        guard let row else { return .none }
        let next: Date? = row["nextAttempt"]
        return row["state"] == DeliveryState.queued.rawValue && next ?? .distantPast <= time ? .queued(row["id"]) : .closed
    }

    /// The id of the issue's delivery, new or waiting; nil when it is not due. Deliveries of earlier issues that still wait are given up.
    private func queue(_ issue: DigestIssue) async throws -> Int64? {
        let (time, messageID): (Date, String) = (store.now(), DigestMail.messageID(issue, settings))
        return try await store.pool.write { database in
            try database.execute(
                sql: """
                    UPDATE delivery SET state = 'failed', error = 'a newer issue is due', nextAttempt = NULL
                    WHERE subscriberID = ? AND issueDate != ? AND state = 'queued'
                    """, arguments: [issue.subscriber.id, issue.date])
            switch try Self.openDelivery(issue, at: time, in: database) {
            case .closed: return nil
            case .queued(let id): return id
            case .none:
                try database.execute(
                    sql: """
                        INSERT INTO delivery (subscriberID, issueDate, messageID, state, throughPaper, throughEvent)
                        VALUES (?, ?, ?, 'queued', ?, ?)
                        """, arguments: [issue.subscriber.id, issue.date, messageID, issue.throughPaper, issue.throughEvent])
                return database.lastInsertedRowID
            }
        }
    }

    /// Marks the delivery, hands its message over and records the answer; nil where the subscriber has left meanwhile.
    private func deliver(_ issue: DigestIssue, _ delivery: Int64) async throws -> DigestReport.Outcome? {
        guard let (message, attempt) = try await claim(issue, delivery) else { return nil }
        try afterStep(.claimed)
        let answer: MailReceipt
        do {
            answer = try await transport.send(message)
        } catch let error as MailError {
            return try await record(error, of: issue, delivery, attempt: attempt)
        }
        try afterStep(.accepted)
        let time: Date = store.now()
        try await store.pool.write { database in
            try database.execute(
                sql: "UPDATE delivery SET state = 'sent', sentAt = ?, error = NULL WHERE id = ?", arguments: [time, delivery])
            try database.execute(
                sql: "UPDATE subscriber SET lastSentAt = ?, bounces = 0, seenPaper = ?, seenEvent = ? WHERE id = ?",
                arguments: [time, issue.throughPaper, issue.throughEvent, issue.subscriber.id])
        }
        try afterStep(.recorded)
        return outcome(issue, .sent, answer.answer)
    }

    /// Marks a delivery as being sent and writes its message.
    private func claim(_ issue: DigestIssue, _ delivery: Int64) async throws -> (message: MIMEMessage, attempt: Int)? {
        let (key, settings, time): (VoterKey, DigestSettings, Date) = (key, settings, store.now())
        return try await store.pool.write { database in
            let row: Row? = try Row.fetchOne(
                database,
                sql: """
                    SELECT email, unsubscribeNonce, unsubscribeHash, attempts FROM subscriber JOIN delivery ON subscriberID = subscriber.id
                    WHERE delivery.id = ? AND subscriber.state = 'active' AND delivery.state = 'queued'
                    """, arguments: [delivery])
            guard let row else { return nil }
            let token: String = DigestTokens.unsubscribe(row["unsubscribeNonce"], key)
            guard DigestTokens.isHash(row["unsubscribeHash"], of: token) else { throw DigestError.otherKey }
            let message: MIMEMessage = try DigestMail.digest(
                issue, to: MailAddress(row["email"]), token: token, settings: settings, at: time)
            try database.execute(
                sql: "UPDATE delivery SET state = 'sending', attempts = attempts + 1, throughPaper = ?, throughEvent = ? WHERE id = ?",
                arguments: [issue.throughPaper, issue.throughEvent, delivery])
            return (message, (row["attempts"] as Int) + 1)
        }
    }

    private func record(_ error: MailError, of issue: DigestIssue, _ delivery: Int64, attempt: Int) async throws -> DigestReport.Outcome {
        var next: Date?
        let state: DeliveryState
        switch error {
        case .temporary where attempt <= Self.backOff.count:
            state = .queued
            next = store.now().addingTimeInterval(Self.backOff[attempt - 1] * 60)
        case .temporary: state = .failed
        case .refused: state = .bounced
        case .uncertain: state = .uncertain
        case .setup, .address, .header:
            // Nothing was sent, and it is not the subscriber's doing: as if the attempt had not been.
            try await store.pool.write {
                try $0.execute(sql: "UPDATE delivery SET state = 'queued', attempts = attempts - 1 WHERE id = ?", arguments: [delivery])
            }
            throw error
        }
        let (text, nextAttempt): (String, Date?) = ("\(error)", next)
        try await store.pool.write { database in
            try database.execute(
                sql: "UPDATE delivery SET state = ?, error = ?, nextAttempt = ? WHERE id = ?",
                arguments: [state.rawValue, text, nextAttempt, delivery])
            guard state == .bounced else { return }
            try database.execute(
                sql: """
                    UPDATE subscriber SET bounces = bounces + 1, state = CASE WHEN bounces + 1 >= ? THEN 'bounced' ELSE state END WHERE id = ?
                    """, arguments: [Self.bouncesUntilStop, issue.subscriber.id])
        }
        return outcome(issue, state, text, next: next)
    }

    private func outcome(_ issue: DigestIssue, _ state: DeliveryState, _ detail: String, next: Date? = nil) -> DigestReport.Outcome {
        DigestReport.Outcome(
            subscriber: issue.subscriber.id, email: issue.subscriber.email ?? "", issueDate: issue.date, state: state, detail: detail,
            nextAttempt: next)
    }
}
