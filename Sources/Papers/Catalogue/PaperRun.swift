import Experiments
import Foundation
import GRDB

/// How a run of an experiment ended, in the catalogue's words.
public enum PaperVerdict: String, Codable, Sendable, CaseIterable {
    /// All gates passed and all claims were shown.
    case shown
    /// A gate failed or a claim was not shown.
    case notShown = "not shown"
    /// No claim was refuted and at least one is undecided.
    case inconclusive
    /// The scale judges no claims; the gates passed.
    case smoke
    /// The experiment ended with an error.
    case failed
    case interrupted

    /// The verdict that a report's gates and claims add up to.
    public init(_ report: Report) {
        if !report.gatesPassed || report.claims.contains(where: { $0.verdict == .notShown }) {
            self = .notShown
        } else if report.scale == .smoke {
            self = .smoke
        } else {
            self = report.allCriteriaMet ? .shown : .inconclusive
        }
    }

    /// Whether the run came to its end.
    public var isFinished: Bool { self != .failed && self != .interrupted }
}

/// A run of a paper's experiment, as the catalogue keeps it.
public struct PaperRun: Codable, Identifiable, Sendable, FetchableRecord {
    public let id: Int64
    public let slug: String
    /// UTC.
    public let startedAt: Date
    public let seconds: Double
    public let scale: Scale
    public let seeds: Int
    public let verdict: PaperVerdict
    /// Claims that were shown, and all claims.
    public let claimsShown: Int
    public let claims: Int
    /// The report, as `Report.json()` wrote it; nil for a run that ended without one.
    public let report: Data?

    public func decodedReport() throws -> Report? { try report.map { try Report.decode($0) } }
}
