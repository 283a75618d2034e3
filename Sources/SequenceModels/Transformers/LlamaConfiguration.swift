import NN
import Torch

/// The shape of a ``LlamaModel``; as JSON, Hugging Face's `config.json` of the model type "llama".
public struct LlamaConfiguration: Sendable, Equatable {
    public var vocabularySize: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    /// Width inside the gated feed-forward.
    public var hiddenDimensions: Int
    public var layers: Int
    public var heads: Int
    /// Heads of keys and values, each shared by `heads / keyValueHeads` query heads.
    public var keyValueHeads: Int
    public var headDimensions: Int
    public var activation: Activation = .silu
    public var normEpsilon: Double = 1e-6
    public var rotaryTheta: Double = 10_000
    public var rotaryScaling: RotaryScaling?
    /// Whether the head shares the embedding's weight.
    public var tiedHead: Bool = false
    /// Biases of the projections of queries, keys, values and outputs.
    public var attentionBias: Bool = false
    public var feedForwardBias: Bool = false
    /// Positions that the model was trained for; longer texts are read nonetheless.
    public var maximumContext: Int = 2048
    public var beginOfTextID: Int?
    /// Tokens that end a text.
    public var endOfTextIDs: [Int] = []

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        vocabularySize: Int, dimensions: Int, hiddenDimensions: Int, layers: Int, heads: Int, keyValueHeads: Int? = nil,
        headDimensions: Int? = nil
    ) throws {
        self.vocabularySize = vocabularySize
        self.dimensions = dimensions
        self.hiddenDimensions = hiddenDimensions
        self.layers = layers
        self.heads = heads
        self.keyValueHeads = keyValueHeads ?? heads
        self.headDimensions = headDimensions ?? dimensions / max(heads, 1)
        try validate()
    }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range, by its name in `config.json`.
    public func validate() throws {
        try TransformerLimits.check([
            ("vocab_size", vocabularySize, TransformerLimits.vocabulary), ("hidden_size", dimensions, TransformerLimits.width),
            ("intermediate_size", hiddenDimensions, TransformerLimits.width), ("num_hidden_layers", layers, TransformerLimits.layers),
            ("num_attention_heads", heads, TransformerLimits.heads), ("num_key_value_heads", keyValueHeads, TransformerLimits.heads),
            ("head_dim", headDimensions, TransformerLimits.heads), ("max_position_embeddings", maximumContext, .max),
        ])
        if heads % keyValueHeads != 0 {
            throw ConfigurationError("num_attention_heads is \(heads); num_key_value_heads, \(keyValueHeads), has to divide it")
        }
        if headDimensions % 2 != 0 { throw ConfigurationError("head_dim is \(headDimensions); rotary embedding needs an even number") }
        for (name, value) in [("rms_norm_eps", normEpsilon), ("rope_theta", rotaryTheta)] where !(value > 0 && value.isFinite) {
            throw ConfigurationError("\(name) is \(value); it has to be above 0")
        }
    }

    /// Elements of all parameters.
    public var parameterCount: Int {
        let (inner, shared): (Int, Int) = (heads * headDimensions, keyValueHeads * headDimensions)
        let attention: Int = 2 * dimensions * (inner + shared) + (attentionBias ? inner + 2 * shared + dimensions : 0)
        let feedForward: Int = 3 * dimensions * hiddenDimensions + (feedForwardBias ? 2 * hiddenDimensions + dimensions : 0)
        return (tiedHead ? 1 : 2) * vocabularySize * dimensions + layers * (attention + feedForward + 2 * dimensions) + dimensions
    }

    var attention: AttentionConfiguration {
        AttentionConfiguration(
            dimensions: dimensions, heads: heads, keyValueHeads: keyValueHeads, headDimensions: headDimensions, causal: true,
            rotaryTheta: rotaryTheta, rotaryScaling: rotaryScaling, queryKeyValueBias: attentionBias, outputBias: attentionBias)
    }
}

extension LlamaConfiguration: Codable {
    enum CodingKeys: String, CodingKey {
        case vocabularySize = "vocab_size"
        case dimensions = "hidden_size"
        case hiddenDimensions = "intermediate_size"
        case layers = "num_hidden_layers"
        case heads = "num_attention_heads"
        case keyValueHeads = "num_key_value_heads"
        case headDimensions = "head_dim"
        case activation = "hidden_act"
        case normEpsilon = "rms_norm_eps"
        case rotaryTheta = "rope_theta"
        case rotaryScaling = "rope_scaling"
        case rotaryParameters = "rope_parameters"
        case tiedHead = "tie_word_embeddings"
        case attentionBias = "attention_bias"
        case feedForwardBias = "mlp_bias"
        case maximumContext = "max_position_embeddings"
        case beginOfTextID = "bos_token_id"
        case endOfTextID = "eos_token_id"
        case modelType = "model_type"
        case architectures
    }

    /// Fields that change nothing here are passed over; what cannot be computed is an error.
    public init(from decoder: any Decoder) throws {
        let fields: KeyedDecodingContainer<CodingKeys> = try decoder.container(keyedBy: CodingKeys.self)
        func integer(_ key: CodingKeys) throws -> Int { try fields.decode(Int.self, forKey: key) }
        let heads: Int = try integer(.heads)
        try self.init(
            vocabularySize: integer(.vocabularySize), dimensions: integer(.dimensions), hiddenDimensions: integer(.hiddenDimensions),
            layers: integer(.layers), heads: heads, keyValueHeads: fields.decodeIfPresent(Int.self, forKey: .keyValueHeads),
            headDimensions: fields.decodeIfPresent(Int.self, forKey: .headDimensions))
        activation = try HuggingFaceActivation.read(fields.decodeIfPresent(String.self, forKey: .activation) ?? "silu")
        normEpsilon = try fields.decodeIfPresent(Double.self, forKey: .normEpsilon) ?? 1e-6
        let scaling: RotaryFields? =
            try fields.decodeIfPresent(RotaryFields.self, forKey: .rotaryParameters)
            ?? fields.decodeIfPresent(RotaryFields.self, forKey: .rotaryScaling)
        rotaryTheta = try scaling?.theta ?? fields.decodeIfPresent(Double.self, forKey: .rotaryTheta) ?? 10_000
        tiedHead = try fields.decodeIfPresent(Bool.self, forKey: .tiedHead) ?? false
        attentionBias = try fields.decodeIfPresent(Bool.self, forKey: .attentionBias) ?? false
        feedForwardBias = try fields.decodeIfPresent(Bool.self, forKey: .feedForwardBias) ?? false
        maximumContext = try fields.decodeIfPresent(Int.self, forKey: .maximumContext) ?? 2048
        rotaryScaling = try scaling?.scaling(context: maximumContext)
        beginOfTextID = try fields.decodeIfPresent(Int.self, forKey: .beginOfTextID)
        endOfTextIDs = try fields.decodeIfPresent(OneOrMore.self, forKey: .endOfTextID)?.values ?? []
        try validate()
    }

    public func encode(to encoder: any Encoder) throws {
        var fields: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
        try fields.encode("llama", forKey: .modelType)
        try fields.encode(["LlamaForCausalLM"], forKey: .architectures)
        try fields.encode(vocabularySize, forKey: .vocabularySize)
        try fields.encode(dimensions, forKey: .dimensions)
        try fields.encode(hiddenDimensions, forKey: .hiddenDimensions)
        try fields.encode(layers, forKey: .layers)
        try fields.encode(heads, forKey: .heads)
        try fields.encode(keyValueHeads, forKey: .keyValueHeads)
        try fields.encode(headDimensions, forKey: .headDimensions)
        try fields.encode(HuggingFaceActivation.name(of: activation), forKey: .activation)
        try fields.encode(normEpsilon, forKey: .normEpsilon)
        try fields.encode(rotaryTheta, forKey: .rotaryTheta)
        try fields.encodeIfPresent(rotaryScaling.map(RotaryFields.init), forKey: .rotaryScaling)
        try fields.encode(tiedHead, forKey: .tiedHead)
        try fields.encode(attentionBias, forKey: .attentionBias)
        try fields.encode(feedForwardBias, forKey: .feedForwardBias)
        try fields.encode(maximumContext, forKey: .maximumContext)
        try fields.encodeIfPresent(beginOfTextID, forKey: .beginOfTextID)
        if !endOfTextIDs.isEmpty { try fields.encode(OneOrMore(values: endOfTextIDs), forKey: .endOfTextID) }
    }
}
