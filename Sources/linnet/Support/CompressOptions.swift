import ArgumentParser
import Efficiency
import Foundation
import SequenceModels
import Torch
import Training

/// What all methods of `compress` take.
struct CompressOptions: ParsableArguments {
    @Argument(help: "Folder of the model.")
    var input: String
    @Argument(help: "Folder to write; not needed for a dry run.")
    var output: String?
    @Option(
        help:
            "A UTF-8 text file to measure the perplexity on; may be given several times. Without --calibration the first nine tenths calibrate."
    )
    var text: [String] = []
    @Option(help: "A UTF-8 text file to calibrate or train on; may be given several times.")
    var calibration: [String] = []
    @Option(help: "Tokens of a window of text.")
    var context: Int = 256
    @Option(help: "Windows that are read side by side.")
    var batch: Int = 8
    @Option(help: "Seed of what is drawn.")
    var seed: UInt64 = 0
    @Flag(name: .customLong("dry-run"), help: "Print the plan; change and write nothing.")
    var dryRun: Bool = false
    @Flag(help: "Write the compressed layers multiplied out: no smaller than before, but readable by all that reads the dense model.")
    var dense: Bool = false
    @Flag(help: "Print one JSON object.")
    var json: Bool = false
    @Flag(help: "Print no progress.")
    var quiet: Bool = false

    func validate() throws {
        if output == nil, !dryRun { throw ValidationError("give the folder to write, or --dry-run") }
        if context < 1 || batch < 1 { throw ValidationError("--context and --batch have to be at least 1") }
    }

    /// Applies the steps, writes the folder and prints the report.
    func run(_ steps: [any CompressionStep]) throws {
        Interrupt.install()
        let source: URL = URL(fileURLWithPath: input, isDirectory: true)
        let target: URL? = dryRun ? nil : output.map { URL(fileURLWithPath: $0, isDirectory: true) }
        if let target, FileManager.default.fileExists(atPath: target.appendingPathComponent("config.json").path) {
            throw ValidationError("\(target.relativePath) already holds a model; give another folder")
        }
        var subject: CompressedModel = try CompressedModel.load(from: source)
        let (calibrating, measuring): (TextWindows?, TextWindows?) = try texts(subject)
        let context: CompressionContext = CompressionContext(
            calibration: calibrating, seed: seed, progress: { if !quiet { write($0) } }, isCancelled: { Interrupt.isRequested })
        var report: CompressionReport = try subject.compress(steps, text: measuring, context: context, dryRun: dryRun)
        report.disk = .init(before: Double(CompressedModel.bytesOnDisk(source)))
        if let target {
            if dense { try multiplyOut(subject, &report) }
            try subject.save(to: target, companionsFrom: source)
            report.disk?.after = Double(CompressedModel.bytesOnDisk(target))
        }
        print(json ? String(decoding: try JSONEncoder().encode(report), as: UTF8.self) : report.text())
    }

    private func multiplyOut(_ subject: CompressedModel, _ report: inout CompressionReport) throws {
        if let left = subject.multiplyOut().first {
            throw ConfigurationError("\(left) has no matrix that could be multiplied out; leave --dense away")
        }
        report.memory.after = Double(subject.bytes)
    }

    /// The text to calibrate on and the one to measure on, which never overlap.
    private func texts(_ subject: CompressedModel) throws -> (calibration: TextWindows?, text: TextWindows?) {
        let length: Int = min(context, subject.languageModel?.contextLimit ?? context)
        func windows(_ tokens: PackedTokens) -> TextWindows { TextWindows(tokens, context: length, rows: batch, seed: seed) }
        func corpus(_ files: [String], calibrating share: Double) throws -> (training: PackedTokens, validation: PackedTokens) {
            try TextCorpus(contentsOf: files.map { URL(fileURLWithPath: $0) }).split(
                with: subject.tokenizer, contextLength: length, trainingFraction: share)
        }
        let other: PackedTokens? = calibration.isEmpty ? nil : try corpus(calibration, calibrating: 1).training
        guard !text.isEmpty else { return (other.map(windows), nil) }
        let parts: (training: PackedTokens, validation: PackedTokens) = try corpus(text, calibrating: other == nil ? 0.9 : 0)
        return (windows(other ?? parts.training), windows(parts.validation))
    }

    private func write(_ line: String) { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
}
