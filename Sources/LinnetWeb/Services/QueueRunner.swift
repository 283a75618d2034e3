import Experiments
import Papers

/// Runs the application's experiments by the queue that `linnet reproduce` has too: as child processes with limits on time and memory.
public struct QueueRunner: JobRunner {
    private let queue: ReproductionQueue
    private let seeds: Int

    /// - Parameters:
    ///   - queue: runs the jobs.
    ///   - seeds: of a run at small scale; a smoke run takes one.
    public init(_ queue: ReproductionQueue, seeds: Int = 3) {
        self.queue = queue
        self.seeds = seeds
    }

    public func submit(slug: String, scale: Scale) async throws -> String {
        let job: ReproductionJob = ReproductionJob(slug: slug, scale: scale, seeds: scale == .smoke ? 1 : seeds)
        return try await queue.submit(job).description
    }

    public func cancel(_ id: String) async {
        guard let id = Self.number(id) else { return }
        // A job that has ended meanwhile needs no cancelling.
        try? await queue.cancel(id)
    }

    public func jobs() async -> [Job] { await queue.jobs().map(Self.job) }

    public func states(of id: String) async -> AsyncStream<Job>? {
        guard let number = Self.number(id), let first = await queue.state(of: number) else { return nil }
        let events: AsyncStream<JobEvent> = await queue.events(of: number)
        let queue: ReproductionQueue = queue
        return AsyncStream { continuation in
            continuation.yield(Self.job(first))
            let follow: Task<Void, Never> = Task {
                for await _ in events {
                    if let state = await queue.state(of: number) { continuation.yield(Self.job(state)) }
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in follow.cancel() }
        }
    }

    public func shutDown() async { await queue.shutDown() }

    private static func number(_ id: String) -> ReproductionJob.ID? { Int(id).map { ReproductionJob.ID(rawValue: $0) } }

    private static func job(_ state: JobState) -> Job {
        let phase: Job.State =
            switch state.phase {
            case .queued: .queued
            case .running: .running
            case .cancelled: .cancelled
            case .failed: .failed(state.message ?? "the run failed")
            case .finished: .finished(state.verdict ?? .interrupted)
            }
        return Job(
            id: state.id.description, slug: state.job.slug, scale: state.job.scale, state: phase, line: state.line,
            seedsDone: state.seedsDone, seeds: state.job.seeds, secondsLeft: state.secondsLeft)
    }
}
