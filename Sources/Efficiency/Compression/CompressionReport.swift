import Foundation
import SequenceModels
import Training

/// What steps did to a model: a line for each layer, real sizes before and after, and how well the model predicts a text before and after.
public struct CompressionReport: Codable, Sendable {
    /// One step's choices.
    public struct Step: Codable, Sendable {
        public let name: String
        public let summary: String
        public let choices: [LayerChoice]
    }

    /// Before and after.
    public struct Change: Codable, Sendable, Equatable {
        public var before: Double
        public var after: Double?

        public init(before: Double, after: Double? = nil) {
            self.before = before
            self.after = after
        }
    }

    public var steps: [Step] = []
    /// Bytes of the whole model's parameters and buffers in memory; in a dry run those that are to be expected.
    public var memory: Change
    /// Bytes of the files with its tensors.
    public var disk: Change?
    /// On the text that was given.
    public var perplexity: Change?
    public var isDryRun: Bool

    public init(memory: Change, isDryRun: Bool) {
        self.memory = memory
        self.isDryRun = isDryRun
    }

    /// The table of layers, then the sums.
    public func text() -> String {
        var lines: [String] = []
        for step in steps {
            lines.append("\(step.name): \(step.summary)")
            let width: Int = step.choices.map(\.path.count).max() ?? 0
            lines += step.choices.map { choice in
                let sizes: String = "\(Self.size(choice.bytesBefore)) -> \(Self.size(choice.bytesAfter))"
                return "  \(choice.path.padding(toLength: width, withPad: " ", startingAt: 0))  \(sizes)  \(choice.choice)"
            }
        }
        if isDryRun { lines.append("a plan: nothing was changed or written") }
        lines.append(Self.line("memory", memory) { Self.size(Int($0)) })
        if let disk { lines.append(Self.line("on disk", disk) { Self.size(Int($0)) }) }
        if let perplexity { lines.append(Self.line("perplexity", perplexity) { String(format: "%.4f", $0) }) }
        return lines.joined(separator: "\n")
    }

    private static func line(_ name: String, _ change: Change, _ show: (Double) -> String) -> String {
        let label: String = name.padding(toLength: 11, withPad: " ", startingAt: 0)
        guard let after = change.after else { return "\(label) \(show(change.before))" }
        return "\(label) \(show(change.before)) -> \(show(after))  (\(String(format: "%.3f", after / change.before)) of it)"
    }

    private static func size(_ bytes: Int) -> String {
        let number: Double = Double(bytes)
        let units: [(String, Double)] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)]
        let (unit, factor): (String, Double) = units.first { number >= $0.1 } ?? ("B", 1)
        let text: String = factor == 1 ? "\(bytes)" : String(format: "%.1f", number / factor)
        return String(repeating: " ", count: max(0, 5 - text.count)) + "\(text) \(unit)"
    }
}

extension CompressedModel {
    /// Applies steps one after the other, or plans each on the model as it is.
    /// - Parameters:
    ///   - steps: in their order.
    ///   - text: what the perplexity is measured on; nil, and for an encoder, it is not.
    ///   - context: what the steps may use.
    ///   - dryRun: nothing is changed. Steps that would follow others are planned as if they came first.
    /// - Throws: what the steps throw.
    public mutating func compress(
        _ steps: [any CompressionStep], text: TextWindows? = nil, context: CompressionContext, dryRun: Bool = false
    ) throws -> CompressionReport {
        var report: CompressionReport = CompressionReport(memory: .init(before: Double(bytes)), isDryRun: dryRun)
        if let text, let languageModel { report.perplexity = .init(before: languageModel.score(text).perplexity) }
        for step in steps {
            try context.checkCancellation()
            if !dryRun { try step.check(self, context) }
            context.progress("\(type(of: step).name): \(step.summary)")
            let choices: [LayerChoice] = dryRun ? try step.plan(self, context) : try step.apply(to: self, context)
            report.steps.append(.init(name: type(of: step).name, summary: step.summary, choices: choices))
            if !dryRun { history.append("\(type(of: step).name): \(step.summary)") }
        }
        let saved: Int = report.steps.flatMap(\.choices).reduce(0) { $0 + $1.bytesBefore - $1.bytesAfter }
        report.memory.after = dryRun ? report.memory.before - Double(saved) : Double(bytes)
        model.train(false)
        model.freeze()
        if !dryRun, let text, let languageModel { report.perplexity?.after = languageModel.score(text).perplexity }
        return report
    }

    /// Bytes of the files with the model's tensors in a folder.
    public static func bytesOnDisk(_ folder: URL) -> Int {
        let names: [String] = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasPrefix("model") && $0.hasSuffix(".safetensors") }.reduce(0) { sum, name in
            let attributes: [FileAttributeKey: Any]? = try? FileManager.default.attributesOfItem(
                atPath: folder.appendingPathComponent(name).resolvingSymlinksInPath().path)
            return sum + ((attributes?[.size] as? Int) ?? 0)
        }
    }
}
