import ArgumentParser
import Foundation
import Training

struct RunsCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "runs", abstract: "Look at the record of training runs.",
        discussion: """
            The record is runs/linnet.sqlite, or the file that $LINNET_RUNS names.

            Examples:
              linnet runs list
              linnet runs show gla
              linnet runs compare gla deltanet
              linnet runs export gla --format csv > gla.csv
            """,
        subcommands: [List.self, Show.self, Compare.self, Export.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "List the runs, newest first.")
        @Option(help: "Only runs of this kind: lm, classify, forecast.")
        var kind: String?
        @Option(help: "Most runs to list.")
        var limit: Int?

        func run() async throws { print(RunTable.list(try RunStore().list(kind: kind, limit: limit))) }
    }

    struct Show: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "Show one run: settings, state, metrics.")
        @Argument(help: "The run's id (or the start of it) or name.")
        var run: String

        func run() async throws {
            let store: RunStore = try RunStore()
            let found: Run = try store.find(run)
            print(try RunTable.show(found, metrics: try store.metrics(of: found)))
        }
    }

    struct Compare: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "Compare runs: settings that differ, and metrics.")
        @Argument(help: "Ids or names of at least two runs.")
        var runs: [String]

        func run() async throws {
            guard runs.count >= 2 else { throw ValidationError("a comparison needs at least two runs") }
            let store: RunStore = try RunStore()
            print(RunTable.compare(try store.compare(try runs.map { try store.find($0) })))
        }
    }

    struct Export: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(abstract: "Write the metrics of runs to standard output.")
        @Argument(help: "Ids or names of runs.")
        var runs: [String]
        @Option(help: "csv or jsonl.")
        var format: RunExportFormat = .csv

        func run() async throws {
            let store: RunStore = try RunStore()
            try store.export(try runs.map { try store.find($0) }, as: format) { FileHandle.standardOutput.write(Data($0.utf8)) }
        }
    }
}

extension RunExportFormat: ExpressibleByArgument {}
