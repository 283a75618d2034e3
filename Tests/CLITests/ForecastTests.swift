import Foundation
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

struct ForecastTests {
    private static let small: [String] = [
        "--lookback", "24", "--dimensions", "16", "--layers", "1", "--heads", "2", "--steps", "6", "--batch", "8", "--progress", "quiet",
        "--seed", "3",
    ]

    /// An hourly series of two waves in a folder of its own.
    private func withSeries<Result>(rows: Int = 300, _ body: (URL) throws -> Result) throws -> Result {
        try TestPaths.withTemporaryFolder { folder in
            let lines: [String] = (0..<rows).map { row in
                let time: String = String(format: "2021-%02d-%02d %02d:00:00", 1 + row / 24 / 28, 1 + row / 24 % 28, row % 24)
                return "\(time),\(10 + sin(Double(row) / 4)),\(5 * cos(Double(row) / 7))"
            }
            try Data((["date,heat,\"wind, west\""] + lines).joined(separator: "\n").utf8).write(
                to: folder.appendingPathComponent("series.csv"))
            return try body(folder)
        }
    }

    private func train(_ extra: [String], in folder: URL) throws -> LinnetResult {
        try LinnetProcess(["forecast", "train", "--data", "series.csv", "--out", "run"] + Self.small + extra, in: folder).finish()
    }

    private func complaint(_ extra: [String], rows: Int = 300) throws -> String {
        try withSeries(rows: rows) { folder in
            return try train(extra, in: folder).badInput()
        }
    }

    @Test func aSeriesIsContinuedWithItsDates() throws {
        try withSeries { folder in
            let trained: LinnetResult = try train(["--horizon", "6"], in: folder)
            #expect(trained.status == 0, "\(trained.errors)")
            let lines: [Substring] = trained.output.split(separator: "\n")
            #expect(lines.count == 5 && lines[1].contains("s-mamba") && lines[2].contains("dlinear") && lines[3].contains("repeat"))
            let predicted: LinnetResult = try LinnetProcess.run(
                "forecast", "predict", "--model", "run", "--data", "series.csv", "--out", "next.csv", in: folder)
            #expect(predicted.status == 0, "\(predicted.errors)")
            let rows: [Substring] = try String(contentsOf: folder.appendingPathComponent("next.csv"), encoding: .utf8).split(
                separator: "\n")
            #expect(rows.count == 7 && rows[0] == "date,heat,\"wind, west\"")
            // 300 rows end at 11 o'clock of the thirteenth day.
            #expect(rows[1].hasPrefix("2021-01-13 12:00:00,") && rows[6].hasPrefix("2021-01-13 17:00:00,"))
            let heat: Double = try #require(Double(rows[1].split(separator: ",")[1]))
            #expect(abs(heat - 10) < 3)
            #expect(try LinnetProcess.run("runs", "list", "--kind", "forecast", in: folder).output.contains("run"))
        }
    }

    @Test func severalHorizonsGiveATable() throws {
        try withSeries { folder in
            let result: LinnetResult = try train(["--model", "linear", "--horizon", "4", "--horizon", "8"], in: folder)
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.output.split(separator: "\n").count == 8)
            #expect(FileManager.default.fileExists(atPath: folder.appendingPathComponent("run/horizon-8/model.safetensors").path))
            let predicted: LinnetResult = try LinnetProcess.run(
                "forecast", "predict", "--model", "run", "--data", "series.csv", "--out", "next.csv", in: folder)
            #expect(predicted.complaint?.contains("run/horizon-4, run/horizon-8") == true)
        }
    }

    @Test func anInterruptedRunContinuesToTheSameModel() throws {
        try withSeries { folder in
            let options: [String] = ["--horizon", "6", "--checkpoint-every", "10", "--steps", "150"]
            #expect(try train(options + ["--out", "unbroken"], in: folder).status == 0)
            let run: LinnetProcess = try LinnetProcess(
                ["forecast", "train", "--data", "series.csv", "--out", "run"] + Self.small + options, in: folder)
            let checkpoints: URL = folder.appendingPathComponent("run/checkpoints")
            let limit: Date = Date().addingTimeInterval(60)
            while ((try? FileManager.default.contentsOfDirectory(atPath: checkpoints.path)) ?? []).filter({ $0.hasPrefix("step") }).isEmpty
            {
                try #require(Date() < limit, "no checkpoint within a minute")
                usleep(5_000)
            }
            run.process.interrupt()
            #expect(run.finish().status == 130)
            #expect(try train(options, in: folder).complaint?.contains("add --resume") == true)
            #expect(try train(options + ["--horizon", "8", "--resume"], in: folder).status == 0)
            let other: LinnetResult = try train(options + ["--dimensions", "8", "--resume"], in: folder)
            #expect(other.complaint?.contains("dimensions is 16 there and 8 here") == true, "\(other.errors)")
            let resumed: LinnetResult = try train(options + ["--resume"], in: folder)
            #expect(resumed.status == 0, "\(resumed.errors)")
            let files: [URL] = ["unbroken", "run"].map { folder.appendingPathComponent("\($0)/model.safetensors") }
            #expect(try Data(contentsOf: files[0]) == Data(contentsOf: files[1]))
        }
    }

    @Test func aSmallLanguageModelForecasts() throws {
        try withSeries { folder in
            try Data(String(repeating: "mean 3.0000; from 2021-01-01 to 2021-01-02\n", count: 60).utf8).write(
                to: folder.appendingPathComponent("text.txt"))
            let language: LinnetResult = try LinnetProcess.run(
                "train", "lm", "--text", "text.txt", "--tokenizer", "byte", "--mixer", "softmax", "--dimensions", "16", "--layers", "1",
                "--heads", "2", "--context", "16", "--batch", "2", "--steps", "2", "--progress", "quiet", "--out", "bytes", in: folder)
            #expect(language.status == 0, "\(language.errors)")
            let trained: LinnetResult = try train(
                ["--model", "smetimes", "--segment", "12", "--horizon", "18", "--backbone", "bytes"], in: folder)
            #expect(trained.status == 0, "\(trained.errors)")
            let predicted: LinnetResult = try LinnetProcess.run(
                "forecast", "predict", "--model", "run", "--data", "series.csv", "--out", "next.csv", in: folder)
            #expect(predicted.output.contains("18 steps of 2 variables"), "\(predicted.errors)")

            let sentences: URL = folder.appendingPathComponent("sentences")
            try FileManager.default.createDirectory(at: sentences, withIntermediateDirectories: true)
            try WordPieceDocument.make(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "mean", "2021"]).write(
                to: sentences.appendingPathComponent("tokenizer.json"))
            let bert: BertModel = BertModel(
                try BertConfiguration(vocabularySize: 6, dimensions: 8, hiddenDimensions: 8, layers: 1, heads: 2))
            let tokenizer: WordPieceTokenizer = try WordPieceTokenizer(contentsOf: sentences, wholeTexts: true)
            try BertSentenceEncoder(model: bert, tokenizer: tokenizer).save(to: sentences)
            let flags: [String] = ["--model", "smetimes", "--segment", "12", "--horizon", "18", "--backbone", "bytes", "--out", "told"]
            let told: LinnetResult = try train(flags + ["--prompt-encoder", "sentences"], in: folder)
            #expect(told.status == 0, "\(told.errors)")
            try FileManager.default.removeItem(at: sentences)
            let again: LinnetResult = try LinnetProcess.run(
                "forecast", "predict", "--model", "told", "--data", "series.csv", "--out", "next.csv", in: folder)
            #expect(again.output.contains("18 steps of 2 variables"), "\(again.errors)")
            let missing: LinnetResult = try train(flags + ["--prompt-encoder", "none", "--out", "other"], in: folder)
            #expect(missing.complaint?.contains("none/tokenizer.json") == true, "\(missing.errors)")
        }
    }

    @Test func badInputIsOneLine() throws {
        #expect(try complaint(["--model", "oracle"]).contains("oracle"))
        #expect(try complaint(["--data", "none.csv"]).contains("none.csv: there is no such file"))
        #expect(try complaint(["--model", "smetimes"]).contains("needs --backbone"))
        #expect(try complaint(["--prompt-encoder", "none"]).contains("is for --model smetimes"))
        #expect(try complaint(["--horizon", "0"]).contains("at least 1"))
        #expect(try complaint(["--horizon", "500"]).contains("too short for a look-back of 24 and a horizon of 500"))
        #expect(try complaint(["--split", "ett"]).contains("the ETT split needs 14400"))
        #expect(try complaint(["--batch", "5000", "--horizon", "4"]).contains("the number of training windows"))
    }

    @Test func aSeriesOfAnotherKindIsRefused() throws {
        try withSeries { folder in
            let trained: LinnetResult = try train(["--horizon", "6", "--model", "repeat"], in: folder)
            #expect(trained.status == 0, "\(trained.errors)")
            let cases: KeyValuePairs<String, String> = [
                "date,heat\n2021-01-01,1\n": "there is no column 'wind, west'",
                "date,heat,\"wind, west\"\n2021-01-01 01:00:00,1,2\n": "looks back over 24",
                "heat,\"wind, west\"\n1,2\n": "calendar features",
                "date,heat,\"wind, west\"\nsoon,1,2\n": "'soon' is no date",
            ]
            for (text, expected) in cases {
                try Data(text.utf8).write(to: folder.appendingPathComponent("other.csv"))
                let result: LinnetResult = try LinnetProcess.run(
                    "forecast", "predict", "--model", "run", "--data", "other.csv", "--out", "next.csv", in: folder)
                #expect(result.complaint?.contains(expected) == true, "\(result.errors)")
            }
        }
    }
}
