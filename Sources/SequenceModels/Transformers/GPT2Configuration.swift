import NN
import Torch

/// The shape of a ``GPT2Model``; as JSON, Hugging Face's `config.json` of the model type "gpt2".
public struct GPT2Configuration: Sendable, Equatable {
    public var vocabularySize: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    /// Width inside the feed-forward.
    public var hiddenDimensions: Int
    public var layers: Int
    public var heads: Int
    /// Positions that have an embedding: the longest text.
    public var maximumContext: Int
    public var activation: Activation = .geluTanh
    public var normEpsilon: Double = 1e-5
    /// Whether scores are divided by √(D / heads).
    public var scalesScores: Bool = true
    /// Whether the head shares the embedding's weight.
    public var tiedHead: Bool = true
    public var beginOfTextID: Int?
    /// Tokens that end a text.
    public var endOfTextIDs: [Int] = []

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        vocabularySize: Int, dimensions: Int, hiddenDimensions: Int? = nil, layers: Int, heads: Int, maximumContext: Int = 1024
    ) throws {
        self.vocabularySize = vocabularySize
        self.dimensions = dimensions
        self.hiddenDimensions = hiddenDimensions ?? 4 * Swift.min(dimensions, TransformerLimits.width)
        self.layers = layers
        self.heads = heads
        self.maximumContext = maximumContext
        try validate()
    }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range, by its name in `config.json`.
    public func validate() throws {
        try checkFields()
        if dimensions % heads != 0 { throw ConfigurationError("n_embd is \(dimensions); n_head, \(heads), has to divide it") }
    }

    /// Elements of all parameters.
    public var parameterCount: Int {
        let attention: Int = 4 * dimensions * (dimensions + 1)
        let feedForward: Int = 2 * dimensions * hiddenDimensions + hiddenDimensions + dimensions
        let tables: Int = ((tiedHead ? 1 : 2) * vocabularySize + maximumContext) * dimensions
        return tables + layers * (attention + feedForward + 4 * dimensions) + 2 * dimensions
    }
}

extension GPT2Configuration: Codable, HuggingFaceConfiguration {
    static let modelType: String = "gpt2"
    static let architecture: String = "GPT2LMHeadModel"
    static let fields: [ConfigurationField<GPT2Configuration>] = [
        .size("vocab_size", \.vocabularySize, most: TransformerLimits.vocabulary),
        .size("n_embd", \.dimensions, most: TransformerLimits.width),
        .size("n_inner", \.hiddenDimensions, most: 4 * TransformerLimits.width) { 4 * min($0.dimensions, TransformerLimits.width) },
        .size("n_layer", \.layers, most: TransformerLimits.layers),
        .size("n_head", \.heads, most: TransformerLimits.heads),
        .size("n_positions", \.maximumContext, most: TransformerLimits.vocabulary) { _ in 1024 },
        .activation("activation_function", \.activation, standard: "gelu_new"),
        .positive("layer_norm_epsilon", \.normEpsilon, standard: 1e-5),
        .flag("scale_attn_weights", \.scalesScores, standard: true),
        .flag("tie_word_embeddings", \.tiedHead, standard: true),
        .only("scale_attn_by_inverse_layer_idx", false),
        .only("add_cross_attention", false),
        .token("bos_token_id", \.beginOfTextID),
        .tokens("eos_token_id", \.endOfTextIDs),
    ]

    /// Fields that change nothing here are passed over; what cannot be computed is an error.
    public init(from decoder: any Decoder) throws {
        try self.init(vocabularySize: 1, dimensions: 2, layers: 1, heads: 1)
        try read(from: decoder)
        try validate()
    }

    public func encode(to encoder: any Encoder) throws { try write(to: encoder) }
}
