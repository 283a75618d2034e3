import Foundation
import TestSupport
import Testing

struct MemoryFormerCommandTests {
    private static let small: [String] = [
        "--text", "text.txt", "--dimensions", "16", "--layers", "1", "--heads", "2", "--bits", "4", "--context", "16", "--batch", "4",
        "--progress", "quiet",
    ]

    private func train(_ extra: [String], in folder: URL) throws -> LinnetResult {
        let text: String = String(repeating: "to be or not to be, that is the question. ", count: 20)
        try text.write(to: folder.appendingPathComponent("text.txt"), atomically: true, encoding: .utf8)
        return try LinnetProcess(["train", "memoryformer", "--out", "run"] + Self.small + extra, in: folder).finish()
    }

    @Test func isTrainedContinuedEvaluatedAndGenerates() throws {
        try TestPaths.withTemporaryFolder { folder in
            let first: LinnetResult = try train(["--steps", "3"], in: folder)
            #expect(first.status == 0, "\(first.errors)")
            #expect(first.output.contains("3 steps") && first.output.contains("multiply-accumulates a token"))
            let again: LinnetResult = try train(["--steps", "3", "--resume"], in: folder)
            #expect(again.status == 0, "\(again.errors)")
            let other: LinnetResult = try train(["--steps", "3", "--extra-bits", "1", "--resume"], in: folder)
            #expect(other.status == 2 && other.complaint?.contains("extraBits") == true, "\(other.errors)")
            let score: LinnetResult = try .init(["eval", "--model", "run", "--text", "text.txt", "--context", "16"], in: folder)
            #expect(score.status == 0 && score.output.contains("bits per character"), "\(score.errors)")
            let text: LinnetResult = try .init(["generate", "--model", "run", "--prompt", "to be", "--tokens", "5"], in: folder)
            #expect(text.status == 0 && text.output.hasPrefix("to be"), "\(text.errors)")
        }
    }

    @Test func settingsThatDoNotFitAreRefused() throws {
        try TestPaths.withTemporaryFolder { folder in
            let bits: LinnetResult = try train(["--bits", "5"], in: folder)
            #expect(bits.status == 2 && bits.complaint == "dimensions is 16; bits, 5, has to divide it", "\(bits.errors)")
            let weighting: LinnetResult = try train(["--weighting", "none"], in: folder)
            #expect(weighting.status == 2 && weighting.errors.contains("scaled-probability"), "\(weighting.errors)")
        }
    }
}

extension LinnetResult {
    fileprivate init(_ arguments: [String], in folder: URL) throws { self = try LinnetProcess(arguments, in: folder).finish() }
}
