import ArgumentParser
import Experiments
import Foundation
import Torch
import Training

struct DemoCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "demo",
        abstract: "A two-minute tour: recall with four mixers, then a tiny language model, with a report.",
        discussion: """
            Examples:
              linnet demo
              linnet demo --text my-notes.txt --out tour.html
            """)

    @Option(help: "A UTF-8 text for the language model; sentences are generated without one.")
    var text: String?
    @Option(help: "Where the report goes.")
    var out: String = "demo-report.html"
    @Option(help: "Training steps of each model.")
    var steps: Int = 400
    @Option(help: "Seed of weights and data.")
    var seed: UInt64 = 0

    func run() async throws {
        guard steps > 0 else { throw ValidationError("--steps has to be at least 1") }
        let given: String? = try text.map { try TextCorpus(contentsOf: [URL(fileURLWithPath: $0)]).texts[0] }
        Interrupt.install()
        let outcome: Demo.Outcome = try Demo(steps: steps, seed: seed).run(text: given) { line in
            FileHandle.standardError.write(Data((line + "\n").utf8))
        }
        print(outcome.recall.text(), outcome.language.text(), "  The model writes:\n\n\(outcome.sample)\n", separator: "\n\n")
        let page: String = ReportPage.html(
            title: "Linnet: the two-minute tour", notes: ["The language model writes: \(outcome.sample)"],
            reports: [outcome.recall, outcome.language])
        try AtomicFile.write(page, to: out)
        print("report: \(URL(fileURLWithPath: out).path)")
    }
}
