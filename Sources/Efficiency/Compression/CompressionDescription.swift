import Foundation
import NN
import SequenceModels
import Torch
import Training

/// The section of a `config.json` that says which layers of the model are not dense: under `quantization_config`, with the method `linnet`.
///
///     "quantization_config": {
///         "quant_method": "linnet",
///         "version": 1,
///         "history": ["quantize: 4 bits, groups of 64, rtn"],
///         "layers": [{"path": "model.layers.0.mlp.up_proj", "kind": "quantized", "configuration": {"bits": 4, "groupSize": 64}}]
///     }
///
/// Layers are listed in the order in which they are put into the dense model: one that holds others before these.
struct CompressionDescription {
    /// One layer; its configuration is JSON.
    struct Entry {
        let path: String
        let kind: String
        let configuration: Any
    }

    var history: [String] = []
    var entries: [Entry] = []

    private static let version: Int = 1

    /// What a model holds.
    init(of model: Module, history: [String]) throws {
        self.history = history
        entries = try model.compressedLayers.map { path, layer in try Self.entry(path, layer) }
    }

    private static func entry(_ path: String, _ layer: some CompressedLayer) throws -> Entry {
        let data: Data = try JSONEncoder().encode(layer.configuration)
        return Entry(path: path, kind: type(of: layer).kind, configuration: try JSONSerialization.jsonObject(with: data))
    }

    // MARK: The document

    /// Reads the section of a `config.json`; nil where it has none of Linnet's.
    /// - Throws: `DataFormatError` naming the file and what is wrong with the section.
    init?(document: Data, file: String) throws {
        let object: Any? = try? JSONSerialization.jsonObject(with: document)
        guard let section = (object as? [String: Any])?[CompressedFormat.section] as? [String: Any],
            section["quant_method"] as? String == CompressedFormat.method
        else { return nil }
        func problem(_ text: String) -> DataFormatError { DataFormatError(path: file, "\(CompressedFormat.section): \(text)") }
        guard section["version"] as? Int == Self.version else { throw problem("version has to be \(Self.version)") }
        guard let layers = section["layers"] as? [[String: Any]], let history = section["history"] as? [String] else {
            throw problem("layers has to be a list of objects, and history one of texts")
        }
        self.history = history
        entries = try layers.map { layer in
            guard let path = layer["path"] as? String, let kind = layer["kind"] as? String, let configuration = layer["configuration"]
            else {
                throw problem("each of the layers has to have a path, a kind and a configuration")
            }
            return Entry(path: path, kind: kind, configuration: configuration)
        }
    }

    /// The document with this section in it, or without any where no layer is described.
    func document(in document: Data) throws -> Data {
        guard var object = try JSONSerialization.jsonObject(with: document) as? [String: Any] else {
            throw ConfigurationError("a model's config.json has to be a JSON object")
        }
        object[CompressedFormat.section] = entries.isEmpty ? nil : section
        return try JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    }

    private var section: [String: Any] {
        let layers: [[String: Any]] = entries.map { ["path": $0.path, "kind": $0.kind, "configuration": $0.configuration] }
        return ["quant_method": CompressedFormat.method, "version": Self.version, "history": history, "layers": layers]
    }

    // MARK: The model

    /// Puts the described layers, without values, into the places of a dense model's.
    /// - Parameters:
    ///   - model: as its configuration alone describes it.
    ///   - kinds: of the layers that are known.
    ///   - file: for messages.
    /// - Throws: `DataFormatError` naming the layer that is of no known kind, or does not fit the model.
    func reshape(_ model: Module, kinds: [any CompressedLayer.Type], file: String) throws {
        for entry in entries {
            func problem(_ text: String) -> DataFormatError { DataFormatError(path: file, "layer \(entry.path.prefix(100)): \(text)") }
            guard let kind = kinds.first(where: { $0.kind == entry.kind }) else {
                throw problem("kind \(entry.kind.prefix(40)) is not known; there are \(kinds.map { $0.kind }.joined(separator: ", "))")
            }
            guard let dense = model.module(at: entry.path), !(dense is any CompressedLayer) else {
                throw problem("the model has no such layer that is not described already")
            }
            do {
                let layer: Module = try Self.empty(kind, entry.configuration, replacing: dense)
                guard model.replaceModuleIfPossible(at: entry.path, with: layer) else {
                    throw problem("cannot be of the kind \(entry.kind)")
                }
            } catch let error as DecodingError {
                throw problem("its configuration: \(error.reason)")
            } catch let error as ConfigurationError {
                throw problem(error.description)
            }
        }
    }

    private static func empty<Kind: CompressedLayer>(_ kind: Kind.Type, _ configuration: Any, replacing dense: Module) throws -> Module {
        guard JSONSerialization.isValidJSONObject(configuration) else {
            throw ConfigurationError("its configuration has to be a JSON object")
        }
        let data: Data = try JSONSerialization.data(withJSONObject: configuration)
        return try withTorchErrors { try kind.empty(JSONDecoder().decode(Kind.Configuration.self, from: data), replacing: dense) }
    }
}
