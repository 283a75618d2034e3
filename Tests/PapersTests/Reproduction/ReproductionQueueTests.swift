import Experiments
import Foundation
import TestSupport
import Testing

@testable import Papers

@Suite struct ReproductionQueueTests {
    @Test func aJobGoesFromSubmissionToItsReport() async throws {
        try await FakeWorker.with("say 'first seed' 0; say '' 1; report") { (worker) async throws in
            let queue: ReproductionQueue = worker.queue()
            let id: ReproductionJob.ID = try await queue.submit(ReproductionJob(slug: "gla", scale: .smoke, seeds: 1))
            var events: [JobEvent] = []
            for await event in await queue.events(of: id) { events.append(event) }
            #expect(events.first == .queued && events.dropFirst().first == .started && events.last == .finished(.smoke))
            #expect(events.contains { if case .progress("first seed", 0, 1, _) = $0 { true } else { false } })
            let state: JobState = try #require(await queue.state(of: id))
            #expect(state.phase == .finished && state.verdict == .smoke && state.seedsDone == 1 && state.message == nil)
            #expect(state.reportPath == worker.folder.path + "/gla.fake")
            #expect(try worker.store.runs(of: "gla").map(\.verdict) == [.smoke])
            // Whoever comes late hears what has happened.
            var late: [JobEvent] = []
            for await event in await queue.events(of: id) { late.append(event) }
            #expect(
                late == [.queued, .started, .progress(line: "first seed", seedsDone: 1, seeds: 1, secondsLeft: nil), .finished(.smoke)])
        }
    }

    @Test func aCrashAndAnErrorFailTheirJobsAlone() async throws {
        let script: String = """
            case $slug in
            gla) kill -SEGV $$;;
            lit) echo 'loading' >&2; echo 'Fatal error: shapes differ' >&2; echo 'at line 7' >&2; exit 3;;
            mom) printf '%s\\n' '{"error":{"message":"no such\\nfile \\u001b[31m"}}'; exit 1;;
            *) report;;
            esac
            """
        try await FakeWorker.with(script) { (worker) async throws in
            let queue: ReproductionQueue = worker.queue()
            #expect(try await queue.outcome(of: "gla")?.failure?.hasPrefix("its process was ended by signal 11") == true)
            #expect(try await queue.outcome(of: "lit")?.failure == "its process ended with status 3: Fatal error: shapes differ")
            #expect(try await queue.outcome(of: "mom")?.failure == "no such file [31m")
            #expect(try await queue.outcome(of: "deltanet") == .finished(.smoke))
            #expect(try worker.store.runs(of: "gla").map(\.verdict) == [.failed])
            #expect(await queue.jobs().map(\.phase) == [.failed, .failed, .failed, .finished])
        }
    }

    @Test func aReportThatIsMissingBrokenOrAnothersIsAFailure() async throws {
        let script: String = """
            case $slug in
            gla) :;;
            lit) echo '{' > lit.fake; report;;
            mom) slug=gla; report;;
            esac
            """
        try await FakeWorker.with(script) { (worker) async throws in
            let queue: ReproductionQueue = worker.queue()
            #expect(try await queue.outcome(of: "gla")?.failure == "its process ended without a report")
            #expect(try await queue.outcome(of: "lit")?.failure?.contains("cannot be read") == true)
            #expect(try await queue.outcome(of: "mom")?.failure?.contains("is of another run") == true)
            #expect(try await queue.outcome(of: "gla", seeds: 2) == .failed("its process ended without a report"))
        }
    }

    @Test func aReportCountsEvenWhenTheProcessCrashesAfterIt() async throws {
        try await FakeWorker.with("report; kill -ABRT $$") { (worker) async throws in
            #expect(try await worker.queue().outcome(of: "gla") == .finished(.smoke))
        }
    }

    @Test func garbageOnThePipeIsPassedOver() async throws {
        let script: String = """
            head -c 300000 /dev/zero | tr '\\0' x; echo
            head -c 100000 /dev/urandom; echo
            echo 'warning: not JSON'; echo '{"other":1}'; echo '{"progress":{"line":7}}'
            say 'over\\trange' 9; say 'back' -4
            report
            """
        try await FakeWorker.with(script) { (worker) async throws in
            let queue: ReproductionQueue = worker.queue()
            #expect(try await queue.outcome(of: "gla") == .finished(.smoke))
            let state: JobState = try #require(await queue.jobs().first)
            #expect(state.line == "back" && state.seedsDone == 1)
        }
    }

    @Test func aHangingJobIsCancelledThoughItIgnoresTheRequest() async throws {
        try await FakeWorker.with("trap '' TERM; say 'hanging' 0; while :; do sleep 0.05; done") { (worker) async throws in
            let queue: ReproductionQueue = worker.queue()
            let id: ReproductionJob.ID = try await queue.submit(ReproductionJob(slug: "gla", scale: .smoke, seeds: 1))
            let waiting: ReproductionJob.ID = try await queue.submit(ReproductionJob(slug: "lit", scale: .smoke, seeds: 1))
            #expect(await waitUntil { await queue.state(of: id)?.line == "hanging" })
            try await queue.cancel(waiting)
            #expect(await queue.state(of: waiting)?.phase == .cancelled)
            try await queue.cancel(id)
            var last: JobEvent?
            for await event in await queue.events(of: id) { last = event }
            #expect(last == .cancelled)
            #expect(try worker.store.runs(of: "gla").map(\.verdict) == [.interrupted])
            #expect(try worker.store.runs(of: "lit").isEmpty)
            // What has ended stays as it is.
            try await queue.cancel(id)
            #expect(await queue.state(of: id)?.phase == .cancelled)
            await #expect(throws: ReproductionError.unknownJob(.init(rawValue: 99))) { try await queue.cancel(.init(rawValue: 99)) }
        }
    }

    @Test func asManyRunAtOnceAsMay() async throws {
        // The first waits for the second, however slowly that one starts; a third beside them would show.
        let meeting: String = "n=0; while [ $(grep -c + log) -lt 2 ] && [ $n -lt 600 ]; do sleep 0.05; n=$((n + 1)); done"
        try await FakeWorker.with("echo + >> log; \(meeting); sleep 0.3; echo - >> log; report") { (worker) async throws in
            let queue: ReproductionQueue = worker.queue(jobs: 2)
            for slug in FakeWorker.slugs { try await queue.submit(ReproductionJob(slug: slug, scale: .smoke, seeds: 1)) }
            #expect(await queue.jobs().map(\.phase) == [.running, .running, .queued, .queued])
            await queue.waitUntilIdle()
            var (running, most): (Int, Int) = (0, 0)
            for line in worker.text("log").split(separator: "\n") {
                running += line == "+" ? 1 : -1
                most = max(most, running)
            }
            #expect(most == 2 && running == 0)
            #expect(await queue.jobs().map(\.phase) == [.finished, .finished, .finished, .finished])
        }
    }

    @Test func eachProcessGetsItsShareOfTheCores() async throws {
        let script: String = "echo $OMP_NUM_THREADS,$MKL_NUM_THREADS > threads; echo \"$@\" > arguments; report"
        try await FakeWorker.with(script) { (worker) async throws in
            _ = try await worker.queue(jobs: 64).outcome(of: "gla")
            let own: [String: String] = ProcessInfo.processInfo.environment
            #expect(worker.text("threads") == "\(own["OMP_NUM_THREADS"] ?? "1"),\(own["MKL_NUM_THREADS"] ?? "")\n")
            #expect(worker.text("arguments") == "reproduce gla --worker --scale smoke --seeds 1 --results \(worker.folder.path)\n")
        }
    }

    @Test func whatCannotRunIsRefused() async throws {
        try await FakeWorker.with("sleep 60") { (worker) async throws in
            let queue: ReproductionQueue = worker.queue(capacity: 1)
            func submit(_ slug: String, _ seeds: Int = 1) async throws {
                try await queue.submit(ReproductionJob(slug: slug, scale: .smoke, seeds: seeds))
            }
            await #expect(throws: ReproductionError.unknownExperiment("../etc")) { try await submit("../etc") }
            await #expect(throws: ReproductionError.seeds(0)) { try await submit("gla", 0) }
            await #expect(throws: ReproductionError.seeds(1001)) { try await submit("gla", 1001) }
            try await submit("gla")
            await #expect(throws: ReproductionError.alreadyQueued(slug: "gla", scale: .smoke, .init(rawValue: 1))) {
                try await submit("gla")
            }
            try await submit("lit")
            await #expect(throws: ReproductionError.full(capacity: 1)) { try await submit("mom") }
            await queue.shutDown()
            #expect(await queue.jobs().map(\.phase) == [.cancelled, .cancelled])
            await #expect(throws: ReproductionError.closed) { try await submit("mom") }
        }
    }

    @Test func onlyTheNewestJobsAreRemembered() async throws {
        try await FakeWorker.with("report") { (worker) async throws in
            let queue: ReproductionQueue = worker.queue(history: 2)
            for slug in ["gla", "lit", "mom"] { _ = try await queue.outcome(of: slug) }
            #expect(await queue.jobs().map(\.job.slug) == ["lit", "mom"])
            var events: Int = 0
            for await _ in await queue.events(of: .init(rawValue: 1)) { events += 1 }
            #expect(events == 0)
        }
    }

    @Test func earlierRunsTellTheTimeThatIsLeft() async throws {
        try await FakeWorker.with("sleep 60") { (worker) async throws in
            // 12 seconds for one seed.
            try worker.store.record(FakeWorker.report("gla"))
            let time: Date = Date()
            let queue: ReproductionQueue = worker.queue(now: { time })
            try await queue.submit(ReproductionJob(slug: "gla", scale: .smoke, seeds: 10))
            try await queue.submit(ReproductionJob(slug: "lit", scale: .smoke, seeds: 1))
            let jobs: [JobState] = await queue.jobs()
            let left: Double = try #require(jobs[0].secondsLeft)
            #expect(abs(left - 120) < 1e-6)
            #expect(jobs[1].secondsLeft == nil)
            await queue.shutDown()
        }
    }

    @Test func aRunThatTheCatalogueDoesNotTakeIsFinishedStill() async throws {
        try await FakeWorker.with("report") { (worker) async throws in
            let store: PaperStore = try PaperStore(worker.folder.path + "/empty.db", cards: [])
            let queue: ReproductionQueue = ReproductionQueue(
                ReproductionQueue.Configuration(executable: worker.folder.path + "/worker", slugs: ["gla"]), store: store)
            #expect(try await queue.outcome(of: "gla") == .finished(.smoke))
            #expect(await queue.jobs().first?.message?.contains("not in the catalogue") == true)
        }
    }
}
