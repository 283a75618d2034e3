import Torch

/// What an ``SMETimes`` is made of, apart from its language model.
public struct SMETimesConfiguration: Codable, Sendable, Equatable {
    /// What a segment's numbers and its prompt become together.
    public enum Fusion: String, Codable, Sendable, CaseIterable {
        /// Mixed by one learnt weight.
        case adaptive
        /// Mixed by a learnt weight for each channel.
        case adaptiveChannels = "adaptive-channels"
        /// Their plain sum.
        case sum
        /// The numbers alone: no prompt is read.
        case timeOnly = "time-only"
    }

    /// How a segment's numbers become a token.
    public enum SegmentEncoder: String, Codable, Sendable, CaseIterable {
        case linear
        /// A hidden layer of 256 with tanh.
        case mlp
    }

    public var lookback: Int
    public var horizon: Int
    /// Steps of a token, τ.
    public var segment: Int
    /// Experts K of the mixture behind the language model.
    public var experts: Int
    /// λ, the weight of the experts' imbalance in the loss.
    public var balance: Double
    public var fusion: Fusion
    public var encoder: SegmentEncoder
    public var promptSource: PromptSource
    /// Whether the language model's layers are used; without them the tokens go straight to the experts.
    public var usesBody: Bool

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        lookback: Int = 672, horizon: Int = 96, segment: Int = 96, experts: Int = 4, balance: Double = 0.01, fusion: Fusion = .adaptive,
        encoder: SegmentEncoder = .linear, promptSource: PromptSource = .ownColumn, usesBody: Bool = true
    ) throws {
        self.lookback = lookback
        self.horizon = horizon
        self.segment = segment
        self.experts = experts
        self.balance = balance
        self.fusion = fusion
        self.encoder = encoder
        self.promptSource = promptSource
        self.usesBody = usesBody
        try ForecasterSettings.check([("lookback", lookback), ("horizon", horizon), ("segment", segment), ("experts", experts)])
        if balance < 0 { throw ConfigurationError("forecaster.balance is \(balance); it has to be at least 0") }
        if lookback % segment != 0 {
            throw ConfigurationError("forecaster.segment is \(segment); it has to divide the look-back of \(lookback)")
        }
        if horizon < segment {
            throw ConfigurationError("forecaster.segment is \(segment); it can be at most the horizon, \(horizon)")
        }
    }

    /// Tokens of a window, m.
    public var segments: Int { lookback / segment }
}
