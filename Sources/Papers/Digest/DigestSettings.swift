/// How digests and confirmations are sent.
public struct DigestSettings: Sendable {
    /// Where the links of a mail lead.
    public var site: PaperSite
    public var sender: MailAddress
    /// Shown before the sender's address.
    public var senderName: String = "Linnet papers"
    /// The most papers in a digest.
    public var papers: Int = 10
    /// How long a confirmation is valid, in hours.
    public var confirmationHours: Double = 48
    /// Subscriptions that one client may ask for in an hour.
    public var requestsPerClient: Int = 5
    /// Subscriptions that all clients together may ask for in an hour, so that nobody can have Linnet flood others with mail.
    public var requestsInAll: Int = 200
    /// Digests that leave in a minute.
    public var messagesPerMinute: Int = 60

    /// - Parameters:
    ///   - site: where links in the mails lead.
    ///   - sender: by default "linnet@" and the site's authority.
    /// - Throws: ``MailError/address(_:reason:)``.
    public init(site: PaperSite = .local, sender: MailAddress? = nil) throws {
        self.site = site
        self.sender = try sender ?? MailAddress("linnet@\(site.authority)")
    }
}
