import Experiments
import Foundation
import Torch
import Training

/// The part of a ``ReproductionQueue`` that runs in a process of its own: measures one job, writes its report and says what goes on in JSON lines.
public struct ReproductionWorker: Sendable {
    private let job: ReproductionJob
    private let results: String
    private let experiments: [any Experiment.Type]
    private let build: String
    private let isCancelled: @Sendable () -> Bool
    private let write: @Sendable (Data) -> Void

    /// - Parameters:
    ///   - job: what to measure.
    ///   - results: folder for the report.
    ///   - experiments: those there are.
    ///   - build: names the program, so that another one's measurements are not continued with.
    ///   - isCancelled: whether to stop.
    ///   - write: receives each line of the protocol with its end; by default it goes to standard output.
    public init(
        _ job: ReproductionJob, results: String, experiments: [any Experiment.Type] = ExperimentCatalogue.all,
        build: String = BuildIdentity.current, isCancelled: @escaping @Sendable () -> Bool = { Interrupt.isRequested },
        write: @escaping @Sendable (Data) -> Void = ReproductionWorker.writeToStandardOutput
    ) {
        self.job = job
        self.results = results
        self.experiments = experiments
        self.build = build
        self.isCancelled = isCancelled
        self.write = write
    }

    /// Measures, and keeps the report as `RESULTS/SLUG.SCALE.json` and `.html`.
    ///
    /// - Returns: the exit status: 0 with a report, 130 after an interrupt, 1 after an error, which was written too.
    public func run() async -> Int32 {
        do {
            let report: Report = try await measure()
            send(.report(path: try Self.keep(report, in: results)))
            return 0
        } catch is CancellationError {
            return 130
        } catch TrainingFailure.interrupted {
            return 130
        } catch {
            send(.error(message: "\(error)"))
            return 1
        }
    }

    private func measure() async throws -> Report {
        guard let experiment = experiments.first(where: { $0.slug == job.slug }) else {
            throw ReproductionError.unknownExperiment(job.slug)
        }
        guard 1...ReproductionJob.seedLimit ~= job.seeds else { throw ReproductionError.seeds(job.seeds) }
        let kept: PartialResults = PartialResults(results: results, slug: job.slug, scale: job.scale, build: build)
        let report: Report = try await ResumableRun(
            experiment: experiment, job: job, kept: kept, start: { send(.started(seedsDone: $0)) },
            progress: { send(.progress(line: $0, seedsDone: $1)) }, isCancelled: isCancelled
        ).report()
        return report
    }

    /// Writes a report and its page; the seeds kept for it are then no longer needed.
    ///
    /// - Returns: the report's path.
    public static func keep(_ report: Report, in results: String) throws -> String {
        try AtomicFile.createFolder(results)
        let stem: String = "\(results)/\(report.slug).\(report.scale.rawValue)"
        try AtomicFile.write(ReportPage.html(title: "Linnet: \(report.slug)", reports: [report]), to: stem + ".html")
        try AtomicFile.write(report.json(), to: stem + ".json")
        PartialResults(results: results, slug: report.slug, scale: report.scale, build: "").remove(report.seeds)
        return stem + ".json"
    }

    private func send(_ message: WorkerMessage) { write(message.line()) }

    /// Writes to the pipe that standard output is. A reader that is gone is no reason to lose what is being measured.
    public static let writeToStandardOutput: @Sendable (Data) -> Void = { line in
        signal(SIGPIPE, SIG_IGN)
        _ = line.withUnsafeBytes { Foundation.write(STDOUT_FILENO, $0.baseAddress, $0.count) }
    }

    /// From now on the worker stops when its standard input ends, which is when the process that started it has ended or was killed.
    public static func endWithParent() {
        Thread.detachNewThread {
            var buffer: [UInt8] = [UInt8](repeating: 0, count: 256)
            while read(STDIN_FILENO, &buffer, buffer.count) > 0 {}
            Interrupt.request()
            sleep(10)
            _exit(130)
        }
    }
}
