import Foundation
import NN
import Torch
import Training

/// Embeds texts with a sentence encoder of BERT's family, such as all-MiniLM-L6-v2: the mean of the real tokens' last states, scaled to unit
/// length (Reimers and Gurevych, 2019, arXiv 1908.10084). The scalar product of two embeddings is the cosine of their angle.
public struct BertSentenceEncoder {
    public let model: BertModel
    public let tokenizer: WordPieceTokenizer
    /// Tokens that are read at once, with those around a text.
    public let window: Int
    /// Windows that are read side by side.
    private static let rows: Int = 32

    /// - Parameters:
    ///   - model: is put out of training mode.
    ///   - tokenizer: whose ids the model has embeddings of.
    ///   - window: most tokens at once; the model's positions where it has fewer.
    /// - Throws: `ConfigurationError` where the two do not fit, or the window has no room for text.
    public init(model: BertModel, tokenizer: WordPieceTokenizer, window: Int = 256) throws {
        self.model = model
        self.tokenizer = tokenizer
        self.window = min(window, model.configuration.maximumContext)
        let known: Int = model.configuration.vocabularySize
        if tokenizer.vocabularySize > known {
            throw ConfigurationError("vocab_size is \(known); the tokenizer beside it has \(tokenizer.vocabularySize) tokens")
        }
        let around: Int = tokenizer.encode("").count
        if self.window <= around {
            throw ConfigurationError("the window of \(self.window) tokens has no room for text beside the \(around) around it")
        }
        model.train(false)
    }

    /// Reads a folder in Hugging Face's format: `config.json`, `model.safetensors` (or shards), `tokenizer.json`. Cutting and padding that
    /// the tokenizer's file asks for are passed over: texts are read whole.
    /// - Throws: an error naming the file that is missing, broken, or does not fit.
    public init(directory: URL) throws {
        let tokenizer: WordPieceTokenizer = try WordPieceTokenizer(
            contentsOf: directory.appendingPathComponent("tokenizer.json"), wholeTexts: true)
        let model: BertModel = try BertModel.load(from: directory)
        try SentencePooling.check(directory)
        do { try self.init(model: model, tokenizer: tokenizer) } catch let error as ConfigurationError {
            throw HuggingFaceFolder(directory).problem(error.description)
        }
    }

    /// Writes the folder that ``init(directory:)`` reads; each file is replaced as a whole.
    /// - Throws: `FileError` where a file cannot be written.
    public func save(to folder: URL) throws {
        let encoder: JSONEncoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try AtomicFile.createFolder(folder.path)
        try AtomicFile.write(encoder.encode(model.configuration), to: folder.appendingPathComponent("config.json").path)
        try tokenizer.save(to: folder.appendingPathComponent("tokenizer.json"))
        try saveTensors(
            Dictionary(uniqueKeysWithValues: model.stateTensors()), metadata: ["format": "pt"],
            to: folder.appendingPathComponent("model.safetensors"))
    }

    /// Width D of an embedding.
    public var dimensions: Int { model.configuration.dimensions }

    private var device: Device { model.embedding.weight.device }

    /// Texts to `[texts, D]` of unit length, float32 on the model's device, without a gradient.
    ///
    /// A text longer than a window is cut into windows, one after another; its embedding is the mean of theirs, scaled to unit length again.
    /// - Parameter texts: any number, of any length; none give `[0, D]`.
    public func encode(_ texts: [String]) -> Tensor {
        guard !texts.isEmpty else { return .zeros([0, dimensions], device: device) }
        let windows: [[[Int]]] = texts.map { tokenizer.windows(of: $0, length: window) }
        let embeddings: Tensor = LengthOrderedBatches.map(windows.flatMap { $0 }, rows: Self.rows, device: device) {
            tokens, lengths in
            let places: Tensor = .arange(tokens.dim(1), device: device)
            let mask: Tensor = places .< Tensor(lengths, [lengths.count, 1], device: device)
            return Self.unit(model(tokens, mask: mask).meanPooled.asType(.float32))
        }
        if windows.allSatisfy({ $0.count == 1 }) { return embeddings }
        let owners: [Int] = windows.enumerated().flatMap { index, parts in Array(repeating: index, count: parts.count) }
        let sums: Tensor = .zeros([texts.count, dimensions], device: device)
        // The scaling makes a mean of the sum.
        return Self.unit(
            sums.indexAdd(axis: 0, indices: Tensor(owners, [owners.count], device: device), source: embeddings))
    }

    private static func unit(_ x: Tensor) -> Tensor { x / x.norm(axes: [-1], keepDims: true).clamped(1e-12, nil) }
}

/// What a folder says on how the states of its tokens become an embedding.
private struct SentencePooling: Decodable {
    var usesMean: Bool?

    enum CodingKeys: String, CodingKey { case usesMean = "pooling_mode_mean_tokens" }

    /// - Throws: `DataFormatError` where a folder asks for another pooling than the mean; one that says nothing is content with it.
    static func check(_ directory: URL) throws {
        let file: URL = directory.appendingPathComponent("1_Pooling/config.json")
        guard FileManager.default.fileExists(atPath: file.path) else { return }
        let bytes: [UInt8] = try readFile(file.path)
        do {
            let pooling: SentencePooling = try JSONDecoder().decode(SentencePooling.self, from: Data(bytes))
            guard pooling.usesMean == false else { return }
        } catch let error as DecodingError {
            throw DataFormatError(path: file.path, "is not a description of pooling: \(error.reason)")
        }
        throw DataFormatError(path: file.path, "pooling_mode_mean_tokens is false; only the mean of the tokens is supported")
    }
}
