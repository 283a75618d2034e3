import ArgumentParser
import Experiments
import Foundation
import Papers
import Training

extension Scale: ExpressibleByArgument {}

struct ReproduceCommand: AsyncParsableCommand {
    static let configuration: CommandConfiguration = CommandConfiguration(
        commandName: "reproduce",
        abstract: "Test papers' claims against their baselines.",
        discussion: """
            Each experiment runs in a process of its own, so that one that fails does not stop the others. Its report is printed, kept as
            RESULTS/SLUG.SCALE.json and .html, and recorded in the catalogue. After Ctrl-C, a kill or a crash the same command continues with the
            seeds that were finished, unless --fresh is given or the program was built anew. The exit status is 0 when all gates passed and all
            claims were shown, 1 when not, 2 for a wrong command line, 130 after Ctrl-C.

            Experiments that several processes work on (l-greco, redco) can be started under `linnet launch`; the first process then writes the report.

            Examples:
              linnet reproduce --list
              linnet reproduce deltanet --scale small --seeds 3
              linnet reproduce gla lit --scale smoke --seeds 1 --jobs 2
              linnet reproduce --all --time-limit 1800 --memory-limit 8
              linnet launch -n 4 -- reproduce l-greco --scale small
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
    @Option(help: "How many experiments run at once; each gets its share of the cores.")
    var jobs: Int = 1
    @Flag(help: "Measure again what an interrupted run has finished.")
    var fresh: Bool = false
    @Option(help: "Seconds that one experiment may take; by default 300 a seed at smoke scale, 3600 at small, any time at full.")
    var timeLimit: Double?
    @Option(help: "GiB of memory that one experiment may take; by default its share of nine tenths of the machine's.")
    var memoryLimit: Double?
    @Option(help: "Folder for the reports.")
    var results: String = "results"
    @Option(help: "The catalogue's file; by default papers.db in the user's data folder, or $LINNET_PAPERS.")
    var db: String?
    /// What the queue starts: measures one experiment in this process and speaks the worker's protocol on standard output.
    @Flag(help: .hidden)
    var worker: Bool = false

    func validate() throws {
        guard !list else { return }
        guard 1...ReproductionJob.seedLimit ~= seeds else {
            throw ValidationError("--seeds has to be 1 to \(ReproductionJob.seedLimit), not \(seeds)")
        }
        guard 1...256 ~= jobs else { throw ValidationError("--jobs has to be 1 to 256, not \(jobs)") }
        for (flag, value) in [("--time-limit", timeLimit), ("--memory-limit", memoryLimit)] {
            guard let value else { continue }
            guard value > 0, value < 1e9 else { throw ValidationError("\(flag) has to be above 0, not \(value)") }
        }
    }

    func run() async throws {
        if list { return print(ExperimentCatalogue.slugs.joined(separator: "\n")) }
        let chosen: [String] = try chosenSlugs()
        Interrupt.install()
        if worker {
            ReproductionWorker.endWithParent()
            let job: ReproductionJob = ReproductionJob(slug: chosen[0], scale: scale, seeds: seeds, fresh: fresh)
            throw ExitCode(await ReproductionWorker(job, results: results).run())
        }
        if let place = try LaunchEnvironment(), place.worldSize > 1 {
            let session: LaunchedReproduction = LaunchedReproduction(scale: scale, seeds: seeds, results: results)
            if try await !session.run(chosen, isFirst: place.rank == 0) { throw ExitCode(1) }
            return
        }
        let store: PaperStore = try PaperStore(db ?? PaperStore.standardPath)
        // Earlier reports tell how long the experiments take. A file that is none is for `linnet results` to complain about.
        try store.recordReports(in: results)
        let queue: ReproductionQueue = ReproductionQueue(
            ReproductionQueue.Configuration(results: results, jobs: jobs, capacity: chosen.count, limits: limits), store: store)
        let status: Int32 = try await ReproductionSession(queue: queue).run(
            chosen.map { ReproductionJob(slug: $0, scale: scale, seeds: seeds, fresh: fresh) })
        if status != 0 { throw ExitCode(status) }
    }

    /// Each slug once.
    private func chosenSlugs() throws -> [String] {
        let chosen: [String] = all ? ExperimentCatalogue.slugs : slugs
        guard !chosen.isEmpty else { throw ValidationError("give the slug of a paper, --all or --list") }
        for slug in chosen { _ = try ExperimentCatalogue.experiment(slug) }
        var seen: Set<String> = []
        return chosen.filter { seen.insert($0).inserted }
    }

    /// Nil for the usual ones; a limit that is not given stays as usual.
    private var limits: ReproductionLimits? {
        guard timeLimit != nil || memoryLimit != nil else { return nil }
        var limits: ReproductionLimits = .standard(ReproductionJob(slug: "", scale: scale, seeds: seeds), atOnce: jobs)
        if let timeLimit { limits.seconds = timeLimit }
        if let memoryLimit { limits.memoryBytes = Int(memoryLimit * Double(1 << 30)) }
        return limits
    }
}
