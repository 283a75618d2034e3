import Foundation

/// How much a paper is talked about: recent runs, votes and its own newness, each decaying by its half-life.
///
/// A finished run counts 1 and a failed or interrupted one 0.25. Of the runs on one day (UTC) the k-th counts 1/k, so that running again
/// and again does not dominate; they are counted by how much each adds, largest first, since then another run never lowers a score.
public enum Trend {
    /// Half-lives in days.
    public static let runHalfLife: Double = 7
    public static let voteHalfLife: Double = 10
    public static let listingHalfLife: Double = 14

    /// The formula for a page, in plain text.
    public static let formula: String = """
        score = sum over runs of w/k · 2^(-age/7 days) + sum over votes of 2^(-age/10 days) + 2^(-time since listing/14 days), \
        w = 1 for a finished run and 0.25 for a failed or interrupted one, the k-th run of a day counting w/k
        """

    /// A run as the score sees it.
    public struct RunEvent: Sendable, Equatable {
        public let at: Date
        public let isFinished: Bool

        public init(at: Date, isFinished: Bool) {
            self.at = at
            self.isFinished = isFinished
        }
    }

    /// What happened to a paper.
    struct Events: Sendable {
        var runs: [RunEvent] = []
        var votes: [Date] = []
    }

    /// Events that lie ahead of `now`, by another machine's clock, count as new.
    public static func score(runs: [RunEvent], votes: [Date], listedOn: Date, now: Date) -> Double {
        var days: [Int: [Double]] = [:]
        for run in runs {
            let day: Int = Int((run.at.timeIntervalSince1970 / secondsOfADay).rounded(.down))
            days[day, default: []].append((run.isFinished ? 1 : 0.25) * decay(run.at, now, runHalfLife))
        }
        // Days in order, so that one set of runs gives one and the same sum.
        let ran: Double = days.sorted { $0.key < $1.key }.reduce(0) { sum, day in
            sum + day.value.sorted(by: >).enumerated().reduce(0) { $0 + $1.element / Double($1.offset + 1) }
        }
        return ran + votes.reduce(0) { $0 + decay($1, now, voteHalfLife) } + decay(listedOn, now, listingHalfLife)
    }

    static func decay(_ time: Date, _ now: Date, _ halfLife: Double) -> Double {
        exp2(-max(0, now.timeIntervalSince(time)) / secondsOfADay / halfLife)
    }

    private static let secondsOfADay: Double = 86_400
}
