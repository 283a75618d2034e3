import Foundation

/// How a job is shown, in a page and in the events that bring it up to date.
struct JobView: Encodable, Sendable {
    let id: String
    let scale: String
    let label: String
    let tone: String
    let line: String
    let done: Int
    let seeds: Int
    let isRunning: Bool
    /// Whether there is a new run to look at.
    let hasReport: Bool

    init(_ job: Job) {
        id = job.id
        scale = job.scale.rawValue
        done = job.seedsDone
        seeds = job.seeds
        isRunning = job.isActive
        switch job.state {
        case .queued: (label, tone, line, hasReport) = ("waiting", "quiet", "", false)
        case .running: (label, tone, line, hasReport) = ("running", "ready", Self.progress(job), false)
        case .cancelled: (label, tone, line, hasReport) = ("cancelled", "quiet", "", false)
        case .failed(let reason): (label, tone, line, hasReport) = ("failed", "bad", reason, false)
        case .finished(let verdict): (label, tone, line, hasReport) = (verdict.label, verdict.tone, "finished", true)
        }
    }

    private static func progress(_ job: Job) -> String {
        let left: String? = job.secondsLeft.map { "about \(Wording.seconds($0)) left" }
        return ["\(job.seedsDone) of \(Wording.count(job.seeds, "seed"))", left, job.line.isEmpty ? nil : job.line].compactMap { $0 }
            .joined(separator: ", ")
    }

    var view: View {
        [
            "id": id, "scale": scale, "stateLabel": label, "tone": tone, "line": line, "done": done, "seeds": seeds, "isRunning": isRunning,
            "state": isRunning ? "active" : "ended",
        ]
    }
}
