import Foundation
import NN
import Torch
import Training

/// A language model with its tokenizer, as a folder: `config.json`, `model.safetensors` and `tokenizer.json`.
public struct LanguageModelBundle {
    public let model: LanguageModel
    public let tokenizer: any Tokenizer

    public init(model: LanguageModel, tokenizer: any Tokenizer) {
        self.model = model
        self.tokenizer = tokenizer
    }

    static let configurationFile: String = "config.json"
    static let weightsFile: String = "model.safetensors"

    /// Writes configuration and tokenizer, which a run has from its start on.
    public static func describe(_ configuration: LanguageModelConfiguration, _ tokenizer: any Tokenizer, in folder: URL) throws {
        try AtomicFile.createFolder(folder.path)
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try AtomicFile.write(encoder.encode(configuration), to: folder.appendingPathComponent(configurationFile).path)
        try tokenizer.save(to: folder.appendingPathComponent("tokenizer.json"))
    }

    /// Writes the three files, each replaced as a whole.
    public func save(to folder: URL) throws {
        try Self.describe(model.configuration, tokenizer, in: folder)
        try saveTensors(Dictionary(uniqueKeysWithValues: model.stateTensors()), to: folder.appendingPathComponent(Self.weightsFile))
    }

    /// Reads a folder; where training has not ended yet (no `model.safetensors`), the newest checkpoint below `checkpoints` serves.
    /// - Throws: an error naming the file that is missing, broken, or does not fit.
    public static func load(from folder: URL) throws -> LanguageModelBundle { try load(from: folder, reshape: nil) }

    static func load(from folder: URL, reshape: ((Module) throws -> Void)?) throws -> LanguageModelBundle {
        let configuration: LanguageModelConfiguration = try readConfiguration(folder.appendingPathComponent(configurationFile))
        let model: LanguageModel = try LanguageModel(configuration)
        try reshape?(model)
        try model.load(try weights(in: folder))
        model.train(false)
        return LanguageModelBundle(model: model, tokenizer: try loadTokenizer(from: folder.appendingPathComponent("tokenizer.json")))
    }

    private static func weights(in folder: URL) throws -> [String: Tensor] {
        let file: URL = folder.appendingPathComponent(weightsFile)
        let index: URL = folder.appendingPathComponent(weightsFile + ".index.json")
        if [file, index].contains(where: { FileManager.default.fileExists(atPath: $0.path) }) { return try loadTensors(folder) }
        let store: CheckpointStore = CheckpointStore(folder.appendingPathComponent("checkpoints", isDirectory: true))
        if let checkpoint = try store.latest() { return checkpoint.model }
        throw DataFormatError(path: folder.path, "has neither \(weightsFile) nor a checkpoint; give the folder of a trained model")
    }

    private static func readConfiguration(_ file: URL) throws -> LanguageModelConfiguration {
        let bytes: [UInt8] = try readFile(file.path)
        do { return try JSONDecoder().decode(LanguageModelConfiguration.self, from: Data(bytes)) } catch let error as DecodingError {
            throw DataFormatError(path: file.path, "is not a Linnet language model's configuration: \(error.reason)")
        }
    }
}

extension DecodingError {
    /// What is wrong with a decoded document, in one line.
    package var reason: String {
        switch self {
        case .keyNotFound(let key, _): "\(key.stringValue) is missing"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            (context.codingPath.isEmpty ? "" : context.codingPath.map(\.stringValue).joined(separator: ".") + ": ")
                + context.debugDescription
        @unknown default: "\(self)"
        }
    }
}
