import Foundation
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

/// `compress` and the commands that take its result.
struct CompressTests {
    private func withModel(_ mixer: [String], _ body: (URL) throws -> Void) throws {
        try TestPaths.withTemporaryFolder { folder in
            let text: String = (0..<300).map { "line \($0 * 7919 % 1000) of the text\n" }.joined()
            try Data(text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            let trained: LinnetResult = try LinnetProcess(
                [
                    "train", "lm", "--text", "text.txt", "--dimensions", "32", "--layers", "2", "--heads", "2", "--steps", "20",
                    "--context",
                    "16", "--batch", "2", "--progress", "quiet", "--out", "model",
                ] + mixer, in: folder
            ).finish()
            #expect(trained.status == 0, "\(trained.errors)")
            try body(folder)
        }
    }

    private func perplexity(of model: String, in folder: URL) throws -> Double {
        let result: LinnetResult = try LinnetProcess.run(
            "eval", "--model", model, "--text", "text.txt", "--context", "16", "--json", in: folder)
        #expect(result.status == 0, "\(result.errors)")
        return try #require(try JSONDecoder().decode([String: Double].self, from: Data(result.output.utf8))["perplexity"])
    }

    @Test(arguments: [["--mixer", "softmax", "--format", "llama"], ["--mixer", "gla"]])
    func aModelIsQuantisedEvaluatedAndGenerates(mixer: [String]) throws {
        try withModel(mixer) { folder in
            let done: LinnetResult = try LinnetProcess.run(
                "compress", "quantize", "model", "small", "--bits", "8", "--group-size", "32", "--text", "text.txt", "--context", "16",
                in: folder)
            #expect(done.status == 0, "\(done.errors)")
            for part in ["quantize: 8 bits in groups of 32, rtn", "s.1.", "8 bits", "memory", "on disk", "perplexity"] {
                #expect(done.output.contains(part), "\(part)")
            }
            let (before, after): (Double, Double) = (try perplexity(of: "model", in: folder), try perplexity(of: "small", in: folder))
            #expect(abs(after / before - 1) < 0.02 && after != before, "\(before) \(after)")
            let text: LinnetResult = try LinnetProcess.run("generate", "--model", "small", "--prompt", "line", "--tokens", "5", in: folder)
            #expect(text.status == 0 && text.output.hasPrefix("line"), "\(text.errors)")
            let again: LinnetResult = try LinnetProcess.run("compress", "quantize", "model", "small", in: folder)
            #expect(again.complaint?.contains("already holds a model") == true)
        }
    }

    @Test func decodedWeightsAreADenseModel() throws {
        try withModel(["--mixer", "softmax", "--format", "llama"]) { folder in
            let done: LinnetResult = try LinnetProcess.run(
                "compress", "quantize", "model", "dense", "--bits", "4", "--group-size", "16", "--dense", "--quiet", in: folder)
            #expect(done.status == 0 && done.errors.isEmpty, "\(done.errors)")
            let names: Set<String> = Set(try loadTensors(folder.appendingPathComponent("model")).keys)
            #expect(Set(try loadTensors(folder.appendingPathComponent("dense")).keys) == names)
            let configuration: String = try String(contentsOf: folder.appendingPathComponent("dense/config.json"), encoding: .utf8)
            #expect(!configuration.contains("quantization_config"))
            #expect(try perplexity(of: "dense", in: folder) > 1)
        }
    }

    @Test func aRecipeChainsStepsAndADryRunWritesNothing() throws {
        try withModel(["--mixer", "softmax", "--format", "llama"]) { folder in
            let recipe: URL = folder.appendingPathComponent("steps.yaml")
            try Data("steps:\n  - quantize: {bits: 4, group-size: 16, method: gptq, windows: 8}\n".utf8).write(to: recipe)
            let flags: [String] = ["--text", "text.txt", "--context", "16", "--json"]
            let plan: LinnetResult = try LinnetProcess(["compress", "recipe", "steps.yaml", "model", "--dry-run"] + flags, in: folder)
                .finish()
            #expect(plan.status == 0, "\(plan.errors)")
            let done: LinnetResult = try LinnetProcess(["compress", "recipe", "steps.yaml", "model", "small"] + flags, in: folder).finish()
            #expect(done.status == 0 && done.errors.contains("block 2 of 2"), "\(done.errors)")
            #expect(plan.output.contains("\"isDryRun\":true") && done.output.contains("\"isDryRun\":false"))
            #expect(FileManager.default.fileExists(atPath: folder.appendingPathComponent("small/model.safetensors").path))
            func complaint(_ text: String) throws -> String {
                try Data(text.utf8).write(to: recipe)
                return try LinnetProcess.run("compress", "recipe", "steps.yaml", "model", "other", in: folder).badInput()
            }
            #expect(try complaint("steps: [{magic: {}}]").contains("there is no step magic"))
            #expect(try complaint("steps: [{quantize: {bits: 5}}]").contains("it has to be 2, 3, 4 or 8"))
            #expect(try complaint("steps: [{quantize: {method: gptq}}]").contains("give --calibration or --text"))
            #expect(try complaint("steps: [quantize").contains("the recipe steps.yaml"))
        }
    }

    @Test func badInputIsOneLine() throws {
        try TestPaths.withTemporaryFolder { folder throws in
            func complaint(_ arguments: String...) throws -> String {
                return try LinnetProcess(["compress"] + arguments, in: folder).finish().badInput()
            }
            #expect(try complaint("quantize", "nowhere", "small").contains("nowhere/config.json"))
            #expect(try complaint("quantize", "nowhere").contains("give the folder to write"))
            #expect(try complaint("quantize", "nowhere", "small", "--bits", "5").contains("it has to be 2, 3, 4 or 8"))
            #expect(try complaint("quantize", "nowhere", "small", "--low-bits", "2").contains("go together"))
            #expect(try complaint("quantize", "nowhere", "small", "--low-bits", "2", "--average-bits", "7").contains("has to lie between"))
            #expect(try complaint("quantize", "nowhere", "small", "--method", "magic").contains("magic"))
            #expect(try complaint("recipe", "nowhere.yaml", "nowhere", "small").contains("nowhere.yaml cannot be read"))
        }
    }

    @Test(
        .enabled(if: FileManager.default.fileExists(atPath: TestPaths.fixtures.path), "needs the fixtures"),
        arguments: ["bert", "gpt2", "llama"])
    func modelsOfOthersAreQuantised(name: String) throws {
        try TestPaths.withTemporaryFolder { folder in
            let model: URL = TestPaths.fixtures.appendingPathComponent("hf_\(name)_tiny")
            let done: LinnetResult = try LinnetProcess.run(
                "compress", "quantize", model.path, "small", "--bits", "4", "--quiet", in: folder)
            #expect(done.status == 0 && done.output.contains("on disk"), "\(done.errors)")
            let copy: URL = folder.appendingPathComponent("small/tokenizer_config.json")
            #expect(try Data(contentsOf: copy) == Data(contentsOf: model.appendingPathComponent("tokenizer_config.json")))
            guard name != "bert" else { return }
            let text: LinnetResult = try LinnetProcess.run(
                "generate", "--model", "small", "--prompt", "keys and values", "--tokens", "8", "--temperature", "0", in: folder)
            #expect(text.status == 0 && text.output.hasPrefix("keys and values"), "\(text.errors)")
        }
    }
}
