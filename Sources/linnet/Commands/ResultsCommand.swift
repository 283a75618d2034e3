import ArgumentParser
import Experiments
import Foundation
import Papers
import Torch
import Training

struct ResultsCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "results", abstract: "Look at the reports of experiments, and compare them.",
        discussion: """
            Reports are the files SLUG.SCALE.json that `linnet reproduce` writes.

            Examples:
              linnet results list
              linnet results show gla
              linnet results diff results old-results
              linnet results write
              linnet results page --out results.html
            """,
        subcommands: [List.self, Show.self, Diff.self, Write.self, Page.self], defaultSubcommand: List.self)

    struct Folder: ParsableArguments {
        @Option(help: "Folder of the reports.")
        var results: String = "results"

        func load() throws -> [Report] {
            let reports: [Report] = try ReportFolder.load(results)
            guard !reports.isEmpty else { throw ResultsError.noReports(folder: results) }
            return reports
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(
            abstract: "List the reports.", discussion: "Example: linnet results list --results old-results")
        @OptionGroup var folder: Folder

        func run() async throws {
            let header: [String] = ["paper", "scale", "verdict", "claims shown", "gates passed", "seconds", "date"]
            let rows: [[String]] = try folder.load().map { report in
                [
                    report.slug, report.scale.rawValue, PaperVerdict(report).rawValue,
                    report.claims.isEmpty ? "-" : "\(report.claims.count { $0.verdict == .shown })/\(report.claims.count)",
                    "\(report.gates.count(where: \.passed))/\(report.gates.count)", Report.number(report.seconds.rounded()),
                    report.started.formatted(.iso8601.year().month().day()),
                ]
            }
            print(RunTable.table([header] + rows, numeric: [3, 4, 5]), terminator: "")
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(
            abstract: "Show a paper's reports.", discussion: "Example: linnet results show gla --scale small")
        @Argument(help: "The paper's slug.")
        var slug: String
        @Option(help: "Only this scale: smoke, small or full.")
        var scale: Scale?
        @OptionGroup var folder: Folder

        func run() async throws {
            let reports: [Report] = try folder.load()
            let found: [Report] = reports.filter { $0.slug == slug && (scale == nil || $0.scale == scale) }
            guard !found.isEmpty else {
                throw ResultsError.unknownReport(slug: slug, folder: folder.results, known: Set(reports.map(\.slug)).sorted())
            }
            print(found.map { $0.text() }.joined(separator: "\n\n"))
        }
    }

    struct Diff: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(
            abstract: "Compare two reports, or two folders of reports.",
            discussion: """
                Prints the mean of every method and metric in both, the difference, whether the 90 % intervals of the means are apart, and the
                verdicts that changed. The exit status is 1 when a verdict got worse.

                Examples:
                  linnet results diff old/gla.small.json results/gla.small.json
                  linnet results diff old results
                """)
        @Argument(help: "The first report or folder.")
        var first: String
        @Argument(help: "The second report or folder.")
        var second: String

        func run() async throws {
            let comparison: ResultsComparison = try ResultsComparison(first, second)
            print(comparison.text(), terminator: "")
            if comparison.gotWorse { throw ExitCode(1) }
        }
    }

    struct Write: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(
            abstract: "Write RESULTS.md from the reports and the papers' cards.",
            discussion: "Example: linnet results write --out RESULTS.md")
        @OptionGroup var folder: Folder
        @Option(help: "The file.")
        var out: String = "RESULTS.md"

        func run() async throws {
            let reports: [Report] = try folder.load()
            try AtomicFile.write(ResultsDocument.markdown(reports: reports, cards: PaperCards.load()), to: out)
            print("\(out): \(reports.count) reports")
        }
    }

    struct Page: AsyncParsableCommand {
        static let configuration: CommandConfiguration = CommandConfiguration(
            abstract: "Write one HTML page with all reports and their curves.",
            discussion: "Example: linnet results page --out results.html")
        @OptionGroup var folder: Folder
        @Option(help: "The file.")
        var out: String

        func run() async throws {
            let reports: [Report] = try folder.load()
            try AtomicFile.write(ReportPage.html(title: "Linnet: results", reports: reports), to: out)
            print("\(out): \(reports.count) reports")
        }
    }
}
