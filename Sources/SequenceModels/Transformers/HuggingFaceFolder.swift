import Foundation
import NN
import Torch
import Training

/// A folder in Hugging Face's format, read as hostile input: `config.json` beside `model.safetensors` or its shards.
struct HuggingFaceFolder {
    private let folder: URL
    /// Puts other layers into the model that `config.json` describes, before its tensors are loaded; nil where it has to be as described.
    private let reshape: ((Module) throws -> Void)?

    init(_ folder: URL, reshape: ((Module) throws -> Void)? = nil) {
        self.folder = folder
        self.reshape = reshape
    }

    /// How many times the elements of its file a model with other layers may have: none that is of use comes near.
    private static let mostExpansion: Int = 256

    private var configurationFile: URL { folder.appendingPathComponent("config.json") }

    /// What `config.json` says the model is.
    struct Header: Decodable {
        var modelType: String?
        var architectures: [String]?
        var quantization: Method?

        enum CodingKeys: String, CodingKey {
            case modelType = "model_type"
            case architectures
            case quantization = "quantization_config"
        }

        /// Who wrote the section on quantisation.
        struct Method: Decodable {
            let name: String?

            private enum CodingKeys: String, CodingKey { case name = "quant_method" }

            init(from decoder: any Decoder) throws {
                name = try? decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .name)
            }
        }
    }

    /// - Throws: an error naming `config.json` where it is missing or no JSON object.
    func header() throws -> Header {
        let header: Header = try decode(Header.self)
        guard let method = header.quantization else { return header }
        if method.name != CompressedFormat.method { throw problem("quantization_config: quantized checkpoints of others cannot be read") }
        if reshape == nil { throw problem("quantization_config: describes compressed layers, which this command does not take") }
        return header
    }

    /// The configuration of a model that has to be of the given type.
    func configuration<Configuration: Decodable>(_ type: Configuration.Type, modelType: String) throws -> Configuration {
        guard let found = try header().modelType, found == modelType else {
            throw problem("model_type is \((try header().modelType ?? "missing").prefix(40)); it has to be \(modelType)")
        }
        return try decode(type)
    }

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let bytes: [UInt8] = try readFile(configurationFile.path)
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch let error as DecodingError {
            throw problem("is not a model's configuration: \(error.reason)")
        } catch let error as ConfigurationError {
            throw problem(error.description)
        }
    }

    /// Builds a model and gives it the tensors, once it is clear that the configuration describes no larger model than they are (or, where
    /// layers are replaced, than they can stand for).
    /// - Throws: an error naming the folder where tensors and configuration do not fit.
    func model<Model: Module>(_ tensors: [String: Tensor], parameterCount: Int, _ make: () throws -> Model) throws -> Model {
        let stored: Int = tensors.values.reduce(0) { $0 + $1.count }
        if parameterCount / (reshape == nil ? 1 : Self.mostExpansion) > stored {
            throw problem("describes a model of \(parameterCount) parameters, the checkpoint beside it has \(stored)")
        }
        let model: Model = try withTorchErrors(make)
        try reshape?(model)
        do { try model.load(tensors) } catch let error as CheckpointDifference {
            throw DataFormatError(path: folder.path, "\(error)")
        }
        model.train(false)
        return model
    }

    func problem(_ text: String) -> DataFormatError { DataFormatError(path: configurationFile.path, text) }
}
