import Foundation

/// Which way mail leaves.
public enum MailTransports {
    /// Into the folder `outbox` where one is given; else by the mail server that `$LINNET_SMTP_FILE` or `$LINNET_SMTP_HOST` names, see
    /// ``SMTPConfiguration/environment(_:)``; else into the folder "outbox" beside the catalogue.
    ///
    /// - Throws: ``MailError/setup(_:)``.
    public static func standard(
        catalogue path: String, outbox: String? = nil, environment: [String: String] = ProcessInfo.processInfo.environment
    ) throws -> any MailTransport {
        if let outbox { return FolderTransport(outbox) }
        if let server = try SMTPConfiguration.environment(environment) { return try SMTPTransport(server) }
        let folder: String = (path as NSString).deletingLastPathComponent
        return FolderTransport((folder.isEmpty ? "." : folder) + "/outbox")
    }
}
