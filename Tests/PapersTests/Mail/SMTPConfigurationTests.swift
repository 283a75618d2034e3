import Foundation
import Testing

@testable import Papers

@Suite struct SMTPConfigurationTests {
    @Test func thePortAndTheHostDecideOnTheEncryption() throws {
        #expect(try SMTPConfiguration(host: "mail.example.org").security == .startTLS)
        #expect(try SMTPConfiguration(host: "mail.example.org", port: 465).security == .implicitTLS)
        #expect(try SMTPConfiguration(host: "localhost", port: 25).security == .plain)
        #expect(try SMTPConfiguration(host: "127.0.0.1", port: 465).security == .implicitTLS)
        #expect(try SMTPConfiguration(host: "localhost", security: .startTLS).security == .startTLS)
        #expect(throws: MailError.self) { try SMTPConfiguration(host: "mail.example.org", security: .plain) }
        #expect(throws: MailError.self) { try SMTPConfiguration(host: "mail.example.org", port: 0) }
        #expect(throws: MailError.self) { try SMTPConfiguration(host: "mail\r\nx") }
    }

    @Test func theEnvironmentNamesAServer() throws {
        #expect(try SMTPConfiguration.environment(["LINNET_SMTP_HOST": ""]) == nil)
        let found: SMTPConfiguration = try #require(
            try SMTPConfiguration.environment([
                "LINNET_SMTP_HOST": "mail.example.org", "LINNET_SMTP_PORT": "2525", "LINNET_SMTP_USER": "u", "LINNET_SMTP_PASSWORD": "hush",
                "LINNET_SMTP_SECURITY": "TLS",
            ]))
        #expect(
            found.host == "mail.example.org" && found.port == 2525 && found.security == .implicitTLS
                && found.credentials?.password == "hush")
        var text: String = "\(found) \(String(reflecting: found))"
        dump(found, to: &text)
        #expect(!text.contains("hush"))
        for bad in [["PORT": "x"], ["USER": "u"], ["PASSWORD": "p"], ["SECURITY": "none"], ["SECURITY": "plain"], ["PORT": "70000"]] {
            let variables: [String: String] = Dictionary(uniqueKeysWithValues: bad.map { ("LINNET_SMTP_" + $0.key, $0.value) })
                .merging(["LINNET_SMTP_HOST": "mail.example.org"]) { first, _ in first }
            #expect(throws: MailError.self) { try SMTPConfiguration.environment(variables) }
        }
    }

    @Test func aFileIsReadOnlyIfNobodyElseCan() throws {
        let path: String = FileManager.default.temporaryDirectory.path + "/smtp-\(UUID().uuidString).yaml"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data("host: mail.example.org\nuser: u\npassword: hush\n".utf8).write(to: URL(fileURLWithPath: path))
        let variables: [String: String] = ["LINNET_SMTP_FILE": path]
        chmod(path, 0o640)
        #expect(throws: MailError.setup("\(path) holds a password and others can read it; run chmod 600 on it")) {
            try SMTPConfiguration.environment(variables)
        }
        chmod(path, 0o600)
        #expect(try SMTPConfiguration.environment(variables)?.credentials?.password == "hush")
        try Data("user: u\npassword: [hush".utf8).write(to: URL(fileURLWithPath: path))
        chmod(path, 0o600)
        let error: MailError? = #expect(throws: MailError.self) { try SMTPConfiguration.environment(variables) }
        #expect(!"\(error!)".contains("hush"))
        #expect(throws: MailError.self) { try SMTPConfiguration.environment(["LINNET_SMTP_FILE": path + ".missing"]) }
    }

    @Test func withoutAServerMailGoesIntoAFolder() throws {
        let folder: any MailTransport = try MailTransports.standard(catalogue: "/data/papers.db", environment: [:])
        #expect((folder as? FolderTransport)?.folder == "/data/outbox")
        let named: any MailTransport = try MailTransports.standard(
            catalogue: "papers.db", outbox: "mails", environment: ["LINNET_SMTP_HOST": "localhost"])
        #expect((named as? FolderTransport)?.folder == "mails")
        #expect(try MailTransports.standard(catalogue: "papers.db", environment: ["LINNET_SMTP_HOST": "localhost"]) is SMTPTransport)
    }
}
