import Experiments
import Foundation

/// A job in a queue, with those who listen to it. Belongs to the queue's actor.
final class QueueEntry {
    var state: JobState
    var process: WorkerProcess?
    var timeLeft: TimeLeft
    var listeners: [UUID: AsyncStream<JobEvent>.Continuation] = [:]
    /// What the worker itself said went wrong.
    private var complaint: String?
    private var reportPath: String?

    init(_ state: JobState, earlierSecondsPerSeed: Double?) {
        self.state = state
        timeLeft = TimeLeft(seeds: state.job.seeds, earlierSecondsPerSeed: earlierSecondsPerSeed, at: state.submittedAt)
    }

    func secondsLeft(at time: Date) -> Double? {
        switch state.phase {
        // A job that waits does not come nearer to its end.
        case .queued: timeLeft.seconds(at: state.submittedAt)
        case .running: timeLeft.seconds(at: time)
        case .finished, .failed, .cancelled: nil
        }
    }

    func send(_ event: JobEvent) {
        for listener in listeners.values {
            listener.yield(event)
            if event.isFinal { listener.finish() }
        }
    }

    /// The events that lead to the state there is.
    func eventsSoFar(at time: Date) -> [JobEvent] {
        var events: [JobEvent] = [.queued]
        if state.startedAt != nil { events.append(.started) }
        if !state.line.isEmpty || state.seedsDone > 0 { events.append(progress(at: time)) }
        switch state.phase {
        case .finished: if let verdict = state.verdict { events.append(.finished(verdict)) }
        case .failed: events.append(.failed(state.message ?? ""))
        case .cancelled: events.append(.cancelled)
        case .queued, .running: break
        }
        return events
    }

    private func progress(at time: Date) -> JobEvent {
        .progress(line: state.line, seedsDone: state.seedsDone, seeds: state.job.seeds, secondsLeft: secondsLeft(at: time))
    }

    /// Takes a worker's message in; a number of seeds that cannot be is brought into range.
    func receive(_ message: WorkerMessage, at time: Date) {
        switch message {
        case .started(let seedsDone):
            state.seedsDone = min(max(0, seedsDone), state.job.seeds)
            timeLeft.resume(seedsDone: state.seedsDone, at: time)
            send(progress(at: time))
        case .progress(let line, let seedsDone):
            state.seedsDone = min(max(state.seedsDone, seedsDone), state.job.seeds)
            if !line.isEmpty { state.line = WorkerMessage.displayable(line) }
            timeLeft.note(seedsDone: state.seedsDone, at: time)
            send(progress(at: time))
        case .report(let path): reportPath = path
        case .error(let message): complaint = WorkerMessage.displayable(message)
        }
    }

    /// The report that the worker has written. It counts however the process ended afterwards.
    func report(_ outcome: WorkerProcess.Outcome) throws(JobFailure) -> Report {
        guard let reportPath else { throw JobFailure(outcome, complaint: complaint) }
        guard let report = try? Report.load(URL(fileURLWithPath: reportPath)) else {
            throw JobFailure("the report \(WorkerMessage.displayable(reportPath)) cannot be read")
        }
        guard report.slug == state.job.slug, report.scale == state.job.scale, report.seeds.count == state.job.seeds else {
            throw JobFailure("the report \(WorkerMessage.displayable(reportPath)) is of another run")
        }
        state.reportPath = reportPath
        return report
    }

    func end(_ event: JobEvent, at time: Date) {
        state.endedAt = time
        switch event {
        case .finished(let verdict): (state.phase, state.verdict) = (.finished, verdict)
        case .failed(let message): (state.phase, state.message) = (.failed, message)
        default: state.phase = .cancelled
        }
        process = nil
        send(event)
        listeners = [:]
    }
}

/// Why a job has no report, in one line.
struct JobFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }

    /// By what stopped the process, else by what it said itself, else by how it ended.
    init(_ outcome: WorkerProcess.Outcome, complaint: String?) {
        switch outcome.stop {
        case .time(let limit)?: description = "it ran longer than its limit of \(Report.number(limit)) s and was stopped"
        case .memory(let limit)?: description = "it took more than its limit of \(limit / (1 << 20)) MiB of memory and was stopped"
        case .cancelled?: description = "it was cancelled"
        case nil: description = complaint ?? Self.text(outcome)
        }
    }

    private static func text(_ outcome: WorkerProcess.Outcome) -> String {
        let end: String =
            switch outcome.end {
            case .exited(0): "its process ended without a report"
            case .exited(let status): "its process ended with status \(status)"
            case .signalled(let number): "its process was ended by signal \(number) (\(String(cString: strsignal(number))))"
            case .notStarted(let reason): "its process could not be started: \(WorkerMessage.displayable(reason))"
            }
        let lines: [String] = outcome.errors.split(whereSeparator: \.isNewline).map(String.init)
        let reason: String? = lines.last { $0.contains("Fatal error") || $0.contains("rror: ") } ?? lines.last
        return end + (reason.map { ": " + WorkerMessage.displayable($0) } ?? "")
    }
}
