import Foundation
import NN
import SequenceModels
import Torch
import Training

/// A ``MemoryFormer`` with its tokenizer as a folder: `config.json` with the model type `linnet_memoryformer`, `model.safetensors`, `tokenizer.json`.
public struct MemoryFormerFolder {
    static let modelType: String = "linnet_memoryformer"
    private let folder: URL

    public init(_ folder: URL) { self.folder = folder }

    private var configurationFile: URL { folder.appendingPathComponent("config.json") }

    /// What `config.json` holds.
    private struct Document: Codable {
        let modelType: String
        let memoryFormer: MemoryFormerConfiguration

        enum CodingKeys: String, CodingKey {
            case modelType = "model_type"
            case memoryFormer = "memoryformer"
        }
    }

    /// Writes configuration and tokenizer, which a run has from its start on.
    /// - Throws: `FileError` where a file cannot be written.
    public func describe(_ configuration: MemoryFormerConfiguration, _ tokenizer: any Tokenizer) throws {
        try AtomicFile.createFolder(folder.path)
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let document: Document = Document(modelType: Self.modelType, memoryFormer: configuration)
        try AtomicFile.write(encoder.encode(document), to: configurationFile.path)
        try tokenizer.save(to: folder.appendingPathComponent("tokenizer.json"))
    }

    /// Writes the three files, each replaced as a whole.
    /// - Throws: `FileError` where a file cannot be written.
    public func save(_ model: MemoryFormer, _ tokenizer: any Tokenizer) throws {
        try describe(model.configuration, tokenizer)
        try model.save(to: folder.appendingPathComponent(LanguageModelBundle.weightsFile))
    }

    /// Whether a `config.json` is of this type.
    static func describes(_ document: Data) -> Bool {
        struct Header: Decodable {
            let modelType: String?
            enum CodingKeys: String, CodingKey { case modelType = "model_type" }
        }
        return (try? JSONDecoder().decode(Header.self, from: document))?.modelType == modelType
    }

    /// Reads the folder; where training has not ended yet, the newest checkpoint below `checkpoints` serves.
    /// - Throws: an error naming the file that is missing, broken, or does not fit.
    public func load() throws -> PretrainedModel {
        let configuration: MemoryFormerConfiguration = try readConfiguration()
        let tensors: [String: Tensor] = try LanguageModelBundle.weights(in: folder)
        let stored: Int = tensors.values.reduce(0) { $0 + $1.count }
        if configuration.parameterCount > stored {
            throw problem("describes a model of \(configuration.parameterCount) parameters, the checkpoint beside it has \(stored)")
        }
        let tokenizer: any Tokenizer = try loadTokenizer(from: folder.appendingPathComponent("tokenizer.json"))
        guard tokenizer.vocabularySize <= configuration.vocabularySize else {
            throw problem(
                "vocabularySize is \(configuration.vocabularySize); the tokenizer beside it has \(tokenizer.vocabularySize) tokens")
        }
        let model: MemoryFormer = try withTorchErrors { MemoryFormer(configuration) }
        do { try model.load(tensors) } catch let error as CheckpointDifference {
            throw DataFormatError(path: folder.path, "\(error)")
        }
        model.train(false)
        return PretrainedModel(model: model, tokenizer: tokenizer)
    }

    private func readConfiguration() throws -> MemoryFormerConfiguration {
        let bytes: [UInt8] = try readFile(configurationFile.path)
        do {
            let document: Document = try JSONDecoder().decode(Document.self, from: Data(bytes))
            guard document.modelType == Self.modelType else {
                throw problem("model_type is \(document.modelType.prefix(40)); it has to be \(Self.modelType)")
            }
            try document.memoryFormer.validate()
            return document.memoryFormer
        } catch let error as DecodingError {
            throw problem("is not a MemoryFormer's configuration: \(error.reason)")
        } catch let error as ConfigurationError {
            throw problem(error.description)
        }
    }

    private func problem(_ text: String) -> DataFormatError { DataFormatError(path: configurationFile.path, text) }
}
