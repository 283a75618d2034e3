import NN
import Torch

/// The shape of a ``BertModel``; as JSON, Hugging Face's `config.json` of the model type "bert".
public struct BertConfiguration: Sendable, Equatable {
    public var vocabularySize: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    /// Width inside the feed-forward.
    public var hiddenDimensions: Int
    public var layers: Int
    public var heads: Int
    /// Positions that have an embedding: the longest text.
    public var maximumContext: Int
    /// Segments that have an embedding.
    public var segments: Int
    public var activation: Activation = .gelu
    public var normEpsilon: Double = 1e-12

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        vocabularySize: Int, dimensions: Int, hiddenDimensions: Int, layers: Int, heads: Int, maximumContext: Int = 512, segments: Int = 2
    ) throws {
        self.vocabularySize = vocabularySize
        self.dimensions = dimensions
        self.hiddenDimensions = hiddenDimensions
        self.layers = layers
        self.heads = heads
        self.maximumContext = maximumContext
        self.segments = segments
        try validate()
    }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range, by its name in `config.json`.
    public func validate() throws {
        try checkFields()
        if dimensions % heads != 0 {
            throw ConfigurationError("hidden_size is \(dimensions); num_attention_heads, \(heads), has to divide it")
        }
    }

    /// Elements of all parameters, without those of the pooler.
    public var parameterCount: Int {
        let layer: Int = 4 * dimensions * (dimensions + 1) + 2 * dimensions * hiddenDimensions + hiddenDimensions + 5 * dimensions
        return (vocabularySize + maximumContext + segments + 2) * dimensions + layers * layer
    }
}

extension BertConfiguration: Codable, HuggingFaceConfiguration {
    static let modelType: String = "bert"
    static let architecture: String = "BertModel"
    static let fields: [ConfigurationField<BertConfiguration>] = [
        .size("vocab_size", \.vocabularySize, most: TransformerLimits.vocabulary),
        .size("hidden_size", \.dimensions, most: TransformerLimits.width),
        .size("intermediate_size", \.hiddenDimensions, most: TransformerLimits.width),
        .size("num_hidden_layers", \.layers, most: TransformerLimits.layers),
        .size("num_attention_heads", \.heads, most: TransformerLimits.heads),
        .size("max_position_embeddings", \.maximumContext, most: TransformerLimits.vocabulary) { _ in 512 },
        .size("type_vocab_size", \.segments, most: TransformerLimits.vocabulary) { _ in 2 },
        .activation("hidden_act", \.activation, standard: "gelu"),
        .positive("layer_norm_eps", \.normEpsilon, standard: 1e-12),
        .only("position_embedding_type", "absolute"),
        .only("is_decoder", false),
    ]

    /// Fields that change nothing here are passed over; what cannot be computed is an error.
    public init(from decoder: any Decoder) throws {
        try self.init(vocabularySize: 1, dimensions: 2, hiddenDimensions: 1, layers: 1, heads: 1)
        try read(from: decoder)
        try validate()
    }

    public func encode(to encoder: any Encoder) throws { try write(to: encoder) }
}
