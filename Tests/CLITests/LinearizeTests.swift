import Foundation
import TestSupport
import Testing
import Training

/// `train lm --format llama`, `linearize`, and the commands that take its result.
struct LinearizeTests {
    private static let quick: [String] = ["--context", "16", "--batch", "2", "--progress", "quiet"]

    private func withTeacher(_ body: (URL) throws -> Void) throws {
        try TestPaths.withTemporaryFolder { folder in
            let text: String = (0..<200).map { "line \($0 * 7919 % 1000) of the text\n" }.joined()
            try Data(text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            let trained: LinnetResult = try LinnetProcess(
                [
                    "train", "lm", "--text", "text.txt", "--mixer", "softmax", "--format", "llama", "--dimensions", "16", "--layers", "2",
                    "--heads", "2", "--steps", "20", "--out", "teacher",
                ] + Self.quick, in: folder
            ).finish()
            #expect(trained.status == 0, "\(trained.errors)")
            try body(folder)
        }
    }

    private func linearize(_ extra: [String], in folder: URL) throws -> LinnetProcess {
        try LinnetProcess(["linearize", "--text", "text.txt", "--lora-rank", "2", "--window", "4"] + Self.quick + extra, in: folder)
    }

    @Test func aLlamaBecomesARecurrentModel() throws {
        try withTeacher { folder in
            let configuration: String = try String(contentsOf: folder.appendingPathComponent("teacher/config.json"), encoding: .utf8)
            #expect(configuration.contains("LlamaForCausalLM"))
            let result: LinnetResult = try linearize(
                ["--model", "teacher", "--into", "gsa:4", "--steps", "6", "--compare", "--out", "liger"], in: folder
            ).finish()
            #expect(result.status == 0, "\(result.errors)")
            let lines: [Substring] = result.output.split(separator: "\n")
            #expect(lines.map { $0.prefix(9) } == ["teacher  ", "zero-shot", "tuned    ", "from scra", "6 steps i"])
            #expect(lines.first?.hasSuffix("recovery  100.0 %") == true)
            let text: LinnetResult = try LinnetProcess.run("generate", "--model", "liger", "--prompt", "line", "--tokens", "5", in: folder)
            #expect(text.status == 0 && text.output.hasPrefix("line"), "\(text.errors)")
            let score: LinnetResult = try LinnetProcess.run(
                "eval", "--model", "liger", "--text", "text.txt", "--context", "16", "--json", in: folder)
            #expect(score.status == 0 && score.output.contains("perplexity"), "\(score.errors)")
            #expect(
                try linearize(["--model", "teacher", "--steps", "6", "--out", "liger"], in: folder).finish().complaint?
                    .contains("add --resume") == true)
            #expect(
                try linearize(["--model", "liger", "--steps", "6", "--out", "other"], in: folder).finish().complaint?
                    .contains("only such a model can be linearised") == true)
        }
    }

    @Test func aKilledRunContinuesToTheSameModel() throws {
        try withTeacher { folder in
            let settings: [String] = ["--model", "teacher", "--steps", "80", "--checkpoint-every", "5", "--keep-adapters"]
            let unbroken: LinnetResult = try linearize(settings + ["--out", "unbroken"], in: folder).finish()
            #expect(unbroken.status == 0, "\(unbroken.errors)")
            let victim: LinnetProcess = try linearize(settings + ["--out", "killed"], in: folder)
            let store: CheckpointStore = CheckpointStore(folder.appendingPathComponent("killed/checkpoints"))
            let limit: Date = Date().addingTimeInterval(60)
            while victim.process.isRunning, store.steps.isEmpty, Date() < limit { usleep(2_000) }
            #expect(victim.process.isRunning)
            kill(victim.process.processIdentifier, SIGKILL)
            victim.finish()
            #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("killed/model.safetensors").path))
            let continued: LinnetResult = try linearize(settings + ["--out", "killed", "--resume"], in: folder).finish()
            #expect(continued.status == 0, "\(continued.errors)")
            for file in ["model.safetensors", "adapter_model.safetensors", "adapter_config.json"] {
                let files: [Data] = try ["unbroken", "killed"].map { try Data(contentsOf: folder.appendingPathComponent("\($0)/\(file)")) }
                #expect(files[0] == files[1], "\(file)")
            }
        }
    }

    @Test func unfitModelsAreErrorsOfOneLine() throws {
        try TestPaths.withTemporaryFolder { folder in
            try Data(String(repeating: "to be or not to be ", count: 60).utf8).write(to: folder.appendingPathComponent("text.txt"))
            func complaint(_ arguments: String...) throws -> String {
                return try LinnetProcess(arguments, in: folder).finish().badInput()
            }
            #expect(try complaint("linearize", "--model", "nowhere", "--text", "text.txt", "--out", "o").contains("nowhere/config.json"))
            #expect(
                try complaint("linearize", "--model", "m", "--into", "magic", "--text", "text.txt", "--out", "o").contains("magic"))
            #expect(try complaint("linearize", "--model", "m", "--mix", "2", "--text", "text.txt", "--out", "o").contains("0 ... 1"))
            #expect(
                try complaint("linearize", "--model", "m", "--lora-rank", "0", "--text", "text.txt", "--out", "o").contains("at least 1"))
            #expect(
                try complaint("train", "lm", "--mixer", "gla", "--format", "llama", "--text", "text.txt", "--context", "16", "--out", "o")
                    .contains("has the Llama format"))
            let gpt2: String = TestPaths.fixtures.appendingPathComponent("hf_gpt2_tiny").path
            guard FileManager.default.fileExists(atPath: gpt2) else { return }
            #expect(try complaint("linearize", "--model", gpt2, "--text", "text.txt", "--out", "o").contains("is no Llama"))
            #expect(try complaint("generate", "--model", gpt2, "--prompt", "the", "--tokens", "100").contains("at most 64 tokens"))
            #expect(try complaint("eval", "--model", gpt2, "--text", "text.txt", "--context", "65").contains("at most 64 tokens"))
        }
    }

    @Test(
        .enabled(if: FileManager.default.fileExists(atPath: TestPaths.fixtures.path), "needs the fixtures"), arguments: ["gpt2", "llama"])
    func modelsOfOthersGenerate(name: String) throws {
        try TestPaths.withTemporaryFolder { folder in
            let model: String = TestPaths.fixtures.appendingPathComponent("hf_\(name)_tiny").path
            let text: LinnetResult = try LinnetProcess.run(
                "generate", "--model", model, "--prompt", "keys and values", "--tokens", "8", "--temperature", "0", in: folder)
            #expect(text.status == 0 && text.output.hasPrefix("keys and values"), "\(text.errors)")
        }
    }
}
