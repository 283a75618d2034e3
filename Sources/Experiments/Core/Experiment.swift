import Foundation

/// How much work an experiment does.
public enum Scale: String, Codable, Sendable, CaseIterable {
    /// Seconds: everything runs and the gates hold; claims are not judged.
    case smoke
    /// At most about five minutes on two cores for one seed set; the claims are judged.
    case small
    /// The paper's own setting, or a GPU's share of it.
    case full
}

/// A paper's claim as a program: the component against its baselines on data, and criteria fixed beforehand.
public protocol Experiment: Sendable {
    /// The paper's short name, as in the catalogue.
    static var slug: String { get }
    /// What is compared on which data, in one sentence.
    static var summary: String { get }
    /// Fixed before the run; a verdict is computed from the measurements by these alone.
    static var criteria: Criteria { get }
    /// Whether a seed's measurements are the same when the other seeds are measured by a run of their own, so that an interrupted run can be
    /// continued seed by seed. By default they are; what is done for the first seed alone asks ``ExperimentContext/isFirst(_:)``.
    static var seedsAreIndependent: Bool { get }
    /// Whether it divides its work among the processes of a launcher (`linnet launch -n 4 -- reproduce SLUG`); by default it does not.
    static var usesProcessGroup: Bool { get }

    init()

    /// Runs all seeds of `context` and records measurements and curves.
    func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements
}

extension Experiment {
    public static var seedsAreIndependent: Bool { true }
    public static var usesProcessGroup: Bool { false }
}

/// What an experiment gets from whoever runs it.
public struct ExperimentContext: Sendable {
    public let seeds: [UInt64]
    /// The first seed of the whole experiment; `seeds` begins with it unless an earlier run has measured it.
    private let firstSeed: UInt64?
    /// Receives one line on what is going on, for a progress display.
    public let progress: @Sendable (String) -> Void
    /// Set by the runner on Ctrl-C; long loops look at it between steps.
    public let isCancelled: @Sendable () -> Bool

    /// - Parameters:
    ///   - seeds: those to measure.
    ///   - firstSeed: the first seed of the experiment of which these are a part; by default the first of `seeds`.
    ///   - progress: receives one line on what is going on.
    ///   - isCancelled: whether the run is to stop.
    public init(
        seeds: [UInt64], firstSeed: UInt64? = nil, progress: @escaping @Sendable (String) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) {
        self.seeds = seeds
        self.firstSeed = firstSeed ?? seeds.first
        self.progress = progress
        self.isCancelled = isCancelled
    }

    /// Whether this is the seed for which an experiment measures what it measures only once.
    public func isFirst(_ seed: UInt64) -> Bool { seed == firstSeed }

    /// Throws `CancellationError` when the run is to stop.
    public func checkCancellation() throws {
        if isCancelled() || Task.isCancelled { throw CancellationError() }
    }
}

extension Experiment {
    /// Runs the experiment and judges it.
    public static func report(_ scale: Scale, context: ExperimentContext) async throws -> Report {
        let started: Date = Date()
        let measurements: Measurements = try await Self().run(scale, context: context)
        return Report(
            slug: slug, summary: summary, scale: scale, seeds: context.seeds, started: started, seconds: Date().timeIntervalSince(started),
            measurements: measurements, criteria: criteria)
    }
}
