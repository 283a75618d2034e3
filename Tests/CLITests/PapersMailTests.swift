import Foundation
import TestSupport
import Testing

/// `linnet papers feed`, `digest` and `subscribers` as a user runs them, with the mails in a folder.
@Suite(.timeLimit(.minutes(2))) struct PapersMailTests {
    @Test func fromASubscriptionToADigest() throws {
        try TestPaths.withTemporaryFolder { folder in
            func run(_ arguments: String...) throws -> LinnetResult {
                try LinnetProcess(["papers"] + arguments + ["--db", "papers.db"], in: folder).finish()
            }
            // The cards are listed on a day that passes; what is imported is new today.
            try Data("A linear layer\n\nAll about it.\n".utf8).write(to: folder.appendingPathComponent("new.txt"))
            #expect(try run("import", "new.txt").status == 0)
            let added: LinnetResult = try run(
                "subscribers", "add", "Ada@example.org", "--topics", "imported", "sequence", "--frequency", "daily", "--outbox", "mails")
            #expect(added.status == 0 && added.errors.isEmpty, "\(added.errors)")
            let token: String = try #require(mails(folder).first).components(separatedBy: "subscribers confirm ")[1]
                .components(separatedBy: "\r\n")[0]
            #expect(try run("digest", "--send").output.hasPrefix("nothing new: 0, not due: 0"))
            #expect(try run("subscribers", "confirm", token).output == "ada@example.org gets the daily digest\n")
            #expect(try run("subscribers", "confirm", token).complaint?.hasPrefix("this confirmation is not valid") == true)
            #expect(try run("digest", "--preview").output.contains("due now: 1 subscriber; --send sends"))
            let sent: LinnetResult = try run("digest", "--outbox", "mails", "--json")
            #expect(sent.status == 0 && sent.output.contains("\"state\" : \"sent\""), "\(sent.output)\(sent.errors)")
            #expect(try run("digest", "--send").output == "nothing new: 1, not due: 0\n")
            #expect(try mails(folder).contains { $0.contains("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n") })
            let listed: String = try run("subscribers", "--json").output
            #expect(listed.contains("\"state\" : \"active\"") && listed.contains("\"sequence\""))
            #expect(try run("subscribers", "remove", "ada@example.org").status == 0)
            #expect(try run("subscribers").output.hasPrefix("(unsubscribed)\tunsubscribed\tdaily\teverything\tlast sent "))
            #expect(try run("subscribers", "add", "ada@example.org").complaint?.hasPrefix("this address has unsubscribed") == true)
        }
    }

    @Test func mailsThatCameBack() throws {
        try TestPaths.withTemporaryFolder { folder in
            func bounces(_ arguments: String...) throws -> LinnetResult {
                try LinnetProcess(["papers", "digest", "bounces"] + arguments + ["--db", "papers.db"], in: folder).finish()
            }
            let box: URL = folder.appendingPathComponent("box/cur")
            try FileManager.default.createDirectory(at: box, withIntermediateDirectories: true)
            try Data("Subject: hello\r\n\r\nyou\r\n".utf8).write(to: box.appendingPathComponent("1.eml"))
            let notice: String = """
                Content-Type: multipart/report; boundary=b

                --b
                Content-Type: message/delivery-status

                Final-Recipient: rfc822; ada@example.org
                Action: failed
                Status: 5.1.1

                --b
                Content-Type: message/rfc822

                Message-ID: <digest.1.2026-01-01@example.org>

                --b--
                """
            try Data(notice.utf8).write(to: box.appendingPathComponent("2.eml"))
            let both: LinnetResult = try bounces("box/cur")
            #expect(both.status == 0 && both.output == "foreign: 1, other: 1\n", "\(both.output)\(both.errors)")
            #expect(try bounces("box").output == "no mail\n")
            #expect(try bounces("box/cur/1.eml", "--json").output.contains("\"kind\" : \"other\""))
            let missing: LinnetResult = try bounces("box/3.eml")
            #expect(missing.status == 2 && missing.complaint?.contains("box/3.eml") == true, "\(missing.errors)")
        }
    }

    /// The folder's messages, their lines joined again.
    private func mails(_ folder: URL) throws -> [String] {
        let box: String = folder.path + "/mails"
        return try FileManager.default.contentsOfDirectory(atPath: box).map {
            try String(contentsOfFile: box + "/" + $0, encoding: .utf8).replacing("=\r\n", with: "")
        }
    }

    @Test func theFeedIsWrittenOrPrinted() throws {
        try TestPaths.withTemporaryFolder { folder in
            let flags: [String] = ["papers", "feed", "--db", "papers.db", "--limit", "3", "--site", "https://papers.example.org"]
            let printed: LinnetResult = try LinnetProcess(flags, in: folder).finish()
            #expect(printed.status == 0 && printed.output.components(separatedBy: "<entry>").count == 4, "\(printed.errors)")
            #expect(try LinnetProcess(flags + ["--out", "feed.xml"], in: folder).finish().output.isEmpty)
            #expect(try String(contentsOf: folder.appendingPathComponent("feed.xml"), encoding: .utf8) == printed.output)
        }
    }

    @Test(arguments: [
        (["digest"], "give one of --send, --preview and --outbox DIR"), (["digest", "--send", "--preview"], "give one of"),
        (["feed", "--limit", "0"], "--limit has to be at least 1"), (["feed", "--site", "ftp://x"], "'ftp://x' is no address of a site"),
        (["feed", "--out", "no/such/folder/feed.xml"], "cannot write"),
        (["subscribers", "add", "nobody"], "'nobody' is no e-mail address"),
        (["subscribers", "add", "a@b\r\nBcc: c@d"], "is no e-mail address: it has a control character"),
        (["subscribers", "remove", "a@b"], "nobody is subscribed as 'a@b'"),
        (["subscribers", "add", "a@b", "--topics", "all"], "The value 'all'"),
        (["digest", "--send", "--from", "x"], "'x' is no e-mail address"),
    ]) func mistakesAreOneLine(_ arguments: [String], _ message: String) throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try LinnetProcess(["papers"] + arguments + ["--db", "papers.db"], in: folder).finish()
            #expect(result.status == 2 && result.complaint?.contains(message) == true, "\(result.errors)")
        }
    }

    @Test(arguments: [["feed"], ["digest"], ["subscribers"], ["subscribers", "add"]]) func helpIsThere(_ command: [String]) throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try LinnetProcess(["papers"] + command + ["--help"], in: folder).finish()
            #expect(result.status == 0 && (command.count == 2 || result.output.contains("Examples:")))
        }
    }
}
