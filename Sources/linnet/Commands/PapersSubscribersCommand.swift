import ArgumentParser
import Foundation
import Papers

struct PapersSubscribersCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "subscribers", abstract: "See and change who gets the digest.",
        discussion: """
            Nobody is subscribed without having confirmed: add sends a mail with a link and a token, and confirm takes the token.
            \(MailOptions.help)

            Examples:
              linnet papers subscribers add ada@example.org --topics sequence efficiency --frequency daily
              linnet papers subscribers confirm 4hS…
              linnet papers subscribers remove ada@example.org
              linnet papers subscribers list --json
            """,
        subcommands: [List.self, Add.self, Remove.self, Confirm.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "List the subscriptions.")
        @OptionGroup var mail: MailOptions

        func run() async throws {
            let all: [Subscriber] = try await mail.service().subscribers()
            try mail.options.show(all) {
                all.isEmpty ? "no subscribers; linnet papers subscribers add ADDRESS asks one" : all.map(Self.line).joined(separator: "\n")
            }
        }

        private static func line(_ one: Subscriber) -> String {
            let wishes: [String] = one.topics.map(\.rawValue) + (one.query.map { [$0.debugDescription] } ?? [])
            let fields: [String] = [
                one.email ?? "(unsubscribed)", one.state.rawValue, one.frequency.rawValue,
                wishes.isEmpty ? "everything" : wishes.joined(separator: " "),
                one.lastSentAt.map { "last sent \($0.formatted(.iso8601))" } ?? "never sent",
            ]
            return fields.joined(separator: "\t")
        }
    }

    struct Add: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "Ask an address to confirm a subscription.")
        @OptionGroup var mail: MailOptions
        @Argument(help: "The address.")
        var address: String
        @Option(parsing: .upToNextOption, help: "Groups, such as sequence or efficiency; all by default.")
        var topics: [PaperGroup] = []
        @Option(help: "Only papers that match this query.")
        var query: String?
        @Option(help: "daily or weekly.")
        var frequency: DigestFrequency = .weekly

        func run() async throws {
            try await mail.service().add(email: address, topics: topics, query: query, frequency: frequency)
            try mail.options.show(["address": address]) {
                "\(address) is asked to confirm, unless it is subscribed or was asked within the last hour"
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(
            abstract: "Unsubscribe an address; its keyed hash stays, so that it cannot be added again.")
        @OptionGroup var mail: MailOptions
        @Argument(help: "The address.")
        var address: String

        func run() async throws {
            try await mail.service().remove(email: address)
            try mail.options.show(["address": address]) { "\(address) is unsubscribed" }
        }
    }

    struct Confirm: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "Confirm a subscription by the token in its mail.")
        @OptionGroup var mail: MailOptions
        @Argument(help: "The token.")
        var token: String

        func run() async throws {
            let subscriber: Subscriber = try await mail.service().confirm(token: token)
            try mail.options.show(subscriber) { "\(subscriber.email ?? "") gets the \(subscriber.frequency.rawValue) digest" }
        }
    }
}
