import Foundation
import NN
import Torch
import Training

extension DiT {
    static let configurationFile: String = "config.json"
    static let weightsFile: String = "model.safetensors"

    /// Writes the configuration, which a run has from its start on.
    public static func describe(_ configuration: DiTConfiguration, in folder: URL) throws {
        try AtomicFile.createFolder(folder.path)
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try AtomicFile.write(encoder.encode(configuration), to: folder.appendingPathComponent(configurationFile).path)
    }

    /// Writes the folder `config.json` and `model.safetensors`, each file replaced as a whole.
    public func write(to folder: URL) throws {
        try Self.describe(configuration, in: folder)
        try save(to: folder.appendingPathComponent(Self.weightsFile))
    }

    /// Reads a folder; where training has not ended yet (no `model.safetensors`), the newest checkpoint below `checkpoints` serves, with the
    /// moving average of its weights if there is one.
    /// - Throws: an error naming the file that is missing, broken, or does not fit.
    public static func read(from folder: URL) throws -> DiT {
        let model: DiT = try DiT(try configuration(folder.appendingPathComponent(configurationFile)))
        try model.load(try weights(in: folder))
        model.train(false)
        return model
    }

    private static func weights(in folder: URL) throws -> [String: Tensor] {
        let file: URL = folder.appendingPathComponent(weightsFile)
        if FileManager.default.fileExists(atPath: file.path) { return try loadTensors(file) }
        let store: CheckpointStore = CheckpointStore(folder.appendingPathComponent("checkpoints", isDirectory: true))
        guard let checkpoint = try store.latest() else {
            throw DataFormatError(path: folder.path, "has neither \(weightsFile) nor a checkpoint; give the folder of a trained DiT")
        }
        var tensors: [String: Tensor] = checkpoint.model
        let prefix: String = "average."
        for (name, tensor) in checkpoint.training where name.hasPrefix(prefix) { tensors[String(name.dropFirst(prefix.count))] = tensor }
        return tensors
    }

    private static func configuration(_ file: URL) throws -> DiTConfiguration {
        let bytes: [UInt8] = try readFile(file.path)
        do { return try JSONDecoder().decode(DiTConfiguration.self, from: Data(bytes)) } catch let error as DecodingError {
            throw DataFormatError(path: file.path, "is not a Linnet DiT's configuration: \(error.reason)")
        }
    }
}
