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
        try checkFields()
        if heads % keyValueHeads != 0 {
            throw ConfigurationError("num_attention_heads is \(heads); num_key_value_heads, \(keyValueHeads), has to divide it")
        }
        if headDimensions % 2 != 0 { throw ConfigurationError("head_dim is \(headDimensions); rotary embedding needs an even number") }
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

extension LlamaConfiguration: Codable, HuggingFaceConfiguration {
    static let modelType: String = "llama"
    static let architecture: String = "LlamaForCausalLM"
    static let fields: [ConfigurationField<LlamaConfiguration>] = [
        .size("vocab_size", \.vocabularySize, most: TransformerLimits.vocabulary),
        .size("hidden_size", \.dimensions, most: TransformerLimits.width),
        .size("intermediate_size", \.hiddenDimensions, most: TransformerLimits.width),
        .size("num_hidden_layers", \.layers, most: TransformerLimits.layers),
        .size("num_attention_heads", \.heads, most: TransformerLimits.heads),
        .size("num_key_value_heads", \.keyValueHeads, most: TransformerLimits.heads) { $0.heads },
        .size("head_dim", \.headDimensions, most: TransformerLimits.heads) { $0.dimensions / max($0.heads, 1) },
        .activation("hidden_act", \.activation, standard: "silu"),
        .positive("rms_norm_eps", \.normEpsilon, standard: 1e-6),
        .size("max_position_embeddings", \.maximumContext, most: .max) { _ in 2048 },
        .positive("rope_theta", \.rotaryTheta, standard: 10_000),
        rotaryScaling,
        .flag("tie_word_embeddings", \.tiedHead, standard: false),
        .flag("attention_bias", \.attentionBias, standard: false),
        .flag("mlp_bias", \.feedForwardBias, standard: false),
        .token("bos_token_id", \.beginOfTextID),
        .tokens("eos_token_id", \.endOfTextIDs),
    ]

    /// `rope_scaling`, or the newer `rope_parameters`, which has the base as well.
    private static let rotaryScaling: ConfigurationField<LlamaConfiguration> = ConfigurationField { fields, configuration in
        let scaling: RotaryFields? =
            try fields.decodeIfPresent(RotaryFields.self, forKey: "rope_parameters")
            ?? fields.decodeIfPresent(RotaryFields.self, forKey: "rope_scaling")
        if let theta = scaling?.theta { configuration.rotaryTheta = theta }
        configuration.rotaryScaling = try scaling?.scaling(context: configuration.maximumContext)
    } write: { configuration, fields in
        try fields.encodeIfPresent(configuration.rotaryScaling.map(RotaryFields.init), forKey: "rope_scaling")
    }

    /// Fields that change nothing here are passed over; what cannot be computed is an error.
    public init(from decoder: any Decoder) throws {
        try self.init(vocabularySize: 1, dimensions: 2, hiddenDimensions: 1, layers: 1, heads: 1)
        try read(from: decoder)
        try validate()
    }

    public func encode(to encoder: any Encoder) throws { try write(to: encoder) }
}
