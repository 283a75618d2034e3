import Foundation
import Torch

/// How exactly a set of tensors must fit a model.
public enum LoadingMode: Sendable {
    /// The same names and shapes on both sides.
    case strict
    /// What fits is loaded; the rest is only reported.
    case lenient
}

/// How a set of named tensors differs from what a model wants.
public struct CheckpointDifference: Error, CustomStringConvertible, Sendable {
    public struct ShapeMismatch: Sendable {
        public let name: String
        public let wanted: [Int]
        public let found: [Int]
    }

    /// Names that the model has and the checkpoint lacks.
    public var missing: [String] = []
    /// Names that the checkpoint has and the model lacks.
    public var unexpected: [String] = []
    public var misshapen: [ShapeMismatch] = []

    public var isEmpty: Bool { missing.isEmpty && unexpected.isEmpty && misshapen.isEmpty }

    /// One line; each list is cut after its first names.
    public var description: String {
        if isEmpty { return "the checkpoint fits the model" }
        let parts: [String] = [
            Self.listed("missing", missing), Self.listed("unexpected", unexpected),
            Self.listed("of another shape", misshapen.map { "\($0.name) (model \($0.wanted), checkpoint \($0.found))" }),
        ]
        return "the checkpoint does not fit the model: " + parts.filter { !$0.isEmpty }.joined(separator: "; ")
    }

    private static func listed(_ what: String, _ names: [String]) -> String {
        guard !names.isEmpty else { return "" }
        let shown: String = names.prefix(5).joined(separator: ", ")
        return "\(names.count) \(what): \(shown)" + (names.count > 5 ? ", …" : "")
    }
}

extension Module {
    /// Compares a set of named tensors with this module's parameters and buffers.
    public func difference(from tensors: [String: Tensor]) -> CheckpointDifference {
        var difference: CheckpointDifference = CheckpointDifference()
        let wanted: [(String, Tensor)] = stateTensors()
        for (name, target) in wanted {
            guard let found = tensors[name] else {
                difference.missing.append(name)
                continue
            }
            if found.shape != target.shape {
                difference.misshapen.append(.init(name: name, wanted: target.shape, found: found.shape))
            }
        }
        let known: Set<String> = Set(wanted.map(\.0))
        difference.unexpected = tensors.keys.filter { !known.contains($0) }.sorted()
        return difference
    }

    /// Copies named tensors into the parameters and buffers, converting their dtype.
    /// - Returns: what did not fit (empty in strict mode).
    /// - Throws: ``CheckpointDifference`` in strict mode when anything does not fit; then nothing has been changed.
    @discardableResult
    public func load(_ tensors: [String: Tensor], mode: LoadingMode = .strict) throws -> CheckpointDifference {
        let difference: CheckpointDifference = difference(from: tensors)
        if mode == .strict, !difference.isEmpty { throw difference }
        let skipped: Set<String> = Set(difference.misshapen.map(\.name))
        noGrad {
            for (name, target) in stateTensors() where !skipped.contains(name) {
                if let source = tensors[name] { target.copy_(from: source) }
            }
        }
        return difference
    }
}

extension Module {
    /// Writes parameters and buffers to a safetensors file, atomically; see `saveTensors(_:metadata:to:mostShardBytes:)`.
    /// - Parameters:
    ///   - url: the file, or the name that the shards' names are made from.
    ///   - metadata: strings for the header.
    ///   - mostShardBytes: a larger model is cut into several files with an index.
    /// - Throws: an error naming the file when it cannot be written.
    public func save(to url: URL, metadata: [String: String] = [:], mostShardBytes: Int? = nil) throws {
        let tensors: [String: Tensor] = Dictionary(uniqueKeysWithValues: stateTensors())
        try saveTensors(tensors, metadata: metadata, to: url, mostShardBytes: mostShardBytes)
    }

    /// Copies the tensors of a safetensors file, of a sharded checkpoint's index or of a folder with either into the parameters and buffers.
    /// - Returns: what did not fit (empty in strict mode).
    /// - Throws: `SafetensorsError` for a file that cannot be read; ``CheckpointDifference`` in strict mode when anything does not fit.
    @discardableResult
    public func load(from url: URL, mode: LoadingMode = .strict) throws -> CheckpointDifference {
        try load(loadTensors(url), mode: mode)
    }
}
