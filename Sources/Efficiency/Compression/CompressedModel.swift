import Foundation
import NN
import SequenceModels
import Torch
import Training

/// A model from a folder, some of whose layers may be compressed: a Llama, GPT-2 or BERT in Hugging Face's format, or a `LanguageModel`.
///
/// The folder is one of the dense model's format: the same `config.json` with one more section (see the article on the format), the same
/// `tokenizer.json`, and a `model.safetensors` that has a compressed layer's own tensors (codes, factors) under the layer's path. It is read by
/// building the dense model, putting described layers without values into it, and loading the tensors. A folder that describes none is a dense model.
public struct CompressedModel {
    public let model: Module
    public let tokenizer: any Tokenizer
    /// What was done to the model, oldest first, in words.
    public var history: [String]
    /// `config.json` as the dense model has it.
    private let configuration: Data
    /// Types in which the source keeps its tensors; what has the same name is written in the same type.
    private let storedTypes: [String: DType]

    /// A language model that no folder was read for.
    /// - Throws: `ConfigurationError` for a model that no format has a place for.
    public init(_ pretrained: PretrainedModel) throws {
        self.init(
            model: pretrained.model, tokenizer: pretrained.tokenizer, history: [], configuration: try pretrained.configurationDocument(),
            storedTypes: [:])
    }

    private init(model: Module, tokenizer: any Tokenizer, history: [String], configuration: Data, storedTypes: [String: DType]) {
        self.model = model
        self.tokenizer = tokenizer
        self.history = history
        self.configuration = configuration
        self.storedTypes = storedTypes
    }

    // MARK: Folders

    /// Reads a folder. Adapters that lie beside the model are folded into its weights.
    /// - Parameters:
    ///   - folder: of a dense or compressed model.
    ///   - kinds: of compressed layers that may be described.
    /// - Throws: an error naming the file that is missing, broken, or does not fit.
    public static func load(from folder: URL, kinds: [any CompressedLayer.Type] = CompressedLayerKinds.all) throws -> CompressedModel {
        let file: URL = folder.appendingPathComponent("config.json")
        let document: Data = Data(try readFile(file.path))
        let description: CompressionDescription? = try CompressionDescription(document: document, file: file.path)
        let reshape: ((Module) throws -> Void)? = description.map { found in
            { model in try found.reshape(model, kinds: kinds, file: file.path) }
        }
        let (model, tokenizer): (Module, any Tokenizer) = try read(folder, document, reshape)
        model.fuseLoRA()
        model.freeze()
        let tensors: [String: Tensor] = (try? loadTensors(folder)) ?? [:]
        return CompressedModel(
            model: model, tokenizer: tokenizer, history: description?.history ?? [], configuration: document,
            storedTypes: tensors.mapValues(\.dtype))
    }

    private static func read(
        _ folder: URL, _ document: Data, _ reshape: ((Module) throws -> Void)?
    ) throws -> (Module, any Tokenizer) {
        let fields: [String: Any]? = try? JSONSerialization.jsonObject(with: document) as? [String: Any]
        guard fields?["model_type"] as? String == "bert" else {
            let pretrained: PretrainedModel = try PretrainedModel.load(from: folder, reshape: reshape)
            return (pretrained.model, pretrained.tokenizer)
        }
        let tokenizer: WordPieceTokenizer = try WordPieceTokenizer(
            contentsOf: folder.appendingPathComponent("tokenizer.json"), wholeTexts: true)
        return (try BertModel.load(from: folder, reshape: reshape), tokenizer)
    }

    /// Reads the folder of a language model, compressed or not: what evaluation, generation and serving take.
    /// - Throws: an error naming the file that is missing, broken, or does not fit, or is no language model's.
    public static func languageModel(from folder: URL) throws -> PretrainedModel {
        let file: URL = folder.appendingPathComponent("config.json")
        let description: CompressionDescription? = try CompressionDescription(document: Data(try readFile(file.path)), file: file.path)
        guard let description else { return try PretrainedModel.load(from: folder) }
        return try PretrainedModel.load(from: folder) { model in
            try description.reshape(model, kinds: CompressedLayerKinds.all, file: file.path)
        }
    }

    /// Writes the folder; each file is replaced as a whole.
    /// - Parameters:
    ///   - folder: is made where it does not exist.
    ///   - source: a folder whose other files that belong to the tokenizer or to generation are copied; nil copies none.
    ///   - mostShardBytes: a larger model is cut into several files with an index.
    /// - Throws: an error naming the file that cannot be written.
    public func save(to folder: URL, companionsFrom source: URL? = nil, mostShardBytes: Int? = nil) throws {
        let description: CompressionDescription = try CompressionDescription(of: model, history: history)
        let document: Data = try description.document(in: configuration)
        let tensors: [(String, Tensor)] = model.stateTensors().map { name, tensor in
            (name, tensor.dtype.isFloatingPoint ? tensor.detached().asType(storedTypes[name] ?? tensor.dtype) : tensor)
        }
        try AtomicFile.createFolder(folder.path)
        // The library that reads dense ones asks for this entry.
        try saveTensors(
            Dictionary(uniqueKeysWithValues: tensors), metadata: ["format": "pt"],
            to: folder.appendingPathComponent("model.safetensors"), mostShardBytes: mostShardBytes)
        try tokenizer.save(to: folder.appendingPathComponent("tokenizer.json"))
        if let source { try Self.copyCompanions(from: source, to: folder) }
        try AtomicFile.write(document, to: folder.appendingPathComponent("config.json").path)
    }

    /// Files beside a model that other programs read, and Linnet does not write.
    private static let companions: [String] = [
        "1_Pooling/config.json", "added_tokens.json", "chat_template.jinja", "config_sentence_transformers.json", "generation_config.json",
        "merges.txt", "modules.json", "sentence_bert_config.json", "special_tokens_map.json", "tokenizer.model", "tokenizer_config.json",
        "vocab.json", "vocab.txt",
    ]

    private static func copyCompanions(from source: URL, to folder: URL) throws {
        for name in companions {
            let (file, copy): (URL, URL) = (source.appendingPathComponent(name), folder.appendingPathComponent(name))
            guard FileManager.default.fileExists(atPath: file.path) else { continue }
            try AtomicFile.createFolder(copy.deletingLastPathComponent().path)
            try AtomicFile.write(try readFile(file.path), to: copy.path)
        }
    }

    // MARK: The layers

    /// The model where it predicts tokens and is made of blocks; nil for an encoder.
    public var languageModel: (any LayeredLanguageModel)? { model as? any LayeredLanguageModel }

    /// The model as a stack of blocks. Traps for a model that is none, which no folder holds.
    public var stack: BlockStack {
        if let languageModel { return BlockStack(languageModel) }
        guard let encoder = model as? BertModel else { preconditionFailure("CompressedModel: a \(type(of: model)) has no blocks") }
        return BlockStack(encoder)
    }

    /// Dotted paths of the blocks, first to last.
    public var blockPaths: [String] { stack.paths }

    /// The blocks, first to last.
    public var blocks: [Module] { stack.blocks }

    /// The dense matrices inside the blocks whose place admits another kind of layer, in the order of the forward pass: those of compressed layers' own
    /// parts among them.
    public var denseLinearMaps: [(path: String, layer: any LinearMap)] { stack.denseLinearMaps }

    /// Multiplies every compressed layer that has a matrix out to a dense one, as the format of the dense model has it: the result is read by all
    /// that read dense models. Returns the paths of compressed layers that have no matrix, and stay.
    @discardableResult
    public func multiplyOut() -> [String] {
        let layers: [(path: String, layer: any CompressedLayer)] = model.compressedLayers
        var done: [String] = []
        var left: [String] = []
        for (path, layer) in layers where !done.contains(where: { path.hasPrefix("\($0).") }) {
            guard let map = layer as? any LinearMap else {
                left.append(path)
                continue
            }
            model.replaceModule(at: path, with: dense(map))
            done.append(path)
        }
        model.freeze()
        return left
    }

    private func dense(_ map: any LinearMap) -> Module {
        let weight: Tensor = noGrad { map.denseWeight().detached() }
        let bias: Tensor? = map.bias?.detached()
        return model is GPT2Model ? TransposedLinear(weight: weight.mT.contiguous(), bias: bias) : Linear(weight: weight, bias: bias)
    }

    /// Bytes of parameters and buffers in memory.
    public var bytes: Int { model.byteCount }
}
