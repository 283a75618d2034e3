import Experiments
import Foundation

/// Runs experiments as child processes, a few at a time, in the order in which they were submitted.
///
/// The command line and the web application share it. A job's process that crashes, hangs or takes too much memory fails that job alone. A finished
/// report is on disk and in the catalogue before the job counts as finished; an interrupted one leaves its finished seeds for the next run.
///
///     let queue = ReproductionQueue(.init(results: "results"), store: store)
///     let id = try await queue.submit(ReproductionJob(slug: "gla", scale: .smoke, seeds: 1))
///     for await event in await queue.events(of: id) { print(event) }
public actor ReproductionQueue {
    /// What a queue runs and how much of it.
    public struct Configuration: Sendable {
        /// The program that understands `reproduce SLUG --worker`; by default the running one.
        public var executable: String
        /// Folder for the reports.
        public var results: String
        /// Processes at once. Each gets its share of the cores.
        public var jobs: Int
        /// Most jobs that wait.
        public var capacity: Int
        /// Most ended jobs that are remembered.
        public var history: Int
        /// For every job; nil for those that ``ReproductionLimits/standard(_:atOnce:)`` gives it.
        public var limits: ReproductionLimits?
        /// Slugs that have an experiment.
        public var slugs: Set<String>

        public init(
            executable: String = BuildIdentity.executable, results: String = "results", jobs: Int = 1, capacity: Int = 100,
            history: Int = 200, limits: ReproductionLimits? = nil, slugs: Set<String> = Set(ExperimentCatalogue.slugs)
        ) {
            precondition(jobs > 0 && capacity > 0, "a queue needs room for at least one job")
            self.executable = executable
            self.results = results
            self.jobs = jobs
            self.capacity = capacity
            self.history = history
            self.limits = limits
            self.slugs = slugs
        }
    }

    public let configuration: Configuration
    private let store: PaperStore?
    private let now: @Sendable () -> Date
    /// By number, and so in the order of submission.
    private var entries: [ReproductionJob.ID: QueueEntry] = [:]
    private var tasks: [ReproductionJob.ID: Task<Void, Never>] = [:]
    private var lastID: Int = 0
    private var isClosed: Bool = false

    /// - Parameters:
    ///   - configuration: what is run.
    ///   - store: the catalogue that runs are recorded in and that tells what earlier ones took.
    ///   - now: the clock.
    public init(_ configuration: Configuration, store: PaperStore?, now: @escaping @Sendable () -> Date = { Date() }) {
        self.configuration = configuration
        self.store = store
        self.now = now
    }

    /// Appends a job.
    ///
    /// - Throws: ``ReproductionError`` when there is no such experiment, the same one waits or runs already, or too many wait.
    @discardableResult
    public func submit(_ job: ReproductionJob) throws -> ReproductionJob.ID {
        guard !isClosed else { throw ReproductionError.closed }
        guard configuration.slugs.contains(job.slug) else { throw ReproductionError.unknownExperiment(job.slug) }
        guard 1...ReproductionJob.seedLimit ~= job.seeds else { throw ReproductionError.seeds(job.seeds) }
        let open: [QueueEntry] = entries.values.filter { !$0.state.phase.isFinal }
        if let same = open.first(where: { $0.state.job.slug == job.slug && $0.state.job.scale == job.scale }) {
            throw ReproductionError.alreadyQueued(slug: job.slug, scale: job.scale, same.state.id)
        }
        guard open.count - tasks.count < configuration.capacity else { throw ReproductionError.full(capacity: configuration.capacity) }
        lastID += 1
        let id: ReproductionJob.ID = ReproductionJob.ID(rawValue: lastID)
        entries[id] = QueueEntry(
            JobState(id: id, job: job, submittedAt: now()), earlierSecondsPerSeed: earlierSecondsPerSeed(job))
        startNext()
        return id
    }

    /// Takes a waiting job out, or asks a running one's process to end. A job that has ended is left as it is.
    ///
    /// - Throws: ``ReproductionError/unknownJob(_:)``.
    public func cancel(_ id: ReproductionJob.ID) throws {
        guard let entry = entries[id] else { throw ReproductionError.unknownJob(id) }
        if entry.state.phase == .queued { end(id, .cancelled) }
        entry.process?.cancel()
    }

    /// All jobs that are remembered, in the order of submission.
    public func jobs() -> [JobState] { entries.keys.sorted().compactMap { state(of: $0) } }

    public func state(of id: ReproductionJob.ID) -> JobState? {
        guard let entry = entries[id] else { return nil }
        var state: JobState = entry.state
        state.secondsLeft = entry.secondsLeft(at: now())
        return state
    }

    /// What has happened to a job until now, as far as it still matters, and what is going to; ends after the last event. Empty for a job that
    /// is not known.
    public func events(of id: ReproductionJob.ID) -> AsyncStream<JobEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: JobEvent.self, bufferingPolicy: .bufferingNewest(256))
        guard let entry = entries[id] else {
            continuation.finish()
            return stream
        }
        for event in entry.eventsSoFar(at: now()) { continuation.yield(event) }
        guard !entry.state.phase.isFinal else {
            continuation.finish()
            return stream
        }
        let key: UUID = UUID()
        entry.listeners[key] = continuation
        continuation.onTermination = { _ in Task { await self.removeListener(key, of: id) } }
        return stream
    }

    /// Takes no more jobs, cancels those there are, and returns when the last process has ended.
    public func shutDown() async {
        isClosed = true
        for id in entries.keys { try? cancel(id) }
        await waitUntilIdle()
    }

    /// Returns when no job waits or runs.
    public func waitUntilIdle() async {
        while let task = tasks.values.first { await task.value }
    }

    // MARK: One job

    private func startNext() {
        while tasks.count < configuration.jobs,
            let entry = entries.values.filter({ $0.state.phase == .queued }).min(by: { $0.state.id < $1.state.id })
        {
            start(entry)
        }
    }

    private func start(_ entry: QueueEntry) {
        let (id, job): (ReproductionJob.ID, ReproductionJob) = (entry.state.id, entry.state.job)
        let time: Date = now()
        let process: WorkerProcess = WorkerProcess(
            command(job), environment: environment,
            limits: configuration.limits ?? .standard(job, atOnce: configuration.jobs))
        entry.process = process
        entry.state.phase = .running
        entry.state.startedAt = time
        entry.timeLeft.resume(seedsDone: 0, at: time)
        entry.send(.started)
        tasks[id] = Task {
            let outcome: WorkerProcess.Outcome = await process.run { await self.receive($0, of: id) }
            self.settle(id, outcome)
        }
    }

    private func receive(_ line: Data, of id: ReproductionJob.ID) {
        guard let entry = entries[id], let message = WorkerMessage(line: line) else { return }
        entry.receive(message, at: now())
    }

    private func settle(_ id: ReproductionJob.ID, _ outcome: WorkerProcess.Outcome) {
        guard let entry = entries[id], let started = entry.state.startedAt else { return }
        do {
            let report: Report = try entry.report(outcome)
            if let complaint = recording({ try $0.record(report) }) { entry.state.message = complaint }
            entry.state.seedsDone = report.seeds.count
            end(id, .finished(PaperVerdict(report)))
        } catch {
            let event: JobEvent = outcome.stop == .cancelled ? .cancelled : .failed(error.description)
            let complaint: String? = recording {
                try $0.recordFailure(
                    slug: entry.state.job.slug, startedAt: started, seconds: now().timeIntervalSince(started),
                    scale: entry.state.job.scale, seeds: entry.state.job.seeds, interrupted: event == .cancelled)
            }
            entry.state.message = complaint
            end(id, event)
        }
    }

    private func end(_ id: ReproductionJob.ID, _ event: JobEvent) {
        guard let entry = entries[id] else { return }
        tasks[id] = nil
        entry.end(event, at: now())
        let ended: [ReproductionJob.ID] = entries.keys.sorted().filter { entries[$0]?.state.phase.isFinal == true }
        for old in ended.dropLast(configuration.history) { entries[old] = nil }
        if !isClosed { startNext() }
    }

    private func removeListener(_ key: UUID, of id: ReproductionJob.ID) { entries[id]?.listeners[key] = nil }

    /// Records into the catalogue.
    ///
    /// - Returns: why that was not possible: the run's outcome does not depend on it.
    private func recording(_ body: (PaperStore) throws -> Void) -> String? {
        guard let store else { return nil }
        do { try body(store) } catch { return "the run is not in the catalogue: \(WorkerMessage.displayable("\(error)"))" }
        return nil
    }

    private func earlierSecondsPerSeed(_ job: ReproductionJob) -> Double? {
        let earlier: PaperRun? = try? store?.runs(of: job.slug).first { $0.scale == job.scale && $0.verdict.isFinished && $0.seeds > 0 }
        return earlier.map { $0.seconds / Double($0.seeds) }
    }

    private func command(_ job: ReproductionJob) -> [String] {
        [
            configuration.executable, "reproduce", job.slug, "--worker", "--scale", job.scale.rawValue, "--seeds", String(job.seeds),
            "--results", configuration.results,
        ] + (job.fresh ? ["--fresh"] : [])
    }

    /// Each process's share of the cores, unless the user has said how many; and no search for symbols when one crashes, which takes long.
    private var environment: [String: String] {
        let own: [String: String] = ProcessInfo.processInfo.environment
        let share: String = String(max(1, ProcessInfo.processInfo.activeProcessorCount / configuration.jobs))
        // MKL follows OpenMP's variable where it has none of its own; one of them set for it would win over the user's.
        let wanted: [String: String] = ["OMP_NUM_THREADS": share, "SWIFT_BACKTRACE": "enable=no"]
        return wanted.filter { own[$0.key] == nil }
    }
}
