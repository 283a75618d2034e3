import Experiments
import Foundation
import Papers
import Training

/// Runs jobs through a queue for a terminal: shows what goes on, prints the reports as they come and a table of all at the end.
struct ReproductionSession {
    let queue: ReproductionQueue
    var display: ReproductionDisplay = ReproductionDisplay()

    /// - Returns: the exit status: 0 when all criteria were met, 1 when not, 130 after an interrupt.
    func run(_ jobs: [ReproductionJob]) async throws -> Int32 {
        var ids: [ReproductionJob.ID] = []
        for job in jobs { ids.append(try await queue.submit(job)) }
        let outcomes: [Outcome] = await withTaskGroup(of: Outcome?.self) { group in
            for id in ids { group.addTask { await follow(id) } }
            group.addTask {
                await keepDrawing()
                return nil
            }
            var outcomes: [Outcome] = []
            while let outcome = await group.next() {
                if let outcome { outcomes.append(outcome) }
                if outcomes.count == ids.count { group.cancelAll() }
            }
            return outcomes.sorted { $0.state.id < $1.state.id }
        }
        await display.end()
        if jobs.count > 1 { print(Self.table(outcomes)) }
        if outcomes.contains(where: { $0.state.phase == .cancelled }) { return 130 }
        return outcomes.allSatisfy { $0.report?.allCriteriaMet == true } ? 0 : 1
    }

    private struct Outcome: Sendable {
        let state: JobState
        let report: Report?
    }

    private func follow(_ id: ReproductionJob.ID) async -> Outcome? {
        guard let job = await queue.state(of: id)?.job else { return nil }
        for await event in await queue.events(of: id) { await display.note(event, of: job) }
        guard let state = await queue.state(of: id) else { return nil }
        let report: Report? = state.reportPath.flatMap { try? ReportFolder.report($0) }
        if let report { await display.printReport(report.text()) }
        if state.phase == .finished, let complaint = state.message { await display.message("\(job.slug): \(complaint)") }
        return Outcome(state: state, report: report)
    }

    /// Draws until it is cancelled, and hands an interrupt on to the queue.
    private func keepDrawing() async {
        while !Task.isCancelled {
            if Interrupt.isRequested {
                await queue.shutDown()
                return
            }
            await display.draw(await queue.jobs())
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    private static func table(_ outcomes: [Outcome]) -> String {
        let header: [String] = ["paper", "verdict", "claims shown", "gates passed", "seconds"]
        let rows: [[String]] = outcomes.map { outcome in
            let state: JobState = outcome.state
            guard let report = outcome.report else { return [state.job.slug, state.phase.rawValue, "-", "-", seconds(state)] }
            let shown: Int = report.claims.count { $0.verdict == .shown }
            return [
                state.job.slug, PaperVerdict(report).rawValue, report.claims.isEmpty ? "-" : "\(shown)/\(report.claims.count)",
                "\(report.gates.count(where: \.passed))/\(report.gates.count)", Report.number(report.seconds.rounded()),
            ]
        }
        return RunTable.table([header] + rows, numeric: [2, 3, 4])
    }

    private static func seconds(_ state: JobState) -> String {
        guard let started = state.startedAt, let ended = state.endedAt else { return "-" }
        return Report.number(ended.timeIntervalSince(started).rounded())
    }
}
