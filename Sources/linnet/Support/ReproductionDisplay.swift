import Foundation
import Papers
import Training

/// What goes on in a queue, on standard error: on a terminal a line for each running job that is drawn again and again, elsewhere plain lines.
actor ReproductionDisplay {
    private let write: @Sendable (String) -> Void
    private let columns: @Sendable () -> Int
    private let isTerminal: Bool
    /// Lines drawn last, which the next drawing replaces.
    private var drawnLines: Int = 0
    /// The last line written for each paper, so that none comes twice.
    private var lastLine: [String: String] = [:]

    init(
        isTerminal: Bool = ProgressStyle.automatic() == .bar,
        write: @escaping @Sendable (String) -> Void = { FileHandle.standardError.write(Data($0.utf8)) },
        columns: @escaping @Sendable () -> Int = { ProgressOutput.standardError().columns() }
    ) {
        self.isTerminal = isTerminal
        self.write = write
        self.columns = columns
    }

    /// Says what happened to a job, as far as the drawn lines do not.
    func note(_ event: JobEvent, of job: ReproductionJob) {
        switch event {
        case .queued, .started, .finished: return
        case .failed(let reason): message("\(job.slug): failed: \(reason)")
        case .cancelled: message("\(job.slug): interrupted; the same command continues it")
        case .progress(let line, let seedsDone, let seeds, let secondsLeft):
            guard !isTerminal, !line.isEmpty, lastLine[job.slug] != line else { return }
            lastLine[job.slug] = line
            message("\(job.slug): \(line) (\(Self.standing(seedsDone, of: seeds, secondsLeft)))")
        }
    }

    /// Writes a line above the drawn ones.
    func message(_ text: String) {
        erase()
        write(text + "\n")
    }

    /// Prints a report to standard output, above the drawn lines.
    func printReport(_ text: String) {
        erase()
        FileHandle.standardOutput.write(Data((text + "\n\n").utf8))
    }

    /// Draws the jobs on a terminal.
    func draw(_ jobs: [JobState]) {
        guard isTerminal else { return }
        let running: [JobState] = jobs.filter { $0.phase == .running }
        let width: Int = running.map { $0.job.slug.count }.max() ?? 0
        let lines: [String] = running.map { state in
            let standing: String = Self.standing(state.seedsDone, of: state.job.seeds, state.secondsLeft)
            return DisplayWidth.pad(state.job.slug, to: width) + "  \(standing)  \(state.line)"
        }
        erase()
        // One column stays free: a terminal wraps when the last one is written.
        let room: Int = columns() - 1
        for line in lines + [Self.overview(jobs)] { write(DisplayWidth.prefix(line, columns: room) + "\n") }
        drawnLines = lines.count + 1
    }

    /// Takes the drawn lines away.
    func end() { erase() }

    private func erase() {
        if drawnLines > 0 { write("\u{1B}[\(drawnLines)A\r\u{1B}[J") }
        drawnLines = 0
    }

    private static func standing(_ seedsDone: Int, of seeds: Int, _ secondsLeft: Double?) -> String {
        "\(seedsDone)/\(seeds) seed\(seeds == 1 ? "" : "s")" + (secondsLeft.map { ", \(ProgressText.duration($0)) left" } ?? "")
    }

    /// "3 of 12 done, 1 failed, 2 running, 1:02:00 left in all": the time is known when that of each job is.
    private static func overview(_ jobs: [JobState]) -> String {
        func count(_ phase: JobState.Phase) -> Int { jobs.count { $0.phase == phase } }
        let open: [JobState] = jobs.filter { !$0.phase.isFinal }
        let times: [Double] = open.compactMap(\.secondsLeft)
        var parts: [String] = ["\(count(.finished)) of \(jobs.count) done"]
        if count(.failed) > 0 { parts.append("\(count(.failed)) failed") }
        parts.append("\(count(.running)) running")
        if times.count == open.count, !open.isEmpty {
            parts.append("\(ProgressText.duration(times.reduce(0, +) / Double(max(1, count(.running))))) left in all")
        }
        return parts.joined(separator: ", ")
    }
}
