import ArgumentParser
import Foundation
import Papers

extension DigestFrequency: ExpressibleByArgument {}

/// Where the links of feeds and mails lead.
struct SiteOptions: ParsableArguments {
    @Option(help: "Address of the web application, for links; $LINNET_SITE, or http://127.0.0.1:8090 by default.")
    var site: String?
    @Option(help: "Host name that identifiers are made with, which has to stay the same; the site's by default.")
    var authority: String?

    func address() throws -> PaperSite {
        try PaperSite(site ?? Self.variable("LINNET_SITE") ?? PaperSite.local.address, authority: authority)
    }

    static func variable(_ name: String) -> String? { ProcessInfo.processInfo.environment[name].flatMap { $0.isEmpty ? nil : $0 } }
}

/// How mail leaves.
struct MailOptions: ParsableArguments {
    @OptionGroup var options: PapersOptions
    @OptionGroup var site: SiteOptions
    @Option(help: "The sender's address; $LINNET_SMTP_FROM, or linnet@ and the authority by default.")
    var from: String?
    @Option(help: "Write mails as .eml files into this folder. So it is without a mail server, into outbox/ beside the catalogue.")
    var outbox: String?

    /// What `--help` says of the mail server.
    static let help: String = """
        The mail server is $LINNET_SMTP_HOST, with _PORT (587), _USER, _PASSWORD, _SECURITY (starttls, tls, plain to this machine) and
        _AUTHORITIES (a PEM file); or $LINNET_SMTP_FILE, a file of mode 0600 with host, port, user, password, … as YAML.
        """

    func service() throws -> DigestService {
        let store: PaperStore = try options.store()
        let sender: MailAddress? = try (from ?? SiteOptions.variable("LINNET_SMTP_FROM")).map { try MailAddress($0) }
        return try DigestService(
            store: store, transport: MailTransports.standard(catalogue: store.path, outbox: outbox),
            settings: DigestSettings(site: site.address(), sender: sender))
    }
}
