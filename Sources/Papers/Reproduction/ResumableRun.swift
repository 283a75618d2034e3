import Experiments
import Foundation

/// Runs an experiment seed by seed where it allows that, keeping what is measured, and makes the report of all seeds.
struct ResumableRun: Sendable {
    let experiment: any Experiment.Type
    let job: ReproductionJob
    let kept: PartialResults
    /// Called with how many seeds an earlier run has measured, before anything is.
    let start: @Sendable (Int) -> Void
    /// Called with a line on what is going on, which is empty when a seed is done, and the number of seeds done.
    let progress: @Sendable (String, Int) -> Void
    let isCancelled: @Sendable () -> Bool

    /// - Throws: what the experiment throws; the seeds that were finished before stay kept.
    func report() async throws -> Report {
        let started: Date = Date()
        let seeds: [UInt64] = Array(0..<UInt64(job.seeds))
        let parts: [[UInt64]] = experiment.seedsAreIndependent ? seeds.map { [$0] } : [seeds]
        if job.fresh { kept.remove(seeds) }
        let earlier: [PartialResults.Seed] = experiment.seedsAreIndependent ? seeds.compactMap(kept.load) : []
        var (measurements, seconds, done): (Measurements, Double, Int) = (Measurements(), 0, earlier.count)
        start(done)
        for part in parts {
            if let found = earlier.first(where: { [$0.seed] == part }) {
                measurements.merge(found.measurements)
                seconds += found.seconds
                continue
            }
            let (measured, took) = try await measure(part, of: seeds, done: done)
            measurements.merge(measured)
            seconds += took
            done += part.count
            progress("", done)
        }
        return Report(
            slug: experiment.slug, summary: experiment.summary, scale: job.scale, seeds: seeds, resumedSeeds: earlier.map(\.seed),
            started: started, seconds: seconds, measurements: measurements, criteria: experiment.criteria)
    }

    private func measure(_ part: [UInt64], of seeds: [UInt64], done: Int) async throws -> (Measurements, seconds: Double) {
        let clock: ContinuousClock = ContinuousClock()
        let begin: ContinuousClock.Instant = clock.now
        let context: ExperimentContext = ExperimentContext(
            seeds: part, firstSeed: seeds.first, progress: { progress($0, done) }, isCancelled: isCancelled)
        let measured: Measurements = try await experiment.init().run(job.scale, context: context)
        // What was cut short by an interrupt is not a seed's measurement.
        try context.checkCancellation()
        let seconds: Double = (clock.now - begin) / .seconds(1)
        if experiment.seedsAreIndependent { try kept.store(measured, seed: part[0], seconds: seconds) }
        return (measured, seconds)
    }
}
