import Foundation
import NN
import Torch
import Training

/// A language model with its tokenizer, read from a folder of any format that Linnet knows: one that Linnet trained (``LanguageModelBundle``), or
/// Hugging Face's (`config.json`, `model.safetensors` or shards, `tokenizer.json`) for Llama and GPT-2 models and for what
/// ``linearize(_:into:window:mix:)`` makes of a Llama.
public struct PretrainedModel {
    public let model: any CausalLanguageModel
    public let tokenizer: any Tokenizer

    public init(model: any CausalLanguageModel, tokenizer: any Tokenizer) {
        self.model = model
        self.tokenizer = tokenizer
    }

    /// Reads a folder. Adapters that lie beside the model in PEFT's format are applied.
    /// - Throws: an error naming the file that is missing, broken, or does not fit.
    public static func load(from folder: URL) throws -> PretrainedModel { try load(from: folder, reshape: nil) }

    /// Reads a folder some of whose layers are not those that its configuration alone describes.
    /// - Parameters:
    ///   - folder: with tensors for the layers as they are after `reshape`.
    ///   - reshape: puts layers without values in the places of others, before the tensors are loaded.
    /// - Throws: an error naming the file that is missing, broken, or does not fit, and what `reshape` throws.
    public static func load(from folder: URL, reshape: ((Module) throws -> Void)?) throws -> PretrainedModel {
        let files: HuggingFaceFolder = HuggingFaceFolder(folder, reshape: reshape)
        guard let type = try files.header().modelType else {
            let bundle: LanguageModelBundle = try LanguageModelBundle.load(from: folder, reshape: reshape)
            return PretrainedModel(model: bundle.model, tokenizer: bundle.tokenizer)
        }
        let model: any CausalLanguageModel
        switch type {
        case "llama": model = try llama(files, folder)
        case "gpt2": model = try gpt2(files, folder)
        case LigerLM.modelType: model = try liger(files, folder)
        default:
            throw files.problem("model_type \(type.prefix(40)) is not supported; there are gpt2, llama, \(LigerLM.modelType)")
        }
        let tokenizer: any Tokenizer = try loadTokenizer(from: folder.appendingPathComponent("tokenizer.json"))
        guard tokenizer.vocabularySize <= model.vocabularySize else {
            throw files.problem("vocab_size is \(model.vocabularySize); the tokenizer beside it has \(tokenizer.vocabularySize) tokens")
        }
        if LoRAFiles.exist(in: folder) { try LoRAFiles.load(into: model, from: folder) }
        model.train(false)
        return PretrainedModel(model: model, tokenizer: tokenizer)
    }

    /// Writes the folder again in the format of the model; each file is replaced as a whole. Adapters go into PEFT's files beside it.
    /// - Parameters:
    ///   - folder: is made where it does not exist.
    ///   - mostShardBytes: a larger model is cut into several files with an index.
    /// - Throws: `ConfigurationError` for a model that no format has a place for; `FileError` where a file cannot be written.
    public func save(to folder: URL, mostShardBytes: Int? = nil) throws {
        if let (path, _) = model.compressedLayers.first {
            throw ConfigurationError("\(path) is a compressed layer; CompressedModel writes models that have such layers")
        }
        if let model = model as? LanguageModel {
            return try LanguageModelBundle(model: model, tokenizer: tokenizer).save(to: folder)
        }
        try describe(in: folder)
        if model.adaptedLayers.isEmpty {
            try LoRAFiles.remove(from: folder)
        } else {
            try LoRAFiles.save(adaptersOf: model, to: folder)
        }
        let tensors: [(String, Tensor)] = model.stateTensors().filter { !LoRALinear.isAdapter($0.0) }
        // The library that reads it back asks for this entry.
        try saveTensors(
            Dictionary(uniqueKeysWithValues: tensors), metadata: ["format": "pt"],
            to: folder.appendingPathComponent("model.safetensors"), mostShardBytes: mostShardBytes)
    }

    /// Writes `config.json` and `tokenizer.json` alone.
    public func describe(in folder: URL) throws {
        let configuration: Data = try configurationDocument()
        try AtomicFile.createFolder(folder.path)
        try AtomicFile.write(configuration, to: folder.appendingPathComponent("config.json").path)
        try tokenizer.save(to: folder.appendingPathComponent("tokenizer.json"))
    }

    /// What `config.json` says of the model, compressed layers left aside.
    /// - Throws: `ConfigurationError` for a model that no format has a place for.
    package func configurationDocument() throws -> Data {
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let isCompressed: Bool = !model.compressedLayers.isEmpty
        switch model {
        case let model as LigerLM: return try encoder.encode(model.document)
        case let model as LlamaModel where model.softmaxLayers != nil || isCompressed: return try encoder.encode(model.configuration)
        case let model as GPT2Model: return try encoder.encode(model.configuration)
        case let model as LanguageModel: return try encoder.encode(model.configuration)
        default: throw ConfigurationError("a \(type(of: model)) with these layers has no file format")
        }
    }

    /// Tokens that end a text, by the tokenizer and by the model's configuration.
    public var endOfTextIDs: Set<Int> {
        let configured: [Int] =
            (model as? LlamaModel)?.configuration.endOfTextIDs ?? (model as? GPT2Model)?.configuration.endOfTextIDs ?? []
        return Set(configured + [tokenizer.endOfTextID].compactMap { $0 })
    }

    // MARK: The formats

    private static func llama(_ files: HuggingFaceFolder, _ folder: URL) throws -> LlamaModel {
        let configuration: LlamaConfiguration = try files.decode(LlamaConfiguration.self)
        let tensors: [String: Tensor] = llamaTensors(try loadTensors(folder), tiedHead: configuration.tiedHead)
        return try files.model(tensors, parameterCount: configuration.parameterCount) { LlamaModel(configuration) }
    }

    private static func liger(_ files: HuggingFaceFolder, _ folder: URL) throws -> LigerLM {
        let document: LigerDocument = try files.decode(LigerDocument.self)
        let tensors: [String: Tensor] = llamaTensors(try loadTensors(folder), tiedHead: document.model.tiedHead)
        return try files.model(tensors, parameterCount: document.model.parameterCount) { LigerLM(document.model, document.liger) }
    }

    /// Without the tables of rotary frequencies that older checkpoints have, and without a second copy of a tied embedding.
    private static func llamaTensors(_ tensors: [String: Tensor], tiedHead: Bool) -> [String: Tensor] {
        tensors.filter { !$0.key.hasSuffix(".rotary_emb.inv_freq") && !(tiedHead && $0.key == "lm_head.weight") }
    }

    private static func gpt2(_ files: HuggingFaceFolder, _ folder: URL) throws -> GPT2Model {
        let configuration: GPT2Configuration = try files.decode(GPT2Configuration.self)
        let stored: [String: Tensor] = try loadTensors(folder)
        // The first checkpoints have no prefix, and the causal mask as a tensor.
        let prefix: String = stored.keys.contains("wte.weight") ? "transformer." : ""
        var tensors: [String: Tensor] = [:]
        for (name, tensor) in stored where !name.hasSuffix(".attn.bias") && !name.hasSuffix(".attn.masked_bias") {
            if name == "lm_head.weight" {
                if !configuration.tiedHead { tensors[name] = tensor }
            } else {
                tensors[prefix + name] = tensor
            }
        }
        return try files.model(tensors, parameterCount: configuration.parameterCount) { GPT2Model(configuration) }
    }
}
