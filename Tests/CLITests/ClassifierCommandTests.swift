import Foundation
import TestSupport
import Testing
import Torch

struct ClassifierCommandTests {
    private static let small: [String] = [
        "--model", "terminator", "--layers", "1", "--dimensions", "4", "--batch", "4", "--steps", "3", "--limit", "12", "--progress",
        "quiet",
    ]

    private func train(_ extra: [String], in folder: URL) throws -> LinnetResult {
        try LinnetProcess(["train", "classify", "--out", "run"] + Self.small + extra, in: folder).finish()
    }

    private static let hasDigits: Bool = FileManager.default.fileExists(
        atPath: TestPaths.data.appendingPathComponent("mnist/train-labels-idx1-ubyte.gz").path)

    /// Four classes' worth of short recordings would do as well; digits are at hand where the other data is.
    @Test(.enabled(if: hasDigits, "needs mnist in $LINNET_DATA or ../shared/data")) func aTerminatorIsTrainedAndContinued() throws {
        try TestPaths.withTemporaryFolder { folder in
            let first: LinnetResult = try train(["--data", "mnist", "--side", "6"], in: folder)
            #expect(first.status == 0, "\(first.errors)")
            #expect(first.output.contains("3 steps") && first.output.contains("of 3 test sequences"))
            let weights: [String: Tensor] = try loadTensors(folder.appendingPathComponent("run/model.safetensors"))
            #expect(weights["blocks.0.slow_net_g.bias_p"]?.shape == [1, 1, 6, 6])
            #expect(weights["blocks.0.locals.1.slow_net.running_context"]?.shape == [1, 4, 9, 9])
            let again: LinnetResult = try train(["--data", "mnist", "--side", "6", "--resume"], in: folder)
            #expect(again.status == 0, "\(again.errors)")
            let other: LinnetResult = try train(["--data", "mnist", "--side", "7", "--resume"], in: folder)
            #expect(other.status == 2 && other.complaint?.contains("side") == true, "\(other.errors)")
            let blocks: LinnetResult = try train(["--data", "mnist", "--side", "6", "--layers", "9", "--out", "other"], in: folder)
            #expect(blocks.status == 2 && blocks.complaint == "a Terminator of 9 blocks; it has 1 to 5")
        }
    }

    @Test func sequencesThatAreNoSquareAreRefused() throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try train(["--data", "fsdd", "--length", "200"], in: folder)
            #expect(result.status == 2)
            #expect(result.complaint?.contains("200 steps are none") == true || result.complaint?.contains("'fsdd' is not in") == true)
        }
    }
}
