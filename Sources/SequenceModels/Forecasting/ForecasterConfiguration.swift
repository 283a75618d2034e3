import NN
import Torch
import Training

/// The forecasters that a command or a recipe can name.
public enum ForecasterKind: String, Codable, Sendable, CaseIterable {
    case sMamba = "s-mamba"
    case iTransformer = "itransformer"
    case dLinear = "dlinear"
    case linear
    case repeatLast = "repeat"
    case smetimes
}

/// Which forecaster, with its options; what a kind does not have is passed over, and what is nil takes the kind's default.
public struct ForecasterConfiguration: Codable, Sendable, Equatable {
    public var kind: ForecasterKind
    /// Steps that it sees, L.
    public var lookback: Int
    /// Steps that it predicts, S.
    public var horizon: Int
    /// Channels of a token (S-Mamba, iTransformer).
    public var dimensions: Int
    public var layers: Int
    public var heads: Int
    public var dropout: Double
    /// States of a channel (S-Mamba).
    public var state: Int
    /// Steps of a token, τ (SMETimes).
    public var segment: Int
    /// Experts of the output (SMETimes).
    public var experts: Int
    /// The frozen language model (SMETimes).
    public var backbone: LanguageModelConfiguration?
    /// The sentence encoder that reads prompts in the backbone's place, if any (SMETimes).
    public var promptEncoder: BertConfiguration?

    public init(
        _ kind: ForecasterKind, lookback: Int = 96, horizon: Int = 96, dimensions: Int = 64, layers: Int = 2, heads: Int = 8,
        dropout: Double = 0.1, state: Int = 2, segment: Int = 48, experts: Int = 4, backbone: LanguageModelConfiguration? = nil,
        promptEncoder: BertConfiguration? = nil
    ) {
        self.kind = kind
        self.lookback = lookback
        self.horizon = horizon
        self.dimensions = dimensions
        self.layers = layers
        self.heads = heads
        self.dropout = dropout
        self.state = state
        self.segment = segment
        self.experts = experts
        self.backbone = backbone
        self.promptEncoder = promptEncoder
    }

    /// Builds the forecaster.
    /// - Parameters:
    ///   - tokenizer: of the backbone's prompts, for SMETimes.
    ///   - promptEncoder: where the configuration has one.
    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public func make(tokenizer: (any Tokenizer)? = nil, promptEncoder: BertSentenceEncoder? = nil) throws -> any Forecaster {
        try ForecasterSettings.check([("lookback", lookback), ("horizon", horizon)])
        switch kind {
        case .sMamba: return SMamba(try sMamba(.mamba))
        case .iTransformer: return SMamba(try sMamba(.attention))
        case .dLinear: return DLinear(lookback: lookback, horizon: horizon)
        case .linear: return LinearForecaster(lookback: lookback, horizon: horizon)
        case .repeatLast: return RepeatForecaster(lookback: lookback, horizon: horizon)
        case .smetimes:
            guard let backbone, let tokenizer else {
                throw ConfigurationError("smetimes needs a language model as its backbone; train one with linnet train lm --tokenizer byte")
            }
            let options: SMETimesConfiguration = try SMETimesConfiguration(
                lookback: lookback, horizon: horizon, segment: segment, experts: experts)
            if self.promptEncoder != promptEncoder?.model.configuration {
                throw ConfigurationError("forecaster.promptEncoder is not the configuration of the sentence encoder that is given")
            }
            return SMETimes(options, backbone: try LanguageModel(backbone), tokenizer: tokenizer, promptEncoder: promptEncoder)
        }
    }

    private func sMamba(_ mixing: VariableMixing) throws -> SMambaConfiguration {
        try SMambaConfiguration(
            lookback: lookback, horizon: horizon, mixing: mixing, dimensions: dimensions, layers: layers, state: state, heads: heads,
            dropout: dropout)
    }
}

/// Checks that the configurations of forecasters share.
enum ForecasterSettings {
    static func check(_ positive: [(name: String, value: Int)], dropout: Double = 0) throws {
        for (name, value) in positive where value < 1 {
            throw ConfigurationError("forecaster.\(name) is \(value); it has to be at least 1")
        }
        if !(0..<1).contains(dropout) { throw ConfigurationError("forecaster.dropout is \(dropout); it has to lie in 0 ..< 1") }
    }
}
