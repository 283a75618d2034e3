import ArgumentParser
import Experiments
import Foundation
import Papers
import Training

/// Experiments on the processes of a launcher: all measure together, in these processes and without a queue, and the first keeps the reports.
struct LaunchedReproduction {
    let scale: Scale
    let seeds: Int
    let results: String

    /// - Returns: whether all criteria were met.
    /// - Throws: `ValidationError` for an experiment that one process runs alone.
    func run(_ slugs: [String], isFirst: Bool) async throws -> Bool {
        let experiments: [any Experiment.Type] = try slugs.map { try ExperimentCatalogue.experiment($0) }
        if let alone = experiments.first(where: { !$0.usesProcessGroup }) {
            throw ValidationError("\(alone.slug) runs in one process; start it without a launcher")
        }
        var allMet: Bool = true
        for experiment in experiments {
            let context: ExperimentContext = ExperimentContext(
                seeds: (0..<UInt64(seeds)).map { $0 }, progress: { line in if isFirst { print(line) } },
                isCancelled: { Interrupt.isRequested })
            let report: Report = try await experiment.report(scale, context: context)
            allMet = allMet && report.allCriteriaMet
            guard isFirst else { continue }
            print(report.text())
            _ = try ReproductionWorker.keep(report, in: results)
        }
        return allMet
    }
}
