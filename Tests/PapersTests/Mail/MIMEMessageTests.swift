import Foundation
import TestSupport
import Testing

@testable import Papers

@Suite struct MIMEMessageTests {
    static func message(
        subject: String = "Ten papers", text: String = "Hello", html: String = "<p>Hello</p>", headers: [MIMEHeader] = [],
        to: String = "ada@example.org", fromName: String = "Linnet papers"
    ) throws -> MIMEMessage {
        try MIMEMessage(
            from: MailAddress("linnet@example.org"), fromName: fromName, to: MailAddress(to), subject: subject,
            date: Date(timeIntervalSince1970: 1_795_624_205), messageID: "digest.1.2026-11-25@example.org", headers: headers, text: text,
            html: html)
    }

    private static let hardText: String = """
        .a dot first
        From a mailbox's point of view
        trailing blank \u{20}
        tab at the end\t
        = and =3D and a line of \(String(repeating: "long words ", count: 20))
        Ünïcödé, 線形層, 🧮\(String(repeating: "é", count: 90))

        --=_boundary?
        .
        last
        """

    @Test(arguments: ["a@b", "Ada.Lovelace+papers@Example.ORG", " o'neil@example.org ", "x@xn--bcher-kva.example"]) func goodAddresses(
        _ text: String
    )
        throws
    {
        #expect(try MailAddress(text).value == text.trimmingCharacters(in: .whitespaces).lowercased())
    }

    @Test func otherScriptsInAHostBecomePunycode() throws {
        #expect(try MailAddress("ada@Bücher.example").value == "ada@xn--bcher-kva.example")
    }

    @Test(arguments: [
        "", "a", "@b", "a@", "a@b@c", "a b@c", "a@b\r\nBcc: c@d", "a@b\nc", "a\u{0}@b", "a@b\u{7f}", ".a@b", "a.@b", "a..b@c", "a@-b",
        "a@b-", "a@b..c",
        "a@b c", "<a@b>", "a@[127.0.0.1]", "a@b>,<c", "ä@example.org", "a,b@c", "\"a b\"@c", "a@b/c", "a@b:25", "a@b?x", "a@b#x",
        "a\u{85}@b",
        String(repeating: "a", count: 65) + "@b", "a@" + String(repeating: "b", count: 64),
        "a@" + String(repeating: "b.", count: 130) + "c",
    ]) func badAddresses(_ text: String) {
        #expect {
            try MailAddress(text)
        } throws: { error in
            guard case MailError.address = error else { return false }
            return isOneLine(error)
        }
    }

    @Test(arguments: ["a\r\nBcc: b@c", "a\nb", "a\rb", "a\u{0}b", "a\u{2028}b", "a\u{85}b"]) func headersCannotBeInjected(_ hostile: String)
    {
        #expect(throws: MailError.header("Subject")) { try Self.message(subject: hostile) }
        #expect(throws: MailError.header("From")) { try Self.message(fromName: hostile) }
        #expect(throws: MailError.header("X-A")) { try Self.message(headers: [MIMEHeader("X-A", hostile)]) }
        #expect(throws: MailError.header(hostile)) { try Self.message(headers: [MIMEHeader(hostile, "a")]) }
    }

    @Test func linesAreShortASCIIAndEndInCRLF() throws {
        let message: MIMEMessage = try Self.message(
            subject: String(repeating: "Zwölf Übungen zur linearen Schicht ", count: 6), text: Self.hardText, html: Self.hardText,
            headers: [MIMEHeader("X-Long", String(repeating: "some words ", count: 30))])
        let bytes: [UInt8] = Array(message.encoded.utf8)
        #expect(bytes.allSatisfy { $0 == 9 || $0 == 10 || $0 == 13 || (32..<127).contains($0) })
        let lines: [[UInt8]] = bytes.split(separator: 10, omittingEmptySubsequences: false).map(Array.init)
        #expect(lines.dropLast().allSatisfy { $0.last == 13 && $0.count <= 77 && !$0.dropLast().contains(13) })
        #expect(lines.last == [])
    }

    @Test func quotedPrintableKeepsToItsWidth() {
        #expect(QuotedPrintable.encoded("a=b \t") == "a=3Db =09")
        #expect(QuotedPrintable.encoded("a \r\nb\rc\n") == "a=20\r\nb\r\nc\r\n")
        #expect(QuotedPrintable.encoded("é\u{1}") == "=C3=A9=01")
        let full: String = String(repeating: "x", count: 76)
        #expect(QuotedPrintable.encoded(full) == full)
        #expect(QuotedPrintable.encoded(full + "x") == String(repeating: "x", count: 75) + "=\r\nxx")
        #expect(QuotedPrintable.encoded(String(repeating: "x", count: 75) + "é") == String(repeating: "x", count: 75) + "=\r\n=C3=A9")
    }

    @Test func datesAreRFC5322() throws {
        #expect(MailDate.text(try Date("2026-11-25T16:30:05Z", strategy: .iso8601)) == "Wed, 25 Nov 2026 16:30:05 +0000")
        #expect(MailDate.text(try Date("2028-02-29T00:00:00Z", strategy: .iso8601)) == "Tue, 29 Feb 2028 00:00:00 +0000")
    }

    @Test func aLineThatBeginsWithADotGetsAnother() {
        #expect(SMTPSession.stuffed(".a\r\n..\r\nb.\r\n.\r\n") == Array("..a\r\n...\r\nb.\r\n..\r\n".utf8))
    }

    @Test(.enabled(if: PythonPeer.has("email"), "needs Python")) func pythonReadsWhatWasWritten() throws {
        let subject: String = "Über lineare Schichten: \"Zitat\", 線形層の学習 and 🧮 =?utf-8?Q?no?=" + String(repeating: " mehr", count: 20)
        let message: MIMEMessage = try Self.message(
            subject: subject, text: Self.hardText, html: "<p>" + Self.hardText + "</p>\n",
            headers: [MIMEHeader("List-Unsubscribe", "<https://example.org/u?t=a>, <mailto:a@b>")], fromName: "Lin\"net, \\papers")
        let output: String = try PythonPeer.run(
            """
            import email, email.policy, json, sys
            raw = sys.argv[1].encode("ascii")
            m = email.message_from_bytes(raw, policy=email.policy.SMTP)
            parts = list(m.iter_parts())
            print(json.dumps([
                m["Subject"], m["From"].addresses[0].display_name, m["To"], m["List-Unsubscribe"], str(m["Date"].datetime),
                m.get_content_type(), parts[0].get_content_type(), parts[1].get_content_type(),
                *(p.get_content().replace("\\r\\n", "\\n") for p in parts), str(sum(len(p.defects) for p in m.walk())), m["Message-ID"],
            ]))
            """, message.encoded)
        let fields: [String] = try JSONDecoder().decode([String].self, from: Data(output.utf8))
        #expect(fields[0] == subject && fields[1] == "Lin\"net, \\papers" && fields[2] == "ada@example.org")
        #expect(fields[3] == "<https://example.org/u?t=a>, <mailto:a@b>" && fields[4] == "2026-11-25 16:30:05+00:00")
        #expect(fields[5...7] == ["multipart/alternative", "text/plain", "text/html"])
        #expect(fields[8] == Self.hardText && fields[9] == "<p>" + Self.hardText + "</p>\n")
        #expect(fields[10] == "0" && fields[11] == "<digest.1.2026-11-25@example.org>")
    }

    @Test func theFolderKeepsOneFileForAMessage() async throws {
        let folder: URL = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-mail-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let message: MIMEMessage = try Self.message()
        for _ in 0..<2 { _ = try await FolderTransport(folder.path + "/deep").send(message) }
        let names: [String] = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/deep")
        #expect(names == ["digest.1.2026-11-25@example.org.eml"])
        #expect(try String(contentsOfFile: folder.path + "/deep/" + names[0], encoding: .utf8) == message.encoded)
        let hostile: MIMEMessage = try MIMEMessage(
            from: message.from, fromName: "a", to: message.to, subject: "a", date: message.date, messageID: "../../x@y", text: "", html: "")
        #expect(try await FolderTransport(folder.path).send(hostile).answer == folder.path + "/_.._x@y.eml")
        await #expect(throws: MailError.self) { try await FolderTransport("/dev/null/x").send(message) }
    }

    @Test func digestsCarryTheListHeaders() async throws {
        let bench: DigestBench = try DigestBench()
        try bench.add("hostile", title: "A <b>title</b>\r\nBcc: x@y & \u{1}more", abstract: "<script>alert(1)</script> \"quoted\"")
        let service: DigestService = try bench.service(ranking: FixedRanking(bySlug: ["hostile": 1]))
        try await bench.subscribe("ada@example.org", service)
        try await service.send()
        let mail: MIMEMessage = try #require(bench.digests(to: "ada@example.org").first)
        let token: String = DigestBench.unsubscribeToken(mail)
        let headers: [String: String] = Dictionary(uniqueKeysWithValues: mail.headers.map { ($0.name, $0.value) })
        #expect(
            headers["List-Unsubscribe"]
                == "<http://127.0.0.1:8090/unsubscribe?t=\(token)>, <mailto:linnet@linnet.localhost?subject=unsubscribe>")
        #expect(headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click" && headers["List-Id"] == "<papers.linnet.localhost>")
        #expect(mail.subject == "3 papers: A <b>title</b> Bcc: x@y & more")
        #expect(!mail.html.contains("<script>") && !mail.html.contains("<b>") && mail.html.contains("&lt;script&gt;"))
        #expect(mail.encoded.split(separator: "\r\n").allSatisfy { $0.utf8.count <= 76 && !$0.hasPrefix("Bcc") })
    }
}
