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
        try TransformerLimits.check([
            ("vocab_size", vocabularySize, TransformerLimits.vocabulary), ("n_embd", dimensions, TransformerLimits.width),
            ("n_inner", hiddenDimensions, 4 * TransformerLimits.width), ("n_layer", layers, TransformerLimits.layers),
            ("n_head", heads, TransformerLimits.heads), ("n_positions", maximumContext, TransformerLimits.vocabulary),
        ])
        if dimensions % heads != 0 { throw ConfigurationError("n_embd is \(dimensions); n_head, \(heads), has to divide it") }
        if !(normEpsilon > 0 && normEpsilon.isFinite) {
            throw ConfigurationError("layer_norm_epsilon is \(normEpsilon); it has to be above 0")
        }
    }

    /// Elements of all parameters.
    public var parameterCount: Int {
        let attention: Int = 4 * dimensions * (dimensions + 1)
        let feedForward: Int = 2 * dimensions * hiddenDimensions + hiddenDimensions + dimensions
        let tables: Int = ((tiedHead ? 1 : 2) * vocabularySize + maximumContext) * dimensions
        return tables + layers * (attention + feedForward + 4 * dimensions) + 2 * dimensions
    }
}

extension GPT2Configuration: Codable {
    enum CodingKeys: String, CodingKey {
        case vocabularySize = "vocab_size"
        case dimensions = "n_embd"
        case hiddenDimensions = "n_inner"
        case layers = "n_layer"
        case heads = "n_head"
        case maximumContext = "n_positions"
        case activation = "activation_function"
        case normEpsilon = "layer_norm_epsilon"
        case scalesScores = "scale_attn_weights"
        case scalesByLayer = "scale_attn_by_inverse_layer_idx"
        case crossAttention = "add_cross_attention"
        case tiedHead = "tie_word_embeddings"
        case beginOfTextID = "bos_token_id"
        case endOfTextID = "eos_token_id"
        case modelType = "model_type"
        case architectures
    }

    /// Fields that change nothing here are passed over; what cannot be computed is an error.
    public init(from decoder: any Decoder) throws {
        let fields: KeyedDecodingContainer<CodingKeys> = try decoder.container(keyedBy: CodingKeys.self)
        func integer(_ key: CodingKeys) throws -> Int { try fields.decode(Int.self, forKey: key) }
        func flag(_ key: CodingKeys, default standard: Bool) throws -> Bool {
            try fields.decodeIfPresent(Bool.self, forKey: key) ?? standard
        }
        try self.init(
            vocabularySize: integer(.vocabularySize), dimensions: integer(.dimensions),
            hiddenDimensions: fields.decodeIfPresent(Int.self, forKey: .hiddenDimensions), layers: integer(.layers),
            heads: integer(.heads), maximumContext: fields.decodeIfPresent(Int.self, forKey: .maximumContext) ?? 1024)
        activation = try HuggingFaceActivation.read(fields.decodeIfPresent(String.self, forKey: .activation) ?? "gelu_new")
        normEpsilon = try fields.decodeIfPresent(Double.self, forKey: .normEpsilon) ?? 1e-5
        scalesScores = try flag(.scalesScores, default: true)
        tiedHead = try flag(.tiedHead, default: true)
        for key in [CodingKeys.scalesByLayer, .crossAttention] where try flag(key, default: false) {
            throw ConfigurationError("\(key.rawValue) is true; only false is supported")
        }
        beginOfTextID = try fields.decodeIfPresent(Int.self, forKey: .beginOfTextID)
        endOfTextIDs = try fields.decodeIfPresent(OneOrMore.self, forKey: .endOfTextID)?.values ?? []
        try validate()
    }

    public func encode(to encoder: any Encoder) throws {
        var fields: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode("gpt2", forKey: .modelType)
        try fields.encode(["GPT2LMHeadModel"], forKey: .architectures)
        try fields.encode(vocabularySize, forKey: .vocabularySize)
        try fields.encode(dimensions, forKey: .dimensions)
        try fields.encode(hiddenDimensions, forKey: .hiddenDimensions)
        try fields.encode(layers, forKey: .layers)
        try fields.encode(heads, forKey: .heads)
        try fields.encode(maximumContext, forKey: .maximumContext)
        let name: String = activation == .geluTanh ? "gelu_new" : try HuggingFaceActivation.name(of: activation)
        try fields.encode(name, forKey: .activation)
        try fields.encode(normEpsilon, forKey: .normEpsilon)
        try fields.encode(scalesScores, forKey: .scalesScores)
        try fields.encode(tiedHead, forKey: .tiedHead)
        try fields.encodeIfPresent(beginOfTextID, forKey: .beginOfTextID)
        if !endOfTextIDs.isEmpty { try fields.encode(OneOrMore(values: endOfTextIDs), forKey: .endOfTextID) }
    }
}
