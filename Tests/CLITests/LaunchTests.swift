import Foundation
import TestSupport
import Testing
import Torch
import Training

/// Several processes that train together, end together and continue in another number.
struct LaunchTests {
    private static let model: [String] = [
        "--text", "text.txt", "--mixer", "gla", "--dimensions", "16", "--layers", "1", "--heads", "2", "--context", "16", "--batch", "6",
        "--progress", "quiet",
    ]

    private func withText<Result>(_ body: (URL) throws -> Result) throws -> Result {
        try TestPaths.withTemporaryFolder { folder in
            let text: String = (0..<200).map { "line \($0 * 7919 % 1000) of the text\n" }.joined()
            try Data(text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            return try body(folder)
        }
    }

    private func start(_ ranks: Int, _ out: String, _ extra: [String], in folder: URL) throws -> LinnetProcess {
        let train: [String] = ["linnet", "train", "lm", "--out", out] + Self.model + extra
        return try LinnetProcess(["launch", "-n", String(ranks), "--timeout", "60", "--grace", "2", "--"] + train, in: folder)
    }

    /// Largest difference between the models of two runs.
    private func distance(_ left: String, _ right: String, in folder: URL) throws -> Float {
        let models: [[String: Tensor]] = try [left, right].map { try loadTensors(folder.appendingPathComponent("\($0)/model.safetensors")) }
        #expect(Set(models[0].keys) == Set(models[1].keys))
        return models[0].map { name, tensor in (tensor - models[1][name]!).abs().max().item(Float.self) }.max() ?? .infinity
    }

    @Test func severalProcessesEqualOneAfterFiftySteps() throws {
        try withText { folder in
            let steps: [String] = ["--steps", "50"]
            let one: LinnetResult = try LinnetProcess(["train", "lm", "--out", "one"] + Self.model + steps, in: folder).finish()
            #expect(one.status == 0, "\(one.errors)")
            for (ranks, flags) in [(2, []), (3, ["--shard-optimizer"])] {
                let several: LinnetResult = try start(ranks, "run\(ranks)", steps + flags, in: folder).finish()
                #expect(several.status == 0, "\(several.errors)")
                #expect(several.output.split(separator: "\n").allSatisfy { $0.hasPrefix("[0] ") }, "only rank 0 reports: \(several.output)")
                #expect(try distance("one", "run\(ranks)", in: folder) <= 1e-5)
            }
        }
    }

    /// Two copies of two shares each, and one copy of two shares with another mixer, are one process; a run changes its shards on the way.
    @Test func processesThatShareAModelEqualOne() throws {
        try withText { folder in
            let flags: [String] = ["--steps", "50", "--checkpoint-every", "25", "--keep", "9", "--average-decay", "0.9"]
            let cases: [(mixer: String, optimizer: String, ranks: Int, more: [String])] = [
                ("softmax", "adamw", 4, []), ("gla", "adamw", 2, []), ("softmax", "lamb", 4, ["--shard-optimizer"]),
            ]
            for (mixer, optimizer, ranks, more) in cases {
                let kind: [String] = flags + ["--mixer", mixer, "--optimizer", optimizer]
                let name: String = "\(mixer)-\(optimizer)"
                let one: LinnetResult = try LinnetProcess(["train", "lm", "--out", "\(name)-one"] + Self.model + kind, in: folder).finish()
                #expect(one.status == 0, "\(one.errors)")
                let several: LinnetResult = try start(ranks, name, kind + ["--model-shards", "2"] + more, in: folder).finish()
                #expect(several.status == 0, "\(several.errors)")
                #expect(try distance("\(name)-one", name, in: folder) <= 1e-5)
            }
            // From the middle on in one process, and the other way round.
            for (out, extra, ranks) in [("softmax-adamw", [], 1), ("softmax-adamw-one", ["--model-shards", "2"], 2)] {
                let store: CheckpointStore = CheckpointStore(folder.appendingPathComponent("\(out)/checkpoints"))
                try FileManager.default.removeItem(at: store.url(step: 50))
                let resumed: LinnetResult = try start(ranks, out, flags + ["--mixer", "softmax", "--resume"] + extra, in: folder).finish()
                #expect(resumed.status == 0, "\(resumed.errors)")
            }
            #expect(try distance("softmax-adamw", "softmax-adamw-one", in: folder) <= 1e-5)
        }
    }

    @Test func sharesThatDoNotFitAreOneLine() throws {
        try withText { folder in
            let cases: [(Int, [String], String)] = [
                (3, ["--model-shards", "2"], "--model-shards 2 does not divide the number of processes, which is 3"),
                (2, ["--model-shards", "0"], "has to be at least 1"),
                (2, ["--model-shards", "2", "--compress-gradients", "topk"], "leave out --model-shards"),
                (2, ["--model-shards", "2", "--optimizer", "galore"], "looks at whole matrices"),
                (
                    2, ["--compress-gradients", "gzip"],
                    "error: gradient compression: no field is called \"gzip\"; there are powersgd, topk, quantization"
                ),
            ]
            for (ranks, flags, part) in cases {
                let result: LinnetResult = try start(ranks, "run", ["--steps", "2"] + flags, in: folder).finish()
                #expect(result.status == 2 && result.errors.contains(part), "\(flags): \(result.errors)")
            }
        }
    }

    @Test(arguments: [(3, []), (4, ["--model-shards", "2"])])
    func aKilledRankStopsTheOthersAndTheRunContinuesWithFewer(ranks: Int, shares: [String]) throws {
        try withText { folder in
            // More steps than there is time for.
            let flags: [String] = ["--steps", "100000", "--checkpoint-every", "10"] + shares
            let run: LinnetProcess = try start(ranks, "run", flags, in: folder)
            defer { if run.process.isRunning { kill(run.process.processIdentifier, SIGKILL) } }
            let store: CheckpointStore = CheckpointStore(folder.appendingPathComponent("run/checkpoints"))
            try wait(for: store, after: 0)
            let victim: pid_t = try #require(try child(of: run.process.processIdentifier, rank: 1))
            kill(victim, SIGKILL)
            let killed: Date = Date()
            let result: LinnetResult = run.finish()
            #expect(Date().timeIntervalSince(killed) < 15, "the others did not stop")
            #expect(result.status == 2)
            #expect(result.complaint == "rank 1 was ended by signal 9 (Killed); the other \(ranks - 1) were stopped", "\(result.errors)")
            #expect(!result.errors.contains("Fatal error"), "\(result.errors)")
            let step: Int = try #require(store.steps.last)
            let continued: LinnetProcess = try start(2, "run", flags + ["--resume"], in: folder)
            defer { if continued.process.isRunning { kill(continued.process.processIdentifier, SIGKILL) } }
            try wait(for: store, after: step)
            kill(continued.process.processIdentifier, SIGINT)
            let end: LinnetResult = continued.finish()
            #expect(end.status == 130, "\(end.errors)")
            #expect(try #require(store.steps.last) > step)
        }
    }

    private func wait(for store: CheckpointStore, after step: Int) throws {
        let limit: Date = Date().addingTimeInterval(90)
        while store.steps.last ?? 0 <= step {
            try #require(Date() < limit, "no checkpoint after step \(step) came")
            usleep(10_000)
        }
    }

    /// The process that a launcher has started as this rank.
    private func child(of launcher: pid_t, rank: Int) throws -> pid_t? {
        let all: [String] = try FileManager.default.contentsOfDirectory(atPath: "/proc")
        return all.compactMap { Int32($0) }.first { process in
            guard let status = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8),
                status.contains("PPid:\t\(launcher)\n"),
                let variables = FileManager.default.contents(atPath: "/proc/\(process)/environ")
            else { return false }
            return variables.split(separator: 0).contains(ArraySlice(Array("RANK=\(rank)".utf8)))
        }
    }

    @Test func aCommandLineThatDoesNotFitIsOneLine() throws {
        try TestPaths.withTemporaryFolder { folder in
            let cases: [([String], String)] = [
                (["-n", "2"], "give the command after --"), (["-n", "0", "--", "true"], "-n has to be 1 to 1024"),
                (["-n", "2", "--nodes", "2", "--", "true"], "needs --master HOST:PORT"),
                (["-n", "2", "--nodes", "2", "--node-rank", "2", "--", "true"], "--node-rank has to lie in 0 ..< 2"),
                (["-n", "2", "--nodes", "2", "--master", "host", "--", "true"], "--master is HOST:PORT"),
                (["-n", "2", "--timeout", "0", "--", "true"], "--timeout has to be above 0"),
                (["-n", "2", "--", "/no/such/program"], "could not be started"), (["-n", "2", "--", "false"], "ended with status 1"),
            ]
            for (arguments, part) in cases {
                let result: LinnetResult = try LinnetProcess(["launch"] + arguments, in: folder).finish()
                #expect(result.status == 2 && result.complaint?.contains(part) == true, "\(arguments): \(result.errors)")
            }
        }
    }

    /// The state of the compression and every rank's random stream are part of the checkpoints: a run that goes on from the middle ends with the same bits.
    @Test func aRunWithCompressedGradientsContinuesExactly() throws {
        try withText { folder in
            let flags: [String] = [
                "--steps", "30", "--checkpoint-every", "10", "--keep", "9", "--dropout", "0.1", "--compress-gradients",
                "powersgd: {reference: 2, frequency: 8, start: 4}",
            ]
            let whole: LinnetResult = try start(2, "whole", flags, in: folder).finish()
            #expect(whole.status == 0, "\(whole.errors)")
            let again: URL = folder.appendingPathComponent("again")
            try FileManager.default.copyItem(at: folder.appendingPathComponent("whole"), to: again)
            try FileManager.default.removeItem(at: again.appendingPathComponent("model.safetensors"))
            let store: CheckpointStore = CheckpointStore(again.appendingPathComponent("checkpoints"))
            for step in store.steps where step > 10 { try FileManager.default.removeItem(at: store.url(step: step)) }
            #expect(store.steps == [10])
            let resumed: LinnetResult = try start(2, "again", flags + ["--resume"], in: folder).finish()
            #expect(resumed.status == 0, "\(resumed.errors)")
            #expect(try distance("whole", "again", in: folder) == 0)
            // Another number of processes takes the residuals over, other settings do not.
            try FileManager.default.removeItem(at: store.url(step: 30))
            let three: LinnetResult = try start(3, "again", flags + ["--resume"], in: folder).finish()
            #expect(three.status == 0, "\(three.errors)")
            try FileManager.default.removeItem(at: store.url(step: 30))
            let other: LinnetResult = try start(2, "again", flags.dropLast() + ["topk", "--resume"], in: folder).finish()
            #expect(other.status != 0 && other.errors.contains("by powersgd, not by topk"), "\(other.errors)")
        }
    }

    @Test func aBatchThatDoesNotDivideIsRefused() throws {
        try withText { folder in
            let result: LinnetResult = try start(4, "run", ["--steps", "2"], in: folder).finish()
            #expect(result.status == 2)
            #expect(result.errors.contains("a batch of 6 does not divide among 4 processes; take a multiple, such as 8"))
        }
    }

    @Test func anExperimentOfOneProcessIsRefusedUnderALauncher() throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try LinnetProcess.run(
                "launch", "-n", "2", "--", "reproduce", "gla", "--scale", "smoke", in: folder)
            #expect(result.status == 2 && result.errors.contains("gla runs in one process"))
        }
    }

    @Test func processesMeasureAnExperimentTogether() throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try LinnetProcess.run(
                "launch", "-n", "2", "--", "reproduce", "l-greco", "--scale", "smoke", "--seeds", "1", in: folder)
            #expect(result.output.contains("[0] l-greco at smoke") && !result.output.contains("[1]"), "\(result.output)\(result.errors)")
            let report: URL = folder.appendingPathComponent("results/l-greco.smoke.json")
            #expect(FileManager.default.fileExists(atPath: report.path))
            #expect(!result.output.contains("FAILED"))
        }
    }
}
