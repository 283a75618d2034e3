import NN
import Torch

/// How an ``SMamba`` lets one variable see another.
public enum VariableMixing: String, Codable, Sendable, CaseIterable {
    /// Two selective state spaces over the variables, one in each direction.
    case mamba
    /// Softmax attention: the iTransformer.
    case attention
    /// Every variable by itself.
    case none
    /// One selective state space, so that a variable sees those before it only.
    case forwardOnly = "forward-only"
}

/// What an ``SMamba`` is made of.
public struct SMambaConfiguration: Codable, Sendable, Equatable {
    public var lookback: Int
    public var horizon: Int
    public var mixing: VariableMixing
    /// Channels of a variable's token, D.
    public var dimensions: Int
    public var layers: Int
    /// Width inside the feed-forward.
    public var feedForwardDimensions: Int
    /// States of a channel of the selective state space.
    public var state: Int
    /// Variables that its short convolution sees.
    public var convolutionWidth: Int
    /// Inner channels over D.
    public var expand: Double
    /// Heads of attention.
    public var heads: Int
    public var dropout: Double

    /// Defaults are those of the paper for ETTh1.
    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        lookback: Int = 96, horizon: Int = 96, mixing: VariableMixing = .mamba, dimensions: Int = 256, layers: Int = 2,
        feedForwardDimensions: Int? = nil, state: Int = 2, convolutionWidth: Int = 2, expand: Double = 1, heads: Int = 8,
        dropout: Double = 0.1
    ) throws {
        self.lookback = lookback
        self.horizon = horizon
        self.mixing = mixing
        self.dimensions = dimensions
        self.layers = layers
        self.feedForwardDimensions = feedForwardDimensions ?? dimensions
        self.state = state
        self.convolutionWidth = convolutionWidth
        self.expand = expand
        self.heads = heads
        self.dropout = dropout
        try ForecasterSettings.check(
            [
                ("lookback", lookback), ("horizon", horizon), ("dimensions", dimensions), ("layers", layers),
                ("feedForwardDimensions", self.feedForwardDimensions), ("state", state), ("convolutionWidth", convolutionWidth),
                ("heads", heads), ("expand", Int((expand * Double(dimensions)).rounded(.down))),
            ], dropout: dropout)
        if mixing == .attention, dimensions % heads != 0 {
            throw ConfigurationError("forecaster.dimensions is \(dimensions); \(heads) heads have to divide it")
        }
    }
}

/// Forecasts with a token for each variable, which a bidirectional Mamba mixes (Wang et al., 2024, *Is Mamba Effective for Time Series
/// Forecasting?*, section 4).
///
/// A variable's whole window, on its own scale, is one token, and so is each calendar feature's. The layers mix the tokens along the axis of
/// variables and transform each by a feed-forward; a linear map turns a token into the horizon. There is no position code: what a token is
/// shows in its content. The number of variables may differ from one call to the next.
public final class SMamba: Module, Forecaster {
    public let configuration: SMambaConfiguration
    @ModuleInfo public var embedding: Linear
    @ModuleInfo public var layers: [SMambaLayer]
    @ModuleInfo public var norm: LayerNorm
    @ModuleInfo public var projection: Linear
    private let dropout: Dropout

    public var lookback: Int { configuration.lookback }
    public var horizon: Int { configuration.horizon }

    public init(_ configuration: SMambaConfiguration, generator: RandomGenerator? = nil) {
        self.configuration = configuration
        dropout = Dropout(configuration.dropout)
        super.init()
        embedding = Linear(configuration.lookback, configuration.dimensions, generator: generator)
        layers = (0..<configuration.layers).map { _ in SMambaLayer(configuration, generator: generator) }
        norm = LayerNorm(configuration.dimensions)
        projection = Linear(configuration.dimensions, configuration.horizon, generator: generator)
    }

    public func forecast(_ input: ForecastInput) -> Tensor { forecast(input, mode: nil) }

    /// The forecast by a given one of the scan's equivalent forms; without one, by the number of tokens.
    public func forecast(_ input: ForecastInput, mode: MixerMode?) -> Tensor {
        let scale: WindowNormalization = WindowNormalization(input.values)
        let variables: Tensor = scale.normalized(input.values).mT
        let tokens: Tensor = input.calendar.map { concatenated([variables, $0.mT], axis: 1) } ?? variables
        let mixed: Tensor = layers.reduce(dropout(embedding(tokens))) { $1($0, mode: mode) }
        let predicted: Tensor = projection(norm(mixed.narrowed(axis: 1, start: 0, length: input.values.dim(2))))
        return scale.restored(predicted.mT)
    }
}

/// A layer of ``SMamba``: `x = LN(x + mix(x)); x = LN(x + FFN(x))`, for tokens `[B, N, D]`.
public final class SMambaLayer: Module {
    /// Nil where attention, or nothing, mixes the variables.
    @ModuleInfo public var mixer: (any SequenceMixer)?
    @ModuleInfo public var attention: MultiHeadAttention?
    @ModuleInfo(key: "mixer_norm") public var mixerNorm: LayerNorm
    @ModuleInfo(key: "feed_forward") public var feedForward: MLP
    @ModuleInfo(key: "feed_forward_norm") public var feedForwardNorm: LayerNorm
    private let dropout: Dropout

    public init(_ configuration: SMambaConfiguration, generator: RandomGenerator? = nil) {
        let c: SMambaConfiguration = configuration
        dropout = Dropout(c.dropout)
        super.init()
        func scan() -> SelectiveSSM {
            SelectiveSSM(dim: c.dimensions, state: c.state, conv: c.convolutionWidth, expand: c.expand, generator: generator)
        }
        switch c.mixing {
        case .mamba: mixer = BidirectionalMixer(forward: scan(), backward: scan())
        case .forwardOnly: mixer = scan()
        case .attention, .none: mixer = nil
        }
        attention =
            c.mixing == .attention
            ? MultiHeadAttention(
                AttentionConfiguration(
                    dimensions: c.dimensions, heads: c.heads, queryKeyValueBias: true, outputBias: true, dropout: c.dropout),
                generator: generator) : nil
        mixerNorm = LayerNorm(c.dimensions)
        feedForward = MLP(
            [c.dimensions, c.feedForwardDimensions, c.dimensions], activation: .gelu, dropout: c.dropout, generator: generator)
        feedForwardNorm = LayerNorm(c.dimensions)
    }

    public func callAsFunction(_ x: Tensor, mode: MixerMode? = nil) -> Tensor {
        let mixed: Tensor = mixerNorm(change(x, mode).map { x + $0 } ?? x)
        return feedForwardNorm(mixed + dropout(feedForward(mixed)))
    }

    private func change(_ x: Tensor, _ mode: MixerMode?) -> Tensor? { mixer.map { $0(x, mode: mode) } ?? attention.map { $0(x) } }
}
