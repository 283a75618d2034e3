import ArgumentParser
import Experiments
import Foundation
import Torch
import Training

extension Scale: ExpressibleByArgument {}

struct ReproduceCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "reproduce",
        abstract: "Test a paper's claim against its baselines.",
        discussion: """
            Each experiment's report is printed and kept as RESULTS/SLUG.SCALE.json and .html. The exit status is 1 when a gate failed or a claim
            was not shown.

            Examples:
              linnet reproduce --list
              linnet reproduce deltanet --scale small --seeds 3
            """)

    @Argument(help: "Slugs of the papers.")
    var slugs: [String] = []
    @Flag(help: "Print the slugs that have an experiment, one a line.")
    var list: Bool = false
    @Flag(help: "Run every experiment.")
    var all: Bool = false
    @Option(help: "Amount of work: smoke, small or full.")
    var scale: Scale = .small
    @Option(help: "How many seeds: 0, 1, 2, …")
    var seeds: Int = 3
    @Option(help: "Folder for the reports.")
    var results: String = "results"

    func run() async throws {
        if list { return print(ExperimentCatalogue.slugs.joined(separator: "\n")) }
        guard seeds > 0 else { throw ValidationError("--seeds has to be at least 1") }
        let chosen: [String] = all ? ExperimentCatalogue.slugs : slugs
        guard !chosen.isEmpty else { throw ValidationError("give the slug of a paper, --all or --list") }
        let experiments: [any Experiment.Type] = try chosen.map { try ExperimentCatalogue.experiment($0) }
        Interrupt.install()
        let context: ExperimentContext = ExperimentContext(
            seeds: (0..<UInt64(seeds)).map { $0 }, progress: Self.show, isCancelled: { Interrupt.isRequested })
        var met: Bool = true
        for experiment in experiments {
            let report: Report = try await experiment.report(scale, context: context)
            try keep(report)
            print(report.text(), terminator: "\n\n")
            met = met && report.allCriteriaMet
        }
        if !met { throw ExitCode(1) }
    }

    private static func show(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }

    private func keep(_ report: Report) throws {
        try AtomicFile.createFolder(results)
        let stem: String = "\(results)/\(report.slug).\(report.scale.rawValue)"
        try AtomicFile.write(report.json(), to: stem + ".json")
        try AtomicFile.write(ReportPage.html(title: "Linnet: \(report.slug)", reports: [report]), to: stem + ".html")
    }
}
