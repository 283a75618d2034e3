import Foundation
import TestSupport
import Testing

/// Real runs of the quickest experiment, at smoke scale where they are to finish.
@Suite(.serialized, .enabled(if: FileManager.default.fileExists(atPath: TestPaths.data.path), "needs the data sets"))
struct ReproduceTests {
    private static let slug: String = "transnormer"

    private func text(_ path: String, in folder: URL) -> String {
        (try? String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8)) ?? ""
    }

    @Test(arguments: [
        (["reproduce"], "give the slug"), (["reproduce", "nothing"], "there is no experiment 'nothing'"),
        (["reproduce", "gla", "--seeds", "0"], "--seeds has to be 1 to"), (["reproduce", "gla", "--jobs", "0"], "--jobs has to be 1 to"),
        (["reproduce", "gla", "--scale", "tiny"], "tiny"), (["reproduce", "gla", "--time-limit", "0"], "--time-limit has to be above 0"),
        (["reproduce", "gla", "--memory-limit", "nan"], "--memory-limit has to be above 0"),
        (["reproduce", "gla", "--db", "bad.db"], "not a catalogue"),
    ])
    func wrongCommandLines(arguments: [String], complaint: String) throws {
        try TestPaths.withTemporaryFolder { folder in
            try Data(repeating: 7, count: 4096).write(to: folder.appendingPathComponent("bad.db"))
            let result: LinnetResult = try LinnetProcess(arguments, in: folder).finish()
            #expect(result.status == 2)
            #expect(result.complaint?.contains(complaint) == true, "\(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("results").path))
        }
    }

    @Test func slugsAreListed() throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try LinnetProcess.run("reproduce", "--list", in: folder)
            #expect(result.status == 0 && result.output.split(separator: "\n").contains("gla"))
        }
    }

    @Test func onePaperIsReported() throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try LinnetProcess.run(
                "reproduce", Self.slug, "--scale", "smoke", "--seeds", "2", "--results", "out", "--db", "own.db", in: folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.output.hasPrefix("\(Self.slug) at smoke: ") && result.output.contains("gate   passed"))
            #expect(result.output.contains("2 seeds\n") && !result.output.contains("claims shown"))
            #expect(result.errors.contains("\(Self.slug): ") && result.errors.contains("(1/2 seeds"))
            #expect(FileManager.default.fileExists(atPath: folder.appendingPathComponent("own.db").path))
            #expect(text("out/\(Self.slug).smoke.html", in: folder).hasPrefix("<!"))
            let list: LinnetResult = try LinnetProcess.run("results", "list", "--results", "out", in: folder)
            #expect(list.output.contains(Self.slug) && list.output.contains("smoke"))
        }
    }

    @Test func onePaperThatFailsDoesNotStopTheOther() throws {
        try TestPaths.withTemporaryFolder { folder in
            // A folder where the report is to go cannot be replaced by it.
            try FileManager.default.createDirectory(
                at: folder.appendingPathComponent("results/gla.smoke.json"), withIntermediateDirectories: true)
            let result: LinnetResult = try LinnetProcess.run(
                "reproduce", "gla", Self.slug, Self.slug, "--scale", "smoke", "--seeds", "1", "--jobs", "2", in: folder)
            #expect(result.status == 1)
            #expect(result.errors.contains("gla: failed: ") && result.errors.contains("gla.smoke.json"))
            let table: [Substring] = result.output.split(separator: "\n").suffix(3)
            #expect(table.first?.hasPrefix("paper") == true && table.dropFirst().first?.contains("failed") == true)
            #expect(table.last?.hasPrefix(Self.slug) == true && table.last?.contains("smoke") == true)
        }
    }

    @Test func anInterruptStopsTheChildAndTheNextRunContinues() throws {
        try TestPaths.withTemporaryFolder { folder in
            let arguments: [String] = ["reproduce", Self.slug, "--scale", "smoke", "--seeds", "60"]
            let run: LinnetProcess = try LinnetProcess(arguments, in: folder)
            try waitUntil { kept(in: folder) >= 2 }
            let child: pid_t = try #require(children(of: run.process.processIdentifier).first)
            run.process.interrupt()
            let result: LinnetResult = run.finish()
            #expect(result.status == 130)
            #expect(result.errors.contains("\(Self.slug): interrupted; the same command continues it"))
            #expect(kill(child, 0) != 0)
            let finished: Int = kept(in: folder)
            #expect(finished >= 2 && finished < 60)
            let next: LinnetResult = try LinnetProcess.run(
                "reproduce", Self.slug, "--scale", "smoke", "--seeds", "2", in: folder)
            #expect(next.status == 0 && next.output.contains("(continued: an earlier run had measured 2)"), "\(next.output)")
        }
    }

    @Test func aWorkerEndsWhenItsParentIsKilled() throws {
        try TestPaths.withTemporaryFolder { folder in
            let run: LinnetProcess = try LinnetProcess(
                ["reproduce", Self.slug, "--scale", "smoke", "--seeds", "1000"], in: folder)
            try waitUntil { kept(in: folder) >= 1 }
            let child: pid_t = try #require(children(of: run.process.processIdentifier).first)
            kill(run.process.processIdentifier, SIGKILL)
            run.finish()
            try waitUntil { kill(child, 0) != 0 || isZombie(child) }
            #expect(kept(in: folder) >= 1)
        }
    }

    @Test(arguments: [
        ("--time-limit", "0.05", "longer than its limit of 0.050 s"), ("--memory-limit", "0.02", "more than its limit of 20 MiB"),
    ])
    func limitsAreKept(flag: String, value: String, complaint: String) throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try LinnetProcess.run(
                "reproduce", Self.slug, "--scale", "smoke", "--seeds", "50", flag, value, in: folder)
            #expect(result.status == 1)
            #expect(result.errors.contains(complaint), "\(result.errors)")
        }
    }

    // MARK: Results

    @Test func reportsAreShownComparedAndWritten() throws {
        try TestPaths.withTemporaryFolder { folder in
            let committed: String = TestPaths.packageRoot.appendingPathComponent("results").path
            let show: LinnetResult = try LinnetProcess.run("results", "show", "gla", "--results", committed, in: folder)
            #expect(show.status == 0 && show.output.hasPrefix("gla at small: "))
            let same: LinnetResult = try LinnetProcess.run("results", "diff", committed, committed, in: folder)
            #expect(same.status == 0 && same.output.contains("the verdicts are the same") && !same.output.contains("WORSE"))
            // The same report with a gate that failed.
            let report: String = try String(contentsOfFile: committed + "/gla.small.json", encoding: .utf8)
            let worse: String = report.replacingOccurrences(of: "\"passed\" : true", with: "\"passed\" : false")
            try Data(worse.utf8).write(to: folder.appendingPathComponent("gla.small.json"))
            let diff: LinnetResult = try LinnetProcess.run("results", "diff", committed + "/gla.small.json", "gla.small.json", in: folder)
            #expect(diff.status == 1 && diff.output.contains("WORSE  gate"))
            let written: LinnetResult = try LinnetProcess.run("results", "write", "--results", committed, in: folder)
            #expect(written.status == 0 && text("RESULTS.md", in: folder).contains("Generated by `linnet results write`; do not edit."))
            let page: LinnetResult = try LinnetProcess.run("results", "page", "--results", committed, "--out", "all.html", in: folder)
            #expect(page.status == 0 && text("all.html", in: folder).contains("<h2>gla</h2>"))
        }
    }

    @Test(arguments: [
        (["results", "list"], "no file or folder results"),
        (["results", "list", "--results", "empty"], "no report SLUG.SCALE.json in empty"),
        (["results", "show", "x", "--results", "bad"], "bad/x.small.json is not a report"),
        (["results", "diff", "bad/x.small.json", "nowhere"], "is not a report"),
        (["results", "diff", "nowhere", "empty"], "no file or folder nowhere"),
        (["results", "write", "--results", "bad"], "is not a report"),
    ])
    func whatIsNoReportIsRefused(arguments: [String], complaint: String) throws {
        try TestPaths.withTemporaryFolder { folder in
            for name in ["empty", "bad"] {
                try FileManager.default.createDirectory(at: folder.appendingPathComponent(name), withIntermediateDirectories: true)
            }
            try Data("{]".utf8).write(to: folder.appendingPathComponent("bad/x.small.json"))
            let result: LinnetResult = try LinnetProcess(arguments, in: folder).finish()
            #expect(result.status == 2)
            #expect(result.complaint?.contains(complaint) == true, "\(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("RESULTS.md").path))
        }
    }

    // MARK: Processes

    /// Seeds that are kept for a run that goes on.
    private func kept(in folder: URL) -> Int {
        let names: [String]? = try? FileManager.default.contentsOfDirectory(atPath: folder.path + "/results/.partial")
        return names?.count { $0.hasSuffix(".json") && !$0.hasPrefix(".") } ?? 0
    }

    private func children(of process: pid_t) -> [pid_t] {
        let all: [pid_t] = ((try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []).compactMap { pid_t($0) }
        return all.filter { state(of: $0)?.parent == process }
    }

    private func isZombie(_ process: pid_t) -> Bool { state(of: process)?.letter == "Z" }

    private func state(of process: pid_t) -> (letter: Substring, parent: pid_t)? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8), let name = text.lastIndex(of: ")") else {
            return nil
        }
        let fields: [Substring] = text[name...].split(separator: " ")
        return fields.count > 2 ? pid_t(fields[2]).map { (fields[1], $0) } : nil
    }

    private func waitUntil(_ condition: () -> Bool) throws {
        let limit: Date = Date().addingTimeInterval(60)
        while !condition() {
            try #require(Date() < limit, "nothing happened within a minute")
            usleep(10_000)
        }
    }
}
