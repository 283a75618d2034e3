import Foundation
import TestSupport
import Testing
import Training

/// Runs that are ended from outside: by Ctrl-C, and by kill -9 at random moments.
struct InterruptedRunTests {
    private static let steps: Int = 1500

    private func start(_ out: String, _ extra: [String] = [], in folder: URL) throws -> LinnetProcess {
        try LinnetProcess(
            [
                "train", "lm", "--text", "text.txt", "--out", out, "--mixer", "gla", "--dimensions", "16", "--layers", "1", "--heads", "2",
                "--context", "16", "--batch", "2", "--dropout", "0.1", "--steps", String(Self.steps), "--checkpoint-every", "10",
                "--average-decay", "0.9", "--progress", "quiet",
            ] + extra, in: folder)
    }

    private func withText<Result>(_ body: (URL) throws -> Result) throws -> Result {
        try TestPaths.withTemporaryFolder { folder in
            let text: String = (0..<200).map { "line \($0 * 7919 % 1000) of the text\n" }.joined()
            try Data(text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            return try body(folder)
        }
    }

    @Test func fiftyKillsChangeNothing() throws {
        try withText { folder in
            let unbroken: LinnetResult = try start("unbroken", in: folder).finish()
            #expect(unbroken.status == 0, "\(unbroken.errors)")
            let store: CheckpointStore = CheckpointStore(folder.appendingPathComponent("killed/checkpoints"))
            var generator: SeededGenerator = SeededGenerator(seed: 11)
            var kills: Int = 0
            while kills < 50 {
                let victim: LinnetProcess = try start("killed", kills == 0 ? [] : ["--resume"], in: folder)
                let before: Int = store.steps.last ?? 0
                // A moment after the next checkpoint or two, so that the fifty moments spread over the whole run.
                let goal: Int = min(before + Int.random(in: 1...20, using: &generator), Self.steps - 60)
                try waitUntil { !victim.process.isRunning || store.steps.last ?? 0 >= goal }
                usleep(UInt32.random(in: 0...30_000, using: &generator))
                #expect(victim.process.isRunning, "the run ended after \(kills) kills")
                guard victim.process.isRunning else { return }
                kill(victim.process.processIdentifier, SIGKILL)
                victim.finish()
                kills += 1
                if let checkpoint = try store.latest() { #expect(checkpoint.state.step % 10 == 0) }
            }
            let last: LinnetResult = try start("killed", ["--resume"], in: folder).finish()
            #expect(last.status == 0, "\(last.errors)")
            #expect(score(last) == score(unbroken))
            let files: [URL] = ["unbroken", "killed"].map { folder.appendingPathComponent($0).appendingPathComponent("model.safetensors") }
            #expect(try Data(contentsOf: files[0]) == Data(contentsOf: files[1]))
        }
    }

    /// "validation loss …" of the closing line.
    private func score(_ result: LinnetResult) -> Substring? {
        result.output.range(of: "validation loss").map { result.output[$0.lowerBound...].prefix { $0 != ";" } }
    }

    @Test func anInterruptFinishesTheStepAndSaves() throws {
        try withText { folder in
            let run: LinnetProcess = try start("run", in: folder)
            let store: CheckpointStore = CheckpointStore(folder.appendingPathComponent("run/checkpoints"))
            try waitUntil { !store.steps.isEmpty }
            run.process.interrupt()
            let result: LinnetResult = run.finish()
            #expect(result.status == 130)
            let step: Int = try #require(store.steps.last)
            #expect(result.errors.contains("interrupted after step \(step); continue from"))
            let record: LinnetResult = try LinnetProcess.run("runs", "list", in: folder)
            #expect(record.output.contains("interrupted"))
        }
    }

    private func waitUntil(_ condition: () -> Bool) throws {
        let limit: Date = Date().addingTimeInterval(120)
        while !condition() {
            try #require(Date() < limit, "nothing happened within two minutes")
            usleep(5_000)
        }
    }
}
