import Foundation
import SequenceModels
import TestSupport
import Testing

/// `compress kv` and the commands that take its result.
struct CompressKVTests {
    @Test func aCacheIsCutAndTheModelGenerates() throws {
        try TestPaths.withTemporaryFolder { folder throws in
            let text: String = (0..<300).map { "line \($0 * 7919 % 1000) of the text\n" }.joined()
            try Data(text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            let trained: LinnetResult = try LinnetProcess(
                [
                    "train", "lm", "--text", "text.txt", "--dimensions", "32", "--layers", "2", "--heads", "2", "--steps", "20",
                    "--context",
                    "16", "--batch", "2", "--progress", "quiet", "--out", "model", "--mixer", "softmax", "--format", "llama",
                ], in: folder
            ).finish()
            #expect(trained.status == 0, "\(trained.errors)")
            let flags: [String] = ["--budget", "0.5", "--text", "text.txt", "--context", "16"]
            let plan: LinnetResult = try LinnetProcess(["compress", "kv", "model", "--dry-run"] + flags, in: folder).finish()
            #expect(plan.status == 0 && plan.output.contains("about keys 8 8, values 8 8: 64 -> 32 numbers a token"), "\(plan.errors)")
            let done: LinnetResult = try LinnetProcess(
                ["compress", "kv", "model", "small", "--steps", "4", "--windows", "8"] + flags, in: folder
            ).finish()
            #expect(done.status == 0 && done.errors.contains("kv: 4 steps of training"), "\(done.errors)")
            for part in ["kv: 0.5 of the cache, trained for 4 steps, fast ranks", "numbers a token", "perplexity"] {
                #expect(done.output.contains(part), "\(part)")
            }
            let generated: LinnetResult = try LinnetProcess.run(
                "generate", "--model", "small", "--prompt", "line", "--tokens", "5", in: folder)
            #expect(generated.status == 0 && generated.output.hasPrefix("line"), "\(generated.errors)")
        }
    }

    @Test func badInputIsOneLine() throws {
        try TestPaths.withTemporaryFolder { folder throws in
            func complaint(_ arguments: String...) throws -> String {
                return try LinnetProcess(["compress", "kv"] + arguments, in: folder).finish().badInput()
            }
            #expect(try complaint("nowhere", "small").contains("nowhere/config.json"))
            #expect(try complaint("nowhere", "small", "--budget", "1.5").contains("it has to be above 0 and at most 1"))
            #expect(try complaint("nowhere", "small", "--ranks", "magic").contains("magic"))
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: TestPaths.fixtures.path), "needs the fixtures"))
    func modelsOfOthersAreTakenOrRefused() throws {
        try TestPaths.withTemporaryFolder { folder throws in
            let text: String = String(repeating: "keys and values of a text that is long enough to calibrate on. ", count: 60)
            try Data(text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            func run(_ name: String) throws -> LinnetResult {
                try LinnetProcess.run(
                    "compress", "kv", TestPaths.fixtures.appendingPathComponent("hf_\(name)_tiny").path, "small-\(name)", "--steps", "0",
                    "--ranks",
                    "uniform", "--text", "text.txt", "--context", "16", "--windows", "8", in: folder)
            }
            for name in ["llama", "gpt2"] {
                let done: LinnetResult = try run(name)
                #expect(done.status == 0 && done.output.contains("principal axes"), "\(done.errors)")
                let generated: LinnetResult = try LinnetProcess.run(
                    "generate", "--model", "small-\(name)", "--prompt", "keys and values", "--tokens", "8", "--temperature", "0", in: folder
                )
                #expect(generated.status == 0 && generated.output.hasPrefix("keys and values"), "\(generated.errors)")
            }
            let refused: LinnetResult = try run("bert")
            #expect(refused.status == 2 && refused.complaint?.contains("softmax attention") == true, "\(refused.errors)")
        }
    }
}
