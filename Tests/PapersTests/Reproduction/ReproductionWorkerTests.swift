import Experiments
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Papers

/// What the fake experiments were asked for, and when they are to fail.
private enum Trace {
    static let seeds: Mutex<[[UInt64]]> = Mutex([])
    static let failingSeed: Mutex<UInt64?> = Mutex(nil)
}

private struct FakeExperiment: Experiment {
    static let slug: String = "fake"
    static let summary: String = "A number."
    static let criteria: Criteria = Criteria(gates: [Gate("the number is there") { $0["a", "m"] >= 0 }], claims: [])

    func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        Trace.seeds.withLock { $0.append(context.seeds) }
        var measurements: Measurements = Measurements()
        for seed in context.seeds {
            try context.checkCancellation()
            context.progress("seed \(seed)")
            if Trace.failingSeed.withLock({ $0 }) == seed { throw PaperError.noCards }
            measurements.record("a", "m", seed: seed, Double(seed))
            measurements.record("a", "infinite", seed: seed, .infinity)
            if context.isFirst(seed) { measurements.record("a", "once", seed: seed, 1) }
            measurements.record(curve: Measurements.Curve(method: "a", metric: "loss", axis: "step", seed: seed, x: [1], y: [.nan]))
        }
        return measurements
    }
}

private struct TogetherExperiment: Experiment {
    static let slug: String = "together"
    static let summary: String = "All seeds at once."
    static let criteria: Criteria = Criteria(gates: [], claims: [])
    static let seedsAreIndependent: Bool = false

    func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        try await FakeExperiment().run(scale, context: context)
    }
}

@Suite(.serialized) struct ReproductionWorkerTests {
    private final class Output: Sendable {
        let messages: Mutex<[WorkerMessage]> = Mutex([])
        var all: [WorkerMessage] { messages.withLock { $0 } }
    }

    private let output: Output = Output()

    init() {
        Trace.seeds.withLock { $0 = [] }
        Trace.failingSeed.withLock { $0 = nil }
    }

    private func work(
        _ slug: String = "fake", seeds: Int = 3, fresh: Bool = false, build: String = "one", in folder: URL, cancelled: Bool = false
    ) async -> Int32 {
        output.messages.withLock { $0 = [] }
        Trace.seeds.withLock { $0 = [] }
        let worker: ReproductionWorker = ReproductionWorker(
            ReproductionJob(slug: slug, scale: .small, seeds: seeds, fresh: fresh), results: folder.path + "/results",
            experiments: [FakeExperiment.self, TogetherExperiment.self], build: build, isCancelled: { cancelled },
            write: { [output] line in
                guard let message = WorkerMessage(line: line) else { return }
                output.messages.withLock { $0.append(message) }
            })
        return await worker.run()
    }

    private func inFolder(_ body: (URL) async throws -> Void) async throws {
        let folder: URL = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder)
    }

    private func report(_ folder: URL) throws -> Report { try ReportFolder.report(folder.path + "/results/fake.small.json") }

    /// Runs until the experiment fails at seed 2, which leaves seeds 0 and 1.
    private func leaveTwoSeeds(in folder: URL) async {
        Trace.failingSeed.withLock { $0 = 2 }
        #expect(await work(in: folder) == 1)
        Trace.failingSeed.withLock { $0 = nil }
    }

    @Test func itMeasuresEachSeedAndWritesTheReport() async throws {
        try await inFolder { (folder) async throws in
            #expect(await work(in: folder) == 0)
            #expect(Trace.seeds.withLock { $0 } == [[0], [1], [2]])
            let report: Report = try report(folder)
            #expect(report.seeds == [0, 1, 2] && report.resumedSeeds == nil && report.gatesPassed)
            #expect(report.measurements.value("a", "once", seed: 0) == 1 && report.measurements.value("a", "once", seed: 1) == nil)
            #expect(FileManager.default.fileExists(atPath: folder.path + "/results/fake.small.html"))
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/results/.partial"))
            #expect(output.all.first == .started(seedsDone: 0))
            #expect(output.all.contains(.progress(line: "seed 1", seedsDone: 1)))
            #expect(output.all.last == .report(path: folder.path + "/results/fake.small.json"))
        }
    }

    @Test func aRunThatFailedContinuesWithItsFinishedSeeds() async throws {
        try await inFolder { (folder) async throws in
            await leaveTwoSeeds(in: folder)
            #expect(output.all.last == .error(message: PaperError.noCards.description))
            #expect(FileManager.default.fileExists(atPath: folder.path + "/results/.partial/fake.small.1.json"))
            #expect(await work(in: folder) == 0)
            #expect(Trace.seeds.withLock { $0 } == [[2]])
            #expect(output.all.first == .started(seedsDone: 2))
            let report: Report = try report(folder)
            #expect(report.resumedSeeds == [0, 1] && report.text().contains("(continued: an earlier run had measured 2)"))
            #expect((0..<3).map { report.measurements.value("a", "m", seed: $0) } == [0, 1, 2])
            #expect(report.measurements.value("a", "once", seed: 0) == 1 && report.measurements.value("a", "once", seed: 2) == nil)
            #expect(report.measurements.value("a", "infinite", seed: 1) == .infinity && report.measurements.curves.count == 3)
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/results/.partial"))
        }
    }

    @Test func theSecondsAreThoseOfAllSeeds() async throws {
        try await inFolder { (folder) async throws in
            let kept: PartialResults = PartialResults(results: folder.path + "/results", slug: "fake", scale: .small, build: "one")
            var measurements: Measurements = Measurements()
            measurements.record("a", "m", seed: 1, 5)
            try kept.store(measurements, seed: 1, seconds: 1000)
            #expect(await work(seeds: 2, in: folder) == 0)
            #expect(Trace.seeds.withLock { $0 } == [[0]])
            let report: Report = try report(folder)
            #expect(report.seconds > 1000 && report.seconds < 1100 && Date().timeIntervalSince(report.started) < 100)
            #expect(report.measurements.value("a", "m", seed: 1) == 5)
        }
    }

    @Test func whatAnotherBuildMeasuredIsNotContinuedWith() async throws {
        try await inFolder { (folder) async throws in
            await leaveTwoSeeds(in: folder)
            #expect(await work(build: "two", in: folder) == 0)
            #expect(Trace.seeds.withLock { $0 } == [[0], [1], [2]])
        }
    }

    @Test func freshStartsOver() async throws {
        try await inFolder { (folder) async throws in
            await leaveTwoSeeds(in: folder)
            #expect(await work(fresh: true, in: folder) == 0)
            #expect(Trace.seeds.withLock { $0 } == [[0], [1], [2]])
            #expect(try report(folder).resumedSeeds == nil)
        }
    }

    @Test(arguments: [
        "", "{", "[]", #"{"build":"one","seed":1,"seconds":1,"measurements":{"values":[],"curves":[]}}"#,
        #"{"build":"one","seed":0,"seconds":1,"measurements":{"values":[{"method":"a","metric":"m","seed":0,"value":1}],"curves":[]}}"#,
        #"{"build":"one","seed":1,"seconds":1,"measurements":{"values":[{"method":"a","metric":"m","seed":1,"value":1},{"method":"a","metric":"m","seed":1,"value":2}],"curves":[]}}"#,
    ])
    func aBrokenRemainderIsMeasuredAgain(text: String) async throws {
        try await inFolder { (folder) async throws in
            await leaveTwoSeeds(in: folder)
            try Data(text.utf8).write(to: folder.appendingPathComponent("results/.partial/fake.small.1.json"))
            #expect(await work(in: folder) == 0)
            #expect(Trace.seeds.withLock { $0 } == [[1], [2]])
            #expect(try report(folder).measurements.value("a", "m", seed: 1) == 1)
        }
    }

    @Test func seedsThatDependOnOneAnotherAreMeasuredTogether() async throws {
        try await inFolder { (folder) async throws in
            #expect(await work("together", in: folder) == 0)
            #expect(Trace.seeds.withLock { $0 } == [[0, 1, 2]])
        }
    }

    @Test func anInterruptIsNoError() async throws {
        try await inFolder { (folder) async throws in
            #expect(await work(in: folder, cancelled: true) == 130)
            #expect(output.all == [.started(seedsDone: 0)])
            #expect(!FileManager.default.fileExists(atPath: folder.path + "/results"))
        }
    }

    @Test func whatIsNotThereIsAnError() async throws {
        try await inFolder { (folder) async throws in
            #expect(await work("nothing", in: folder) == 1)
            #expect(output.all == [.error(message: ReproductionError.unknownExperiment("nothing").description)])
        }
    }

    @Test func anotherFileIsAnotherBuild() throws {
        try TestPaths.withTemporaryFolder { folder in
            let file: URL = folder.appendingPathComponent("program")
            #expect(BuildIdentity.of(file.path) == nil)
            try Data("one".utf8).write(to: file)
            let first: String? = BuildIdentity.of(file.path)
            #expect(first != nil && BuildIdentity.of(file.path) == first)
            try Data("another".utf8).write(to: file)
            #expect(BuildIdentity.of(file.path) != first)
        }
    }
}
