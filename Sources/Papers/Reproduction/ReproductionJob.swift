import Experiments
import Foundation

/// What is asked of a ``ReproductionQueue``: one paper's experiment at a scale, for a number of seeds.
public struct ReproductionJob: Codable, Sendable, Hashable {
    /// A job's number in its queue, counted from 1 in the order of submission.
    public struct ID: RawRepresentable, Codable, Sendable, Hashable, Comparable, CustomStringConvertible {
        public let rawValue: Int

        public init(rawValue: Int) { self.rawValue = rawValue }

        public var description: String { String(rawValue) }

        public static func < (a: ID, b: ID) -> Bool { a.rawValue < b.rawValue }
    }

    public var slug: String
    public var scale: Scale
    /// How many seeds: 0, 1, 2, …
    public var seeds: Int
    /// Whether seeds that an earlier, interrupted run finished are measured again.
    public var fresh: Bool

    public init(slug: String, scale: Scale, seeds: Int, fresh: Bool = false) {
        self.slug = slug
        self.scale = scale
        self.seeds = seeds
        self.fresh = fresh
    }

    /// Most seeds of one job.
    public static let seedLimit: Int = 1000
}

/// Where a job stands.
public struct JobState: Codable, Sendable, Identifiable, Equatable {
    public enum Phase: String, Codable, Sendable, CaseIterable {
        case queued, running, finished, failed, cancelled

        /// Whether nothing more happens to the job.
        public var isFinal: Bool { self != .queued && self != .running }
    }

    public let id: ReproductionJob.ID
    public let job: ReproductionJob
    public internal(set) var phase: Phase = .queued
    /// The experiment's newest line on what is going on; empty before its first.
    public internal(set) var line: String = ""
    /// Seeds that are measured, those of an earlier run that was continued among them.
    public internal(set) var seedsDone: Int = 0
    /// Seconds that the job is likely to need still, not counting how long it waits; nil while nothing is known, or when it takes longer than
    /// was thought.
    public internal(set) var secondsLeft: Double?
    /// UTC.
    public let submittedAt: Date
    public internal(set) var startedAt: Date?
    public internal(set) var endedAt: Date?
    /// Of a finished job.
    public internal(set) var verdict: PaperVerdict?
    /// The report's file, of a finished job.
    public internal(set) var reportPath: String?
    /// What a failed job failed at, in one line.
    public internal(set) var message: String?

    init(id: ReproductionJob.ID, job: ReproductionJob, submittedAt: Date) {
        self.id = id
        self.job = job
        self.submittedAt = submittedAt
    }
}

/// What happens to a job, in this order: queued, started, any number of progress events, and one of the last three.
///
/// A job that is cancelled before its turn is never started.
public enum JobEvent: Sendable, Equatable {
    case queued
    case started
    /// `secondsLeft` is nil while nothing is known.
    case progress(line: String, seedsDone: Int, seeds: Int, secondsLeft: Double?)
    case finished(PaperVerdict)
    /// What it failed at, in one line.
    case failed(String)
    case cancelled

    /// Whether no event follows.
    public var isFinal: Bool {
        switch self {
        case .finished, .failed, .cancelled: true
        case .queued, .started, .progress: false
        }
    }
}

/// Why a ``ReproductionQueue`` does not take a job, or has none of that number.
public enum ReproductionError: Error, CustomStringConvertible, Equatable, Sendable {
    case unknownExperiment(String)
    case seeds(Int)
    /// As many jobs wait as may.
    case full(capacity: Int)
    /// The same experiment at the same scale waits or runs already.
    case alreadyQueued(slug: String, scale: Scale, ReproductionJob.ID)
    case unknownJob(ReproductionJob.ID)
    /// The queue has been shut down.
    case closed

    public var description: String {
        switch self {
        case .unknownExperiment(let slug): "there is no experiment '\(slug)'; see `linnet reproduce --list`"
        case .seeds(let seeds): "a run needs 1 to \(ReproductionJob.seedLimit) seeds, not \(seeds)"
        case .full(let capacity): "\(capacity) runs are waiting already, which is as many as may; try again when one has ended"
        case .alreadyQueued(let slug, let scale, let id): "\(slug) at \(scale.rawValue) waits or runs already, as job \(id)"
        case .unknownJob(let id): "there is no job \(id)"
        case .closed: "the queue is shut down and takes no more runs"
        }
    }
}
