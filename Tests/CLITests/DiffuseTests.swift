import Foundation
import TestSupport
import Testing
import Training

struct DiffuseTests {
    private static let hasDigits: Bool = (try? DataDirectory(TestPaths.data.path).locate("mnist")) != nil

    private func train(_ out: String, _ extra: [String] = [], in folder: URL) throws -> LinnetResult {
        try LinnetProcess(
            [
                "diffuse", "train", "--data", "mnist", "--limit", "40", "--size", "8", "--dimensions", "16", "--depth", "1", "--batch", "8",
                "--steps", "4", "--progress", "quiet", "--out", out, "--heads", "2",
            ] + extra, in: folder
        ).finish()
    }

    /// A teacher, a student of it, samples of both, and what they are worth.
    @Test(.enabled(if: hasDigits, "needs mnist")) func teacherStudentSamplesAndScores() throws {
        try TestPaths.withTemporaryFolder { folder in
            let teacher: LinnetResult = try train("dit", in: folder)
            #expect(teacher.status == 0 && teacher.output.contains("noise error"), "\(teacher.errors)")
            let student: LinnetResult = try train(
                "lit", ["--attention", "linear", "--teacher", "dit", "--inherit", "--distill"], in: folder)
            #expect(student.status == 0, "\(student.errors)")
            let drawn: LinnetResult = try LinnetProcess.run(
                "diffuse", "sample", "--model", "lit", "--count", "5", "--steps", "3", "--guidance", "2", "--class", "3", "--out", "s.png",
                "--progress", "quiet", in: folder)
            #expect(drawn.status == 0 && drawn.output.contains("5 images of 8 × 8 pixels in s.png"), "\(drawn.errors)")
            let picture: Data = try Data(contentsOf: folder.appendingPathComponent("s.png"))
            #expect(picture.starts(with: [0x89, 0x50, 0x4e, 0x47]))
            let score: LinnetResult = try LinnetProcess.run(
                "diffuse", "evaluate", "--model", "lit", "--data", "mnist", "--limit", "40", "--images", "20", "--samples", "12", "--steps",
                "3", "--json", "--progress", "quiet", in: folder)
            let numbers: [String: Double] = try JSONDecoder().decode([String: Double].self, from: Data(score.output.utf8))
            #expect(numbers.keys.sorted() == ["feature_accuracy", "frechet_distance", "noise_error"])
            #expect(numbers.values.allSatisfy { $0.isFinite })

            let misfit: LinnetResult = try train(
                "other", ["--attention", "linear", "--teacher", "dit", "--inherit", "--dimensions", "24"], in: folder)
            #expect(misfit.status == 2 && misfit.complaint?.contains("the teacher's dimensions is 16 and the student's 24") == true)
            #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("other").path))
            for (arguments, words) in [
                (["--class", "10"], "--class has to lie in 0 ... 9"), (["--steps", "1"], "--steps has to lie in 2 ... 1000"),
                (["--count", "0"], "at least 1"), (["--guidance", "nan"], "--guidance"),
            ] {
                let result: LinnetResult = try LinnetProcess(
                    ["diffuse", "sample", "--model", "lit", "--out", "x.png"] + arguments, in: folder
                ).finish()
                #expect(result.status == 2 && result.complaint?.contains(words) == true, "\(result.errors)")
            }
        }
    }

    @Test(.enabled(if: hasDigits, "needs mnist")) func aResumedRunEndsAsAnUnbrokenOne() throws {
        try TestPaths.withTemporaryFolder { folder in
            let long: [String] = ["--attention", "linear", "--checkpoint-every", "2"]
            #expect(try train("unbroken", long, in: folder).status == 0)
            #expect(try train("broken", long, in: folder).status == 0)
            // As if it had been killed after two steps.
            let files: FileManager = FileManager.default
            try files.removeItem(at: folder.appendingPathComponent("broken/checkpoints/step-00000004"))
            try files.removeItem(at: folder.appendingPathComponent("broken/model.safetensors"))
            #expect(try train("broken", long, in: folder).complaint?.contains("add --resume") == true)
            #expect(try train("broken", long + ["--resume"], in: folder).status == 0)
            let models: [Data] = try ["unbroken", "broken"].map {
                try Data(contentsOf: folder.appendingPathComponent("\($0)/model.safetensors"))
            }
            #expect(models[0] == models[1])
        }
    }

    @Test func badInputIsOneLine() throws {
        try TestPaths.withTemporaryFolder { folder in
            for (arguments, words) in [
                (["--inherit"], "need --teacher FOLDER"), (["--teacher", "nowhere", "--distill"], "nowhere"),
                (["--size", "9"], "patches of 2 pixels"), (["--average-decay", "2"], "averageDecay"),
                (["--teacher", "dit"], "--teacher needs --inherit"),
            ] {
                let result: LinnetResult = try train("run", arguments, in: folder)
                #expect(result.status == 2 && result.complaint?.contains(words) == true, "\(result.errors)")
                #expect(!FileManager.default.fileExists(atPath: folder.appendingPathComponent("run").path))
            }
            let absent: LinnetResult = try LinnetProcess.run("diffuse", "sample", "--model", "none", "--out", "x.png", in: folder)
            #expect(absent.status == 2 && absent.complaint?.contains("none/config.json") == true)
            let help: LinnetResult = try LinnetProcess.run("diffuse", "train", "--help", in: folder)
            #expect(help.status == 0 && help.output.contains("Examples:"))
        }
    }
}
