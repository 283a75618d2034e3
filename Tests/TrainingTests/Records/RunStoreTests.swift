import Foundation
import GRDB
import TestSupport
import Testing
import Torch

@testable import Training

@Suite(.ownRandomNumbers) struct RunStoreTests {
    let scratch = Scratch()

    private func store() throws -> RunStore { try RunStore(scratch.file("deep/runs.sqlite")) }

    private func describe(_ name: String, _ configuration: String = "{}") -> RunDescription {
        RunDescription(name: name, kind: "train lm", command: "linnet train", configuration: configuration, commit: "abc123", seed: .max)
    }

    @Test func recordsAndReadsARun() throws {
        let recorder = try store().start(describe("first", "{\"model\":{\"layers\":2}}"))
        for step in 0..<2000 { recorder.log(step: step, metrics: ["loss": 1 / Double(step + 1), "accuracy": Double(step)]) }
        recorder.log(step: 2000, metrics: ["loss": .nan, "accuracy": -.infinity])
        try recorder.close()
        try recorder.close()

        let reopened = try store()
        let run = try reopened.find("latest")
        #expect(run.id == recorder.run.id && run.status == .finished && run.seed == .max && run.commit == "abc123" && run.ended != nil)
        let metrics = try reopened.metrics(of: run)
        #expect(metrics.map(\.name) == ["accuracy", "loss"] && metrics.allSatisfy { $0.count == 2001 })
        #expect(metrics[0].best?.step == 1999 && metrics[1].best?.value == 1 / 2000.0)
        #expect(metrics[1].last.value.isNaN && metrics[0].last.value == -.infinity && metrics[1].first.value == 1)
        let points = try reopened.points(of: run, metric: "loss")
        #expect(points.count == 2001 && points[10].step == 10 && points[10].value == 1 / 11.0)
        #expect(try reopened.points(of: run, metric: "none").isEmpty)
    }

    @Test func findsRunsByPartsAndNames() throws {
        let store = try store()
        let old = try store.start(describe("a"), now: Date(timeIntervalSince1970: 0)).run
        let new = try store.start(describe("b"), now: Date(timeIntervalSince1970: 86_400)).run
        #expect(old.id.hasPrefix("19700101-000000-") && new.id.hasPrefix("19700102-000000-") && old.id.count == 20)
        #expect(try store.list().map(\.id) == [new.id, old.id])
        #expect(try store.list(kind: "other").isEmpty && store.list(limit: 1).count == 1)
        #expect(
            try store.find("b").id == new.id && store.find("19700101").id == old.id && store.find(String(old.id.suffix(4))).id == old.id)
        #expect(throws: RunStoreError.unknownRun("none", path: store.path)) { try store.find("none") }
        #expect(throws: RunStoreError.ambiguous("1970", candidates: [new.id, old.id])) { try store.find("1970") }
        try store.delete(old.id)
        #expect(try store.list().map(\.id) == [new.id])
    }

    @Test func aRunWhoseProcessIsGoneIsReportedAsInterrupted() throws {
        let store = try store()
        let recorder = try store.start(describe("left"))
        #expect(try store.find("left").status == .running)
        try store.pool.write { try $0.execute(sql: "UPDATE run SET processStart = 'another-boot'") }
        #expect(try store.find("left").status == .interrupted)
        try store.pool.write { try $0.execute(sql: "UPDATE run SET host = 'another-machine'") }
        #expect(try store.find("left").status == .running)
        try recorder.close(.failed)
        #expect(try store.find("left").status == .failed)
    }

    /// The test below starts this one in a process of its own and kills it.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["LINNET_TEST_RECORD_UNTIL_KILLED"] != nil, "runs only as a child process"))
    func recordUntilKilled() throws {
        let store = try RunStore(ProcessInfo.processInfo.environment["LINNET_TEST_RECORD_UNTIL_KILLED"]!)
        let recorder = try store.start(describe("victim"))
        for step in 0..<1_000_000 {
            recorder.log(step: step, metrics: ["loss": Double(step)])
            usleep(200)
        }
    }

    /// What this process was started with, without the choice of tests: filters add up, and the child would run those as well.
    private func unfilteredArguments() -> [String] {
        var (kept, rest): ([String], ArraySlice<String>) = ([], CommandLine.arguments.dropFirst())
        while let argument: String = rest.popFirst() {
            if ["--filter", "--skip"].contains(argument) { _ = rest.popFirst() } else { kept.append(argument) }
        }
        return kept
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/exe"), "needs /proc"))
    func aKilledProcessLeavesAReadableDatabase() throws {
        let child = Process()
        child.executableURL = URL(fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        child.arguments = unfilteredArguments() + ["--testing-library", "swift-testing", "--filter", "recordUntilKilled"]
        child.environment = ProcessInfo.processInfo.environment.merging(
            ["LINNET_TEST_RECORD_UNTIL_KILLED": scratch.file("deep/runs.sqlite")]) { $1 }
        child.standardOutput = FileHandle.nullDevice
        child.standardError = FileHandle.nullDevice
        try child.run()
        defer { kill(child.processIdentifier, SIGKILL) }
        let store = try store()
        var count = 0
        for _ in 0..<3000 where count < 1000 && child.isRunning {
            usleep(10_000)
            if let run = try store.list().first { count = try store.metrics(of: run).first?.count ?? 0 }
        }
        kill(child.processIdentifier, SIGKILL)
        child.waitUntilExit()
        #expect(count >= 1000)
        let run = try self.store().find("victim")
        #expect(run.status == .interrupted && run.ended != nil)
        let points = try self.store().points(of: run, metric: "loss")
        #expect(points.count >= count && points.map(\.step) == Array(0..<points.count))
    }

    @Test func comparesAndExports() throws {
        let store = try store()
        let configurations = ["{\"mixer\":\"gla\",\"lr\":0.1,\"layers\":[1,2]}", "{\"mixer\":\"lssl\",\"lr\":0.1,\"layers\":[1,3]}"]
        let runs = try configurations.enumerated().map { index, configuration in
            let recorder = try store.start(describe("r\(index)", configuration))
            recorder.log(step: 1, metrics: ["loss": Double(index) + 0.5, "a,b\"c": 1])
            if index == 1 { recorder.log(step: 2, metrics: ["loss": .nan, "extra": 3]) }
            try recorder.close()
            return recorder.run
        }
        let comparison = try store.compare(runs)
        #expect(comparison.differences.map(\.setting) == ["layers.1", "mixer"])
        #expect(comparison.differences[1].values == ["\"gla\"", "\"lssl\""])
        let loss = try #require(comparison.metrics.first { $0.name == "loss" })
        #expect(loss.summaries[0]?.last.value == 0.5 && loss.summaries[1]?.best?.value == 1.5)
        #expect(comparison.metrics.first { $0.name == "extra" }?.summaries[0] == nil)

        var csv = ""
        try store.export(runs, as: .csv) { csv += $0 }
        let table = try CSVTable(Array(csv.utf8), path: "export", format: CSVFormat(missing: []))
        #expect(table.names == ["run", "metric", "step", "value", "time"] && table.rowCount == 6)
        guard case .categorical(_, let names) = try table.column("metric") else { Issue.record("no names"); return }
        #expect(names == ["a,b\"c", "extra", "loss"])
        var lines = [String]()
        try store.export([runs[1]], as: .jsonLines) { lines.append($0) }
        #expect(lines.count == 4)
        for line in lines { #expect((try? JSONSerialization.jsonObject(with: Data(line.utf8))) != nil, "\(line)") }
    }

    @Test func tablesForTheCommandLine() throws {
        let store = try store()
        let recorder = try store.start(describe("学習", "{\"lr\":0.1}"), now: Date(timeIntervalSince1970: 1000))
        recorder.log(step: 5, metrics: ["loss": 1.23456789])
        try recorder.close()
        let run = try store.find("学習")
        let lines = RunTable.list([run]).split(separator: "\n")
        #expect(lines.count == 2 && lines[1].contains("学習  train lm  finished  1970-01-01 00:16:40"))
        #expect(RunTable.list([]) == "no runs are recorded\n")
        let shown = try RunTable.show(run, metrics: store.metrics(of: run))
        #expect(shown.contains("  lr  0.1\n") && shown.contains("loss         1  1.23457  1.23457  1.23457        5\n"))
        let compared = RunTable.compare(try store.compare([run, run]))
        #expect(compared.contains("last loss") && !compared.contains("lr"))
        #expect(RunTable.table([["a", "1"], ["bb", "22"]], numeric: [1]) == "a    1\nbb  22\n")
    }

    @Test func otherFilesAndFullPathsAreTypedErrors() throws {
        let path = scratch.file("text.sqlite")
        try AtomicFile.write(String(repeating: "no database at all ", count: 100), to: path)
        #expect(throws: RunStoreError.notARunStore(path: path)) { try RunStore(path) }
        #expect(throws: (any Error).self) { try RunStore(scratch.path) }
    }

    /// A training step must not wait for the disk: here at most 0.2 ms in a debug build.
    @Test func loggingIsCheap() throws {
        let recorder = try store().start(describe("fast"))
        let clock = ContinuousClock()
        let time = clock.measure { for step in 0..<10_000 { recorder.log(step: step, metrics: ["loss": 1]) } }
        try recorder.close()
        #expect(time < .seconds(2))
        #expect(try store().metrics(of: recorder.run)[0].count == 10_000)
    }
}
