import Foundation
import Optim
import Torch

/// What a training run needs besides tensors to continue as if it had never stopped.
public struct TrainingState: Codable, Sendable, Equatable {
    /// Steps done.
    public var step: Int = 0
    /// Seconds of training so far, over all sittings.
    public var seconds: Double = 0
    /// Best validation so far (the lower the better) and the step it came from.
    public var best: Double?
    public var bestStep: Int?
    /// Validations since the best.
    public var stale: Int = 0
    public var optimizer: OptimizerScalars?
    /// Updates of the moving average of the parameters.
    public var averageUpdates: Int = 0
    /// The run's whole configuration as JSON, to refuse a checkpoint of another one.
    public var configuration: String = "{}"
}

/// One checkpoint: the model by its parameter names, the optimizer and random state, and the rest as JSON.
public struct Checkpoint {
    public let model: [String: Tensor]
    public let training: [String: Tensor]
    public let state: TrainingState
}

/// A folder of checkpoints, `step-00000100/` and so on. Each is written under another name and renamed when it is whole, so that a folder
/// with the final name is always complete.
public struct CheckpointStore: Sendable {
    public let folder: URL

    static let modelFile: String = "model.safetensors"
    static let trainingFile: String = "training.safetensors"
    static let stateFile: String = "state.json"
    private static let prefix: String = "step-"

    public init(_ folder: URL) { self.folder = folder }

    /// The steps of the checkpoints that are there, in order.
    public var steps: [Int] {
        let names: [String] = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return names.filter { $0.hasPrefix(Self.prefix) }.compactMap { Int($0.dropFirst(Self.prefix.count)) }.sorted()
    }

    public func url(step: Int) -> URL {
        let digits: String = String(step)
        return folder.appendingPathComponent(
            Self.prefix + String(repeating: "0", count: max(0, 8 - digits.count)) + digits, isDirectory: true)
    }

    /// Writes a checkpoint; one of the same step is replaced.
    /// - Throws: what the file system says; the checkpoints that were there stay.
    public func save(_ checkpoint: Checkpoint) throws {
        let target: URL = url(step: checkpoint.state.step)
        let partial: URL = folder.appendingPathComponent(".\(target.lastPathComponent).partial-\(getpid())", isDirectory: true)
        let files: FileManager = FileManager.default
        try files.createDirectory(at: folder, withIntermediateDirectories: true)
        removeAbandoned()
        try? files.removeItem(at: partial)
        do {
            try files.createDirectory(at: partial, withIntermediateDirectories: true)
            try saveTensors(checkpoint.model, to: partial.appendingPathComponent(Self.modelFile))
            try saveTensors(checkpoint.training, to: partial.appendingPathComponent(Self.trainingFile))
            let encoder: JSONEncoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            try AtomicFile.write(encoder.encode(checkpoint.state), to: partial.appendingPathComponent(Self.stateFile).path)
            try replace(target, by: partial)
        } catch {
            try? files.removeItem(at: partial)
            throw error
        }
    }

    /// The rename is what makes the checkpoint exist. An older one of the same step is moved away first, since a folder cannot be renamed
    /// over another.
    private func replace(_ target: URL, by partial: URL) throws {
        let old: URL = folder.appendingPathComponent(".\(target.lastPathComponent).old-\(getpid())", isDirectory: true)
        let replaces: Bool = rename(target.path, old.path) == 0
        guard rename(partial.path, target.path) == 0 else {
            let code: Int32 = errno
            if replaces { rename(old.path, target.path) }
            throw FileError("write", target.path, code: code)
        }
        if replaces { try? FileManager.default.removeItem(at: old) }
    }

    /// Removes what a killed process left half-written.
    private func removeAbandoned() {
        let names: [String] = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        for name in names where name.hasPrefix(".\(Self.prefix)") {
            guard let process = name.split(separator: "-").last.flatMap({ Int32($0) }), kill(process, 0) != 0 || process == getpid() else {
                continue
            }
            try? FileManager.default.removeItem(at: folder.appendingPathComponent(name))
        }
    }

    /// The newest checkpoint, or nil where there is none.
    public func latest() throws -> Checkpoint? { try steps.last.map(load) }

    /// - Throws: a typed error naming the file that is missing or broken.
    public func load(step: Int) throws -> Checkpoint {
        let source: URL = url(step: step)
        let bytes: [UInt8] = try readFile(source.appendingPathComponent(Self.stateFile).path)
        let state: TrainingState
        do { state = try JSONDecoder().decode(TrainingState.self, from: Data(bytes)) } catch {
            throw DataFormatError(
                path: source.appendingPathComponent(Self.stateFile).path, "is not the state of a training run; use another checkpoint")
        }
        return Checkpoint(
            model: try loadTensors(source.appendingPathComponent(Self.modelFile)),
            training: try loadTensors(source.appendingPathComponent(Self.trainingFile)), state: state)
    }

    /// Removes all but the newest `count` checkpoints and the one of `best`.
    public func prune(keeping count: Int, best: Int?) {
        for step in steps.dropLast(count) where step != best { try? FileManager.default.removeItem(at: url(step: step)) }
    }
}
