import Foundation
import Torch

/// The files of an adapter as the Python library PEFT names them: `adapter_config.json` and `adapter_model.safetensors`.
public enum LoRAFiles {
    static let configurationFile: String = "adapter_config.json"
    static let weightsFile: String = "adapter_model.safetensors"
    /// What PEFT puts before the paths of the model that it wraps.
    private static let prefix: String = "base_model.model."

    /// Whether a folder has an adapter.
    public static func exist(in folder: URL) -> Bool {
        FileManager.default.fileExists(atPath: folder.appendingPathComponent(configurationFile).path)
    }

    /// Writes the adapters of a model, without its other weights; each file is replaced as a whole.
    /// - Throws: `ConfigurationError` where the model has none, or they differ in rank or alpha; `FileError` where a file cannot be written.
    public static func save(adaptersOf model: Module, to folder: URL) throws {
        let layers: [(path: String, layer: LoRALinear)] = model.adaptedLayers
        guard let first = layers.first?.layer else { throw ConfigurationError("the model has no adapters that could be saved") }
        guard layers.allSatisfy({ $0.layer.rank == first.rank && $0.layer.alpha == first.alpha }) else {
            throw ConfigurationError("the model's adapters differ in rank or alpha; one file holds adapters of one size")
        }
        let document: AdapterDocument = AdapterDocument(
            peftType: "LORA", rank: first.rank, alpha: first.alpha, targets: layers.map(\.path), bias: "none", taskType: "CAUSAL_LM")
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try AtomicFile.createFolder(folder.path)
        var tensors: [String: Tensor] = [:]
        for (path, layer) in layers {
            tensors["\(prefix)\(path).lora_A.weight"] = layer.down
            tensors["\(prefix)\(path).lora_B.weight"] = layer.up
        }
        try saveTensors(tensors, to: folder.appendingPathComponent(weightsFile))
        try AtomicFile.write(encoder.encode(document), to: folder.appendingPathComponent(configurationFile).path)
    }

    /// Removes the adapter of a folder, if it has one.
    /// - Throws: what the file system says.
    public static func remove(from folder: URL) throws {
        for name in [configurationFile, weightsFile] {
            let file: String = folder.appendingPathComponent(name).path
            if unlink(file) != 0 && errno != ENOENT { throw FileError("remove", file, code: errno) }
        }
    }

    /// Adapts a model as a folder says, and reads the adapters' weights; everything else is frozen.
    /// - Throws: `ConfigurationError` for adapters of another kind or for another model; `SafetensorsError` for a broken file.
    public static func load(into model: Module, from folder: URL) throws {
        let file: String = folder.appendingPathComponent(configurationFile).path
        let document: AdapterDocument = try read(file)
        let configuration: LoRAConfiguration
        do { configuration = try document.configuration() } catch let error as ConfigurationError {
            throw ConfigurationError("\(file): \(error)")
        }
        let paths: [String] = model.namedModules().filter { $0.module is Linear && document.adapts($0.name) }.map(\.name)
        guard !paths.isEmpty, model.adaptedLayers.isEmpty else {
            throw ConfigurationError("\(file): none of its target modules is a plain linear layer of the model")
        }
        let tensors: [String: Tensor] = try loadTensors(folder.appendingPathComponent(weightsFile))
        let sizes: [String: [Int]] = try shapes(model, paths, rank: configuration.rank)
        guard Set(sizes.keys) == Set(tensors.keys), sizes.allSatisfy({ tensors[$0.key]?.shape == $0.value }) else {
            let weights: String = folder.appendingPathComponent(weightsFile).path
            throw ConfigurationError("\(weights): its tensors do not fit \(paths.count) adapters of rank \(configuration.rank)")
        }
        applyLoRA(to: model, configuration) { paths.contains($0) }
        noGrad {
            for (path, layer) in model.adaptedLayers {
                if let down = tensors["\(prefix)\(path).lora_A.weight"] { layer.down.copy_(from: down) }
                if let up = tensors["\(prefix)\(path).lora_B.weight"] { layer.up.copy_(from: up) }
            }
        }
    }

    private static func shapes(_ model: Module, _ paths: [String], rank: Int) throws -> [String: [Int]] {
        var result: [String: [Int]] = [:]
        for case let (path, layer as Linear) in model.namedModules() where paths.contains(path) {
            result["\(prefix)\(path).lora_A.weight"] = [rank, layer.inputDimensions]
            result["\(prefix)\(path).lora_B.weight"] = [layer.outputDimensions, rank]
        }
        return result
    }

    private static func read(_ file: String) throws -> AdapterDocument {
        guard let data = FileManager.default.contents(atPath: file) else { throw FileError("read", file, code: ENOENT) }
        do { return try JSONDecoder().decode(AdapterDocument.self, from: data) } catch is DecodingError {
            throw ConfigurationError(
                "\(file): no adapter's configuration; it should be a JSON object with r, lora_alpha and target_modules")
        }
    }
}

/// The part of PEFT's `adapter_config.json` that says what the numbers mean.
private struct AdapterDocument: Codable {
    let peftType: String
    let rank: Int
    let alpha: Double
    let targets: [String]
    var bias: String?
    var taskType: String?
    var usesRankStabilization: Bool?
    var usesWeightDecomposition: Bool?
    var rankPattern: [String: Int]?
    var alphaPattern: [String: Double]?

    enum CodingKeys: String, CodingKey {
        case peftType = "peft_type"
        case rank = "r"
        case alpha = "lora_alpha"
        case targets = "target_modules"
        case bias
        case taskType = "task_type"
        case usesRankStabilization = "use_rslora"
        case usesWeightDecomposition = "use_dora"
        case rankPattern = "rank_pattern"
        case alphaPattern = "alpha_pattern"
    }

    func configuration() throws -> LoRAConfiguration {
        if peftType != "LORA" { throw ConfigurationError("peft_type is \(peftType.prefix(40)); only LORA can be read") }
        let differs: Bool = (bias ?? "none") != "none" || usesRankStabilization ?? false || usesWeightDecomposition ?? false
        if differs || !(rankPattern ?? [:]).isEmpty || !(alphaPattern ?? [:]).isEmpty {
            throw ConfigurationError("trained biases, use_rslora, use_dora, rank_pattern and alpha_pattern are not supported")
        }
        return try LoRAConfiguration(rank: rank, alpha: alpha)
    }

    /// As PEFT decides it: a target is a whole path or its end.
    func adapts(_ path: String) -> Bool { targets.contains { path == $0 || path.hasSuffix(".\($0)") } }
}
