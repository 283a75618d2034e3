import Foundation
import TestSupport
import Testing

struct BadInputTests {
    private static let text: String = String(repeating: "To be, or not to be, that is the question. ", count: 40)

    private static let small: [String] = [
        "--dimensions", "16", "--layers", "1", "--heads", "2", "--context", "16", "--batch", "2", "--steps", "4", "--progress", "quiet",
    ]

    private func train(_ extra: [String], in folder: URL) throws -> LinnetResult {
        try LinnetProcess(["train", "lm", "--text", "text.txt", "--out", "run"] + Self.small + extra, in: folder).finish()
    }

    private func complaint(about bytes: Data, _ extra: [String] = []) throws -> String {
        try TestPaths.withTemporaryFolder { folder in
            try bytes.write(to: folder.appendingPathComponent("text.txt"))
            let result: LinnetResult = try train(extra, in: folder)
            #expect(result.status == 2)
            #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("run/model.safetensors").path))
            return try #require(result.complaint, "one line, not: \(result.errors)")
        }
    }

    @Test func emptyText() throws { #expect(try complaint(about: Data()).contains("the file is empty")) }

    @Test func textThatIsNotUTF8() throws {
        #expect(try complaint(about: Data("abc".utf8) + [0xff] + Data("def".utf8)).contains("not UTF-8 at byte 3"))
    }

    @Test func textShorterThanTheContext() throws {
        #expect(try complaint(about: Data("short".utf8)).contains("the context needs at least 17"))
    }

    @Test func aLossThatIsNotFinite() throws {
        let complaint: String = try complaint(about: Data(Self.text.utf8), ["--learning-rate", "1e38", "--warm-up", "0", "--steps", "20"])
        #expect(complaint.contains("training stopped at step") && complaint.contains("is not finite"))
    }

    @Test func headsThatDoNotDivide() throws {
        #expect(try complaint(about: Data(Self.text.utf8), ["--heads", "3"]).contains("3 heads have to divide"))
    }

    @Test func anUnknownMixer() throws { #expect(try complaint(about: Data(Self.text.utf8), ["--mixer", "magic"]).contains("magic")) }

    @Test func anUnknownVariant() throws {
        #expect(try complaint(about: Data(Self.text.utf8), ["--mixer", "norm-attention", "--variant", "t3"]).contains("t3"))
    }

    @Test(arguments: ["norm-attention", "diag-attention", "scaled-linear", "lightnet"]) func mixersHaveNames(mixer: String) throws {
        try TestPaths.withTemporaryFolder { folder in
            try Data(Self.text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            let result: LinnetResult = try train(["--mixer", mixer, "--variant", "t2"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let generated: LinnetResult = try LinnetProcess.run("generate", "--model", "run", "--prompt", "To", "--tokens", "5", in: folder)
            #expect(generated.status == 0, "\(generated.errors)")
        }
    }

    @Test func anOddHeadForPositions() throws {
        #expect(
            try complaint(about: Data(Self.text.utf8), ["--mixer", "norm-attention", "--heads", "16"]).contains("needs an even key width"))
    }

    @Test func moreActiveMemoriesThanThereAre() throws {
        let flags: [String] = ["--mixer", "mom", "--memories", "2", "--active-memories", "3"]
        #expect(try complaint(about: Data(Self.text.utf8), flags).contains("cannot go to 3 of 2 memories"))
    }

    @Test func anUnknownMemoryBackend() throws {
        #expect(try complaint(about: Data(Self.text.utf8), ["--mixer", "mom", "--memory-backend", "magic"]).contains("magic"))
    }

    @Test func aMissingFile() throws {
        try TestPaths.withTemporaryFolder { folder in
            let result: LinnetResult = try train([], in: folder)
            #expect(result.status == 2)
            #expect(result.complaint?.contains("text.txt: No such file or directory") == true)
        }
    }

    @Test func aFolderThatHoldsARunIsNotOverwritten() throws {
        try TestPaths.withTemporaryFolder { folder in
            try Data(Self.text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            #expect(try train([], in: folder).status == 0)
            #expect(try train([], in: folder).complaint?.contains("add --resume") == true)
            // The same folder with other settings: the checkpoint is another model's.
            let other: LinnetResult = try train(["--dimensions", "32", "--resume"], in: folder)
            #expect(other.complaint?.contains("model.dimensions is 16 there and 32 here") == true)
            #expect(try LinnetProcess.run("generate", "--model", "run", "--prompt", "To", "--tokens", "5", in: folder).status == 0)
        }
    }

    @Test(.enabled(if: getuid() == 0, "mounting a small disk needs root")) func aFullDisk() throws {
        try TestPaths.withTemporaryFolder { folder in
            try Data(Self.text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            let disk: URL = folder.appendingPathComponent("disk")
            try FileManager.default.createDirectory(at: disk, withIntermediateDirectories: true)
            guard try shell("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk.path) == 0 else {
                return  // Inside a sandbox without the right to mount there is no small disk to fill.
            }
            defer { _ = try? shell("umount", disk.path) }
            let result: LinnetResult = try train(["--out", "disk/run"], in: folder)
            #expect(result.status == 2)
            #expect(result.complaint?.contains("No space left on device") == true, "\(result.errors)")
        }
    }

    @Test(arguments: ["lamb", "galore: {rank: 4, updateGap: 2}", "adamw: {beta2: 0.99, learningRate: 0.01}"])
    func optimizersHaveNamesAndSettings(optimizer: String) throws {
        try TestPaths.withTemporaryFolder { folder in
            try Data(Self.text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            let result: LinnetResult = try train(["--optimizer", optimizer, "--checkpoint-every", "2"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            let other: LinnetResult = try train(["--optimizer", "lion", "--checkpoint-every", "2", "--resume"], in: folder)
            #expect(other.complaint?.contains("belongs to another configuration: optimizer") == true, "\(other.errors)")
        }
    }

    @Test(arguments: [
        ("magic", "no field is called \"magic\"; there are sgd, adam"), ("galore: {rnk: 4}", "GaLore: no field is called \"rnk\""),
        ("lamb: 3", "--optimizer is a name"), ("{lamb: {}, lion: {}}", "--optimizer is a name"), ("lamb: {beta1: 2}", "beta1"),
    ])
    func optimizersThatDoNotExist(optimizer: String, message: String) throws {
        let complaint: String = try complaint(about: Data(Self.text.utf8), ["--optimizer", optimizer])
        #expect(complaint.contains(message), "\(complaint)")
    }

    private func shell(_ arguments: String...) throws -> Int32 {
        let process: Process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    @Test func recipesStandForFlags() throws {
        try TestPaths.withTemporaryFolder { folder in
            try Data(Self.text.utf8).write(to: folder.appendingPathComponent("text.txt"))
            let recipe: String =
                "text: [text.txt]\nmixer: deltanet\ndimensions: 16\nlayers: 1\nheads: 2\ncontext: 16\nbatch: 2\nsteps: 3\nprogress: quiet\n"
                + "optimizer: {galore: {rank: 2}}\n"
            try Data(recipe.utf8).write(to: folder.appendingPathComponent("recipe.yaml"))
            let result: LinnetResult = try LinnetProcess.run(
                "train", "lm", "--recipe", "recipe.yaml", "--steps", "2", "--out", "run", in: folder)
            #expect(result.status == 0)
            #expect(result.output.hasPrefix("2 steps"))
            try Data("text: text.txt\nmixre: gla\n".utf8).write(to: folder.appendingPathComponent("recipe.yaml"))
            let wrong: LinnetResult = try LinnetProcess.run("train", "lm", "--recipe", "recipe.yaml", "--out", "other", in: folder)
            #expect(wrong.complaint?.contains("--mixre") == true)
        }
    }
}
