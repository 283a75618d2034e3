import Experiments
import Papers

/// Who runs experiments for the application: the queue of `linnet reproduce`, or a stand-in for it in tests.
public protocol JobRunner: Sendable {
    /// Queues a run.
    ///
    /// - Returns: the job's id.
    /// - Throws: when the queue is full, or has no experiment of that slug; the description is one line for the visitor.
    func submit(slug: String, scale: Scale) async throws -> String

    /// Ends a job that waits or runs; another is left alone.
    func cancel(_ id: String) async

    /// What waits and runs, and the last that ended.
    func jobs() async -> [Job]

    /// A job's states from now on, first the present one; the stream ends when the job has. Nil for a job that is not known.
    func states(of id: String) async -> AsyncStream<Job>?

    /// Ends every job.
    func shutDown() async
}

/// A run of an experiment that was asked for in the application.
public struct Job: Sendable, Equatable, Identifiable {
    public enum State: Sendable, Equatable {
        case queued, running, cancelled
        case finished(PaperVerdict)
        case failed(String)
    }

    public let id: String
    public let slug: String
    public let scale: Scale
    public var state: State
    /// What the experiment said last.
    public var line: String
    public var seedsDone: Int
    public let seeds: Int
    public var secondsLeft: Double?

    public init(
        id: String, slug: String, scale: Scale, state: State = .queued, line: String = "", seedsDone: Int = 0, seeds: Int,
        secondsLeft: Double? = nil
    ) {
        self.id = id
        self.slug = slug
        self.scale = scale
        self.state = state
        self.line = line
        self.seedsDone = seedsDone
        self.seeds = seeds
        self.secondsLeft = secondsLeft
    }

    /// Whether it waits or runs.
    public var isActive: Bool { state == .queued || state == .running }
}
