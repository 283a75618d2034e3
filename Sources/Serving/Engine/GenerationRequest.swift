import SequenceModels

/// A text to continue, as it is queued to a ``GenerationEngine``.
public struct GenerationRequest: Sendable {
    /// At least one token.
    public var prompt: [Int]
    /// Most tokens to add.
    public var limit: Int
    public var sampling: SamplingConfiguration
    /// Texts that end the generation; they are not given out, wherever the borders between tokens fall.
    public var stop: [String]
    /// Tokens that end the generation, beside the tokenizer's end of text.
    public var stopTokens: Set<Int>
    /// How many of the likeliest tokens come with every token, for its log-probability; nil gives out no tokens.
    public var candidates: Int?

    public init(
        prompt: [Int], limit: Int, sampling: SamplingConfiguration, stop: [String] = [], stopTokens: Set<Int> = [], candidates: Int? = nil
    ) {
        self.prompt = prompt
        self.limit = limit
        self.sampling = sampling
        self.stop = stop
        self.stopTokens = stopTokens
        self.candidates = candidates
    }
}

/// Why a generation ended.
public enum FinishReason: String, Sendable, Codable {
    /// A stop string, a stop token or the end of the text.
    case stop
    /// As many tokens as were asked for.
    case length
    /// The time for the request was over.
    case timeout
    /// Whoever asked has gone.
    case cancelled
    /// The server stopped before the text was complete.
    case shutdown
}

/// What a generation gives: pieces of text, then its end.
public enum GenerationEvent: Sendable, Equatable {
    /// - Parameter tokens: those that the text consists of, where the request asks for candidates; without any, the text is not empty.
    case text(String, tokens: [DrawnToken] = [])
    /// - Parameter tokens: how many were drawn, one that ended the text not counted.
    case end(FinishReason, tokens: Int)
}

/// Why a ``GenerationEngine`` does not take a request.
public enum GenerationRefusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// As many requests are waiting as may.
    case queueFull(limit: Int)
    /// The engine is stopping.
    case stopping
    /// The request cannot be answered, whenever it comes.
    case invalid(String)

    public var description: String {
        switch self {
        case .queueFull(let limit): "\(limit) requests are waiting already; try again later"
        case .stopping: "the server is shutting down"
        case .invalid(let reason): reason
        }
    }
}
