import Foundation

/// Writes the mails: their words, the text and the HTML part, and the headers of a list.
enum DigestMail {
    /// The mail that asks the owner of an address whether they want the digest.
    static func confirmation(_ request: SubscriptionRequest, token: String, settings: DigestSettings, at time: Date) throws -> MIMEMessage {
        let link: String = settings.site.confirm(token)
        let what: String = describe(request.frequency, request.topics, request.query)
        let asked: String = "Somebody, probably you, asked for \(what) at this address."
        let hours: String = "The link is valid for \(Int(settings.confirmationHours)) hours."
        let otherwise: String = "If it was not you, do nothing: without a confirmation no further mail comes, and the address is deleted."
        let text: String = [
            asked, "To confirm, open", link, "or run", "linnet papers subscribers confirm \(token)", hours, otherwise, "",
        ].joined(separator: "\n\n")
        let body: String = """
            <p>\(XMLText.escaped(asked))</p>
            <p><a href="\(XMLText.escaped(link))">Confirm the subscription</a></p>
            <p>\(XMLText.escaped(hours)) \(XMLText.escaped(otherwise))</p>
            """
        let subject: String = "Confirm your subscription to Linnet's papers"
        return try MIMEMessage(
            from: settings.sender, fromName: settings.senderName, to: request.address, subject: subject, date: time,
            messageID: "confirm.\(UUID().uuidString.lowercased())@\(settings.site.authority)",
            headers: [MIMEHeader("Auto-Submitted", "auto-generated")], text: text, html: page(subject, body))
    }

    /// - Parameter token: the subscriber's unsubscribe token.
    static func digest(_ issue: DigestIssue, to address: MailAddress, token: String, settings: DigestSettings, at time: Date) throws
        -> MIMEMessage
    {
        let link: String = settings.site.unsubscribe(token)
        let lead: String = issue.items.count == 1 ? "One paper" : "\(issue.items.count) papers"
        let title: String = XMLText.line(issue.items[0].paper.title)
        let subject: String = "\(lead): \(title.count > 80 ? title.prefix(79) + "…" : title)"
        let what: String = describe(issue.subscriber.frequency, issue.subscriber.topics, issue.subscriber.query)
        let reason: String = "You get this because you subscribed to \(what)."
        return try MIMEMessage(
            from: settings.sender, fromName: settings.senderName, to: address, subject: subject, date: time,
            messageID: messageID(issue, settings),
            headers: [
                MIMEHeader("List-Id", "<papers.\(settings.site.authority)>"),
                MIMEHeader("List-Unsubscribe", "<\(link)>, <mailto:\(settings.sender)?subject=unsubscribe>"),
                MIMEHeader("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
                MIMEHeader("Auto-Submitted", "auto-generated"),
                MIMEHeader("Precedence", "bulk"),
            ],
            text: text(issue, settings) + "\n--\n\(reason)\nUnsubscribe: \(link)\n",
            html: page("Linnet: papers of \(issue.date)", html(issue, settings) + footer(reason, link)))
    }

    /// One for each subscriber and issue, so that a receiver can tell a repetition too.
    static func messageID(_ issue: DigestIssue, _ settings: DigestSettings) -> String {
        "digest.\(issue.subscriber.id).\(issue.date)@\(settings.site.authority)"
    }

    /// "the weekly digest of new papers on efficiency that match 'pruning'".
    static func describe(_ frequency: DigestFrequency, _ topics: [PaperGroup], _ query: String?) -> String {
        let groups: String = topics.isEmpty ? "" : " on " + topics.map { $0.title.lowercased() }.joined(separator: ", ")
        return "the \(frequency.rawValue) digest of Linnet's papers" + groups + (query.map { " that match '\($0)'" } ?? "")
    }

    static func text(_ issue: DigestIssue, _ settings: DigestSettings) -> String {
        let items: [String] = issue.items.enumerated().map { index, item in
            let paper: Paper = item.paper
            let lines: [String?] = [
                "\(index + 1). \(XMLText.line(paper.title))" + (paper.year.map { " (\($0))" } ?? ""),
                "   " + item.news.joined(separator: "; "),
                paper.shortText.isEmpty ? nil : "   " + paper.shortText,
                paper.claimText.map { "   Claim: " + $0 },
                "   " + settings.site.page(paper.slug),
                paper.arxivAddress.map { "   " + $0 },
            ]
            return lines.compactMap { $0 }.joined(separator: "\n")
        }
        return "Linnet: papers of \(issue.date)\n\n" + items.joined(separator: "\n\n") + "\n"
    }

    private static func html(_ issue: DigestIssue, _ settings: DigestSettings) -> String {
        let items: [String] = issue.items.map { item in
            let paper: Paper = item.paper
            let title: String = XMLText.escaped(XMLText.line(paper.title)) + (paper.year.map { " (\($0))" } ?? "")
            let claim: String = paper.claimText.map { "<p>Claim: \(XMLText.escaped($0))</p>" } ?? ""
            let original: String = paper.arxivAddress.map { " · <a href=\"\(XMLText.escaped($0))\">arXiv</a>" } ?? ""
            return """
                <li style="margin: 0 0 1.2em">
                <p style="margin: 0"><a href="\(XMLText.escaped(settings.site.page(paper.slug)))"><strong>\(title)</strong></a>\(original)</p>
                <p style="margin: 0"><em>\(XMLText.escaped(item.news.joined(separator: "; ")))</em></p>
                <p>\(XMLText.escaped(paper.shortText))</p>
                \(claim)
                </li>
                """
        }
        return "<h1 style=\"font-size: 1.3em\">Linnet: papers of \(issue.date)</h1>\n<ol>\n\(items.joined(separator: "\n"))\n</ol>\n"
    }

    private static func footer(_ reason: String, _ link: String) -> String {
        """
        <hr>
        <p>\(XMLText.escaped(reason)) <a href="\(XMLText.escaped(link))">Unsubscribe</a></p>
        """
    }

    private static func page(_ title: String, _ body: String) -> String {
        """
        <!doctype html>
        <html lang="en">
        <head><meta charset="utf-8"><title>\(XMLText.escaped(title))</title></head>
        <body style="font-family: system-ui, sans-serif; line-height: 1.5; max-width: 42em">
        \(body)
        </body>
        </html>

        """
    }
}
