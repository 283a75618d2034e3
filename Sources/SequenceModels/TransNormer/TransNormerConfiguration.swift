import NN
import Torch

/// The two kinds of TransNormer.
public enum TransNormerVariant: String, Codable, Sendable, CaseIterable {
    /// ReLU in blocks, ELU features after them.
    case t1
    /// Softmax in blocks, 1 + ELU features after them.
    case t2

    /// φ of ``NormAttention``.
    public var featureMap: Activation { self == .t1 ? .elu : .eluPlusOne }

    /// What ``DiagAttention`` makes of scores.
    public var blockActivation: BlockActivation { self == .t1 ? .relu : .softmax }
}

/// The shape of a ``TransNormer``.
public struct TransNormerConfiguration: Codable, Sendable, Equatable {
    public var vocabularySize: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    public var layers: Int
    public var heads: Int
    public var variant: TransNormerVariant
    /// Steps in a block of the early layers, w.
    public var block: Int
    /// How many layers, from the first on, attend within blocks; nil is half of them, 0 leaves ``NormAttention`` everywhere.
    public var blockLayers: Int?
    /// Of the feed-forward's gate. The paper says swish; the authors' code runs `identity` where their settings ask for it.
    public var activation: Activation
    /// Width inside the gated feed-forward; nil takes 8/3 · D.
    public var feedForwardDimensions: Int?
    /// Another mixer in every layer, in place of the paper's: a baseline in the same network.
    public var mixer: MixerConfiguration?
    /// Whether the head shares the embedding's weight.
    public var tiedHead: Bool
    public var dropout: Double

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        vocabularySize: Int, dimensions: Int, layers: Int, heads: Int = 4, variant: TransNormerVariant = .t1, block: Int = 64,
        blockLayers: Int? = nil, activation: Activation = .silu, feedForwardDimensions: Int? = nil, mixer: MixerConfiguration? = nil,
        tiedHead: Bool = true, dropout: Double = 0
    ) throws {
        self.vocabularySize = vocabularySize
        self.dimensions = dimensions
        self.layers = layers
        self.heads = heads
        self.variant = variant
        self.block = block
        self.blockLayers = blockLayers
        self.activation = activation
        self.feedForwardDimensions = feedForwardDimensions
        self.mixer = mixer
        self.tiedHead = tiedHead
        self.dropout = dropout
        try validate()
    }

    private func validate() throws {
        let positive: [(String, Int)] = [
            ("vocabularySize", vocabularySize), ("dimensions", dimensions), ("layers", layers), ("heads", heads), ("block", block),
            ("feedForwardDimensions", hiddenDimensions),
        ]
        for (name, value) in positive where value < 1 {
            throw ConfigurationError("model.\(name) is \(value); it has to be at least 1")
        }
        if let blockLayers, !(0...layers).contains(blockLayers) {
            throw ConfigurationError("model.blockLayers is \(blockLayers); it has to lie in 0 ... \(layers), the number of layers")
        }
        if !(0..<1).contains(dropout) { throw ConfigurationError("model.dropout is \(dropout); it has to lie in 0 ..< 1") }
    }

    /// Width inside the feed-forward.
    public var hiddenDimensions: Int { feedForwardDimensions ?? dimensions * 8 / 3 }

    /// The mixer of each layer.
    public var layerMixers: [MixerConfiguration] {
        (0..<layers).map { index in
            if let mixer { return mixer }
            return index < blockLayers ?? layers / 2
                ? MixerConfiguration(.diagAttention, heads: heads, window: block, variant: variant)
                : MixerConfiguration(.normAttention, heads: heads, variant: variant)
        }
    }
}
