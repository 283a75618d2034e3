import Torch

/// The shape of a ``LanguageModel``.
public struct LanguageModelConfiguration: Codable, Sendable, Equatable {
    public var vocabularySize: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    public var layers: Int
    public var mixer: MixerConfiguration
    /// Layers that use another mixer than `mixer`.
    public var hybrid: HybridPattern?
    /// Width inside the gated feed-forward; nil takes 8/3 · D, rounded up to a multiple of 16.
    public var feedForwardDimensions: Int?
    /// Whether the head shares the embedding's weight.
    public var tiedHead: Bool
    public var dropout: Double
    /// In place of the linear head, for tokens that are bins of a quantity, in its order.
    public var fourierHead: FourierHeadConfiguration?

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        vocabularySize: Int, dimensions: Int, layers: Int, mixer: MixerConfiguration, hybrid: HybridPattern? = nil,
        feedForwardDimensions: Int? = nil, tiedHead: Bool = true, dropout: Double = 0,
        fourierHead: FourierHeadConfiguration? = nil
    ) throws {
        self.vocabularySize = vocabularySize
        self.dimensions = dimensions
        self.layers = layers
        self.mixer = mixer
        self.hybrid = hybrid
        self.feedForwardDimensions = feedForwardDimensions
        self.tiedHead = tiedHead
        self.dropout = dropout
        self.fourierHead = fourierHead
        try validate()
    }

    private func validate() throws {
        let positive: [(String, Int)] = [
            ("vocabularySize", vocabularySize), ("dimensions", dimensions), ("layers", layers), ("mixer.heads", mixer.heads),
            ("feedForwardDimensions", hiddenDimensions),
        ]
        for (name, value) in positive where value < 1 {
            throw ConfigurationError("model.\(name) is \(value); it has to be at least 1")
        }
        if !(0..<1).contains(dropout) { throw ConfigurationError("model.dropout is \(dropout); it has to lie in 0 ..< 1") }
        try fourierHead?.validate(bins: vocabularySize)
    }

    /// Width inside the feed-forward.
    public var hiddenDimensions: Int { feedForwardDimensions ?? (dimensions * 8 / 3 + 15) / 16 * 16 }

    /// The mixer of each layer.
    public var layerMixers: [MixerConfiguration] {
        (0..<layers).map { index in
            guard case .attention(let window) = hybrid?.layer(at: index) else { return mixer }
            return MixerConfiguration(.softmax, heads: mixer.heads, window: window, rotary: true)
        }
    }
}
