import ArgumentParser
import Foundation
import Papers

struct PapersDigestCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "digest", abstract: "Send the digest of new papers by mail, or look at it.",
        discussion: """
            --send gives each subscriber their issue once: run it as often as you like, for example by cron every ten minutes. What the
            server puts off is tried again by the next run after 1, 5 and 30 minutes; three refusals in a row end a subscription. What a server
            takes and sends back later is read by `bounces`.
            \(MailOptions.help)

            Examples:
              linnet papers digest --preview --topics efficiency --frequency daily
              linnet papers digest --send
              linnet papers digest --outbox mails
              linnet papers digest bounces ~/Maildir/new
            """, subcommands: [PapersBouncesCommand.self])

    @OptionGroup var mail: MailOptions
    @Flag(help: "Send what is due.")
    var send: Bool = false
    @Flag(help: "Print the digest that a new subscriber with these topics, query and frequency would get now.")
    var preview: Bool = false
    @Option(parsing: .upToNextOption, help: "Groups to preview, such as sequence or efficiency; all by default.")
    var topics: [PaperGroup] = []
    @Option(help: "Query to preview.")
    var query: String?
    @Option(help: "Frequency to preview: daily or weekly.")
    var frequency: DigestFrequency = .weekly

    func run() async throws {
        let sends: Bool = send || mail.outbox != nil
        guard sends != preview else { throw ValidationError("give one of --send, --preview and --outbox DIR") }
        let service: DigestService = try mail.service()
        guard preview else { return try show(await service.send()) }
        print(try await service.preview(topics: topics, query: query, frequency: frequency) ?? "nothing new")
        let due: Int = try await service.due().count
        if due > 0 { print("due now: \(due) subscriber\(due == 1 ? "" : "s"); --send sends") }
    }

    private func show(_ report: DigestReport) throws {
        try mail.options.show(report) {
            let lines: [String] = report.outcomes.map { outcome in
                let next: String = outcome.nextAttempt.map { ", again after \($0.formatted(.iso8601))" } ?? ""
                return "\(outcome.state.rawValue)\t\(outcome.email)\t\(outcome.issueDate)\t\(outcome.detail)\(next)"
            }
            let counts: [String] = DeliveryState.allCases.filter { report.count($0) > 0 }.map { "\($0.rawValue): \(report.count($0))" }
            let sum: String = (counts + ["nothing new: \(report.nothingNew)", "not due: \(report.notDue)"]).joined(separator: ", ")
            let lost: String = "left by an interrupted run, outcome unknown, not sent again: \(report.interrupted)"
            return (lines + [sum] + (report.interrupted > 0 ? [lost] : [])).joined(separator: "\n")
        }
    }
}
