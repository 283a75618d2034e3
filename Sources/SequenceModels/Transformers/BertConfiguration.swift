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
        try TransformerLimits.check([
            ("vocab_size", vocabularySize, TransformerLimits.vocabulary), ("hidden_size", dimensions, TransformerLimits.width),
            ("intermediate_size", hiddenDimensions, TransformerLimits.width), ("num_hidden_layers", layers, TransformerLimits.layers),
            ("num_attention_heads", heads, TransformerLimits.heads),
            ("max_position_embeddings", maximumContext, TransformerLimits.vocabulary),
            ("type_vocab_size", segments, TransformerLimits.vocabulary),
        ])
        if dimensions % heads != 0 {
            throw ConfigurationError("hidden_size is \(dimensions); num_attention_heads, \(heads), has to divide it")
        }
        if !(normEpsilon > 0 && normEpsilon.isFinite) { throw ConfigurationError("layer_norm_eps is \(normEpsilon); it has to be above 0") }
    }

    /// Elements of all parameters, without those of the pooler.
    public var parameterCount: Int {
        let layer: Int = 4 * dimensions * (dimensions + 1) + 2 * dimensions * hiddenDimensions + hiddenDimensions + 5 * dimensions
        return (vocabularySize + maximumContext + segments + 2) * dimensions + layers * layer
    }
}

extension BertConfiguration: Codable {
    enum CodingKeys: String, CodingKey {
        case vocabularySize = "vocab_size"
        case dimensions = "hidden_size"
        case hiddenDimensions = "intermediate_size"
        case layers = "num_hidden_layers"
        case heads = "num_attention_heads"
        case maximumContext = "max_position_embeddings"
        case segments = "type_vocab_size"
        case activation = "hidden_act"
        case normEpsilon = "layer_norm_eps"
        case positionType = "position_embedding_type"
        case isDecoder = "is_decoder"
        case modelType = "model_type"
        case architectures
    }

    /// Fields that change nothing here are passed over; what cannot be computed is an error.
    public init(from decoder: any Decoder) throws {
        let fields: KeyedDecodingContainer<CodingKeys> = try decoder.container(keyedBy: CodingKeys.self)
        func integer(_ key: CodingKeys) throws -> Int { try fields.decode(Int.self, forKey: key) }
        try self.init(
            vocabularySize: integer(.vocabularySize), dimensions: integer(.dimensions), hiddenDimensions: integer(.hiddenDimensions),
            layers: integer(.layers), heads: integer(.heads),
            maximumContext: fields.decodeIfPresent(Int.self, forKey: .maximumContext) ?? 512,
            segments: fields.decodeIfPresent(Int.self, forKey: .segments) ?? 2)
        activation = try HuggingFaceActivation.read(fields.decodeIfPresent(String.self, forKey: .activation) ?? "gelu")
        normEpsilon = try fields.decodeIfPresent(Double.self, forKey: .normEpsilon) ?? 1e-12
        let positions: String = try fields.decodeIfPresent(String.self, forKey: .positionType) ?? "absolute"
        if positions != "absolute" {
            throw ConfigurationError("position_embedding_type is \(positions.prefix(40)); only absolute is supported")
        }
        if try fields.decodeIfPresent(Bool.self, forKey: .isDecoder) ?? false {
            throw ConfigurationError("is_decoder is true; only encoders are supported")
        }
        try validate()
    }

    public func encode(to encoder: any Encoder) throws {
        var fields: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode("bert", forKey: .modelType)
        try fields.encode(["BertModel"], forKey: .architectures)
        try fields.encode(vocabularySize, forKey: .vocabularySize)
        try fields.encode(dimensions, forKey: .dimensions)
        try fields.encode(hiddenDimensions, forKey: .hiddenDimensions)
        try fields.encode(layers, forKey: .layers)
        try fields.encode(heads, forKey: .heads)
        try fields.encode(maximumContext, forKey: .maximumContext)
        try fields.encode(segments, forKey: .segments)
        try fields.encode(HuggingFaceActivation.name(of: activation), forKey: .activation)
        try fields.encode(normEpsilon, forKey: .normEpsilon)
    }
}
