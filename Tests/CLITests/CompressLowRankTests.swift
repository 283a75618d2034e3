import Foundation
import TestSupport
import Testing
import Torch

/// `compress welore`, `compress maestro`, and a recipe that goes on with them.
struct CompressLowRankTests {
    private func withModel(_ body: (URL) throws -> Void) throws {
        try TestPaths.withTemporaryFolder { folder in
            let text: String = (0..<300).map { "line \($0 * 7919 % 1000) of the text\n" }.joined()
            try Data(text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            let trained: LinnetResult = try LinnetProcess.run(
                "train", "lm", "--text", "text.txt", "--dimensions", "32", "--layers", "2", "--heads", "2", "--steps", "20", "--context",
                "16", "--batch", "2", "--progress", "quiet", "--mixer", "softmax", "--format", "llama", "--out", "model", in: folder)
            #expect(trained.status == 0, "\(trained.errors)")
            try body(folder)
        }
    }

    private func compress(_ arguments: [String], in folder: URL) throws -> LinnetResult {
        try LinnetProcess(["compress"] + arguments + ["--text", "text.txt", "--context", "16"], in: folder).finish()
    }

    private func expectGenerates(_ model: String, in folder: URL) throws {
        let text: LinnetResult = try LinnetProcess.run("generate", "--model", model, "--prompt", "line", "--tokens", "5", in: folder)
        #expect(text.status == 0 && text.output.hasPrefix("line"), "\(text.errors)")
    }

    @Test func ranksAreCutPlannedAndTuned() throws {
        try withModel { folder in
            let plan: LinnetResult = try compress(["welore", "model", "--reduction", "0.6", "--dry-run"], in: folder)
            #expect(plan.status == 0 && plan.output.contains("a plan"), "\(plan.errors)")
            let done: LinnetResult = try compress(["welore", "model", "small", "--reduction", "0.6", "--quiet"], in: folder)
            #expect(done.status == 0 && done.errors.isEmpty, "\(done.errors)")
            for part in ["welore: 0.6 of the singular values", "rank ", "% below the threshold", "on disk", "perplexity"] {
                #expect(done.output.contains(part), "\(part)")
            }
            #expect(try loadTensors(folder.appendingPathComponent("small")).keys.contains { $0.hasSuffix(".left.weight") })
            try expectGenerates("small", in: folder)
            let tuned: LinnetResult = try compress(["welore", "model", "tuned", "--reduction", "0.6", "--steps", "5"], in: folder)
            #expect(tuned.status == 0 && tuned.errors.contains("trained for 5 steps"), "\(tuned.errors)")
        }
    }

    @Test func maestroTrainsAndARecipeGoesOn() throws {
        try withModel { folder in
            let done: LinnetResult = try compress(
                ["maestro", "model", "small", "--budget", "0.4", "--steps", "6", "--shrink-every", "3"], in: folder)
            #expect(done.status == 0 && done.errors.contains("components are alive"), "\(done.errors)")
            try expectGenerates("small", in: folder)
            let recipe: String = "steps:\n  - welore: {reduction: 0.6, min-ratio: 0.4}\n  - quantize: {bits: 8, group-size: 16}\n"
            try Data(recipe.utf8).write(to: folder.appendingPathComponent("steps.yaml"))
            let both: LinnetResult = try compress(["recipe", "steps.yaml", "model", "both"], in: folder)
            #expect(both.status == 0 && both.output.contains(".left "), "\(both.errors)")
            try expectGenerates("both", in: folder)
        }
    }

    @Test func badInputIsOneLine() throws {
        try TestPaths.withTemporaryFolder { folder throws in
            func complaint(_ arguments: String...) throws -> String {
                return try LinnetProcess(["compress"] + arguments, in: folder).finish().badInput()
            }
            #expect(try complaint("welore", "nowhere", "small").contains("nowhere/config.json"))
            #expect(try complaint("welore", "nowhere", "small", "--reduction", "1.5").contains("0 ... 1"))
            #expect(try complaint("welore", "nowhere", "small", "--normalization", "magic").contains("magic"))
            #expect(try complaint("maestro", "nowhere", "small", "--budget", "2").contains("0 ... 1"))
            #expect(try complaint("maestro", "nowhere", "small", "--steps", "0").contains("at least 1"))
            guard FileManager.default.fileExists(atPath: TestPaths.fixtures.path) else { return }
            let (llama, bert): (String, String) = (
                TestPaths.fixtures.appendingPathComponent("hf_llama_tiny").path,
                TestPaths.fixtures.appendingPathComponent("hf_bert_tiny").path
            )
            #expect(try complaint("maestro", llama, "small").contains("give --calibration or --text"))
            #expect(try complaint("maestro", bert, "small").contains("language models only"))
        }
    }
}
