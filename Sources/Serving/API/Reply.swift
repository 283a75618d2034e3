import Hummingbird
import Training

/// How many tokens a request took.
struct Usage: Encodable, Sendable {
    let promptTokens: Int
    let completionTokens: Int

    private enum CodingKeys: String, CodingKey {
        case promptTokens = "prompt_tokens"
        case completionTokens = "completion_tokens"
        case totalTokens = "total_tokens"
    }

    func encode(to encoder: any Encoder) throws {
        var container: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(promptTokens, forKey: .promptTokens)
        try container.encode(completionTokens, forKey: .completionTokens)
        try container.encode(promptTokens + completionTokens, forKey: .totalTokens)
    }
}

/// Makes the documents that answer one request: whole, or in pieces.
struct ReplyMaker: Sendable {
    enum Kind: Sendable { case completion, chat }

    private let kind: Kind
    private let model: String
    private let id: String
    private let created: Int
    private let tokenizer: any Tokenizer
    /// Whether log-probabilities were asked for.
    private let givesTokens: Bool

    init(_ kind: Kind, model: String, id: String, created: Int, tokenizer: any Tokenizer, givesTokens: Bool) {
        self.kind = kind
        self.model = model
        self.id = (kind == .chat ? "chatcmpl-" : "cmpl-") + id
        self.created = created
        self.tokenizer = tokenizer
        self.givesTokens = givesTokens
    }

    private func logProbabilities(_ tokens: [DrawnToken], start: Int) -> LogProbabilities? {
        givesTokens ? LogProbabilities(kind, tokens, start: start, tokenizer: tokenizer) : nil
    }

    private struct Message: Encodable {
        var role: String?
        var content: String?
    }

    private struct Choice: Encodable {
        let index: Int
        var text: String?
        var message: Message?
        var delta: Message?
        var finishReason: FinishReason?
        var logProbabilities: LogProbabilities?

        private enum CodingKeys: String, CodingKey {
            case index, text, message, delta
            case finishReason = "finish_reason"
            case logProbabilities = "logprobs"
        }

        /// The reason and the log-probabilities are null where there are none, as clients expect.
        func encode(to encoder: any Encoder) throws {
            var container: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(index, forKey: .index)
            try container.encodeIfPresent(text, forKey: .text)
            try container.encodeIfPresent(message, forKey: .message)
            try container.encodeIfPresent(delta, forKey: .delta)
            try container.encode(finishReason, forKey: .finishReason)
            try container.encode(logProbabilities, forKey: .logProbabilities)
        }
    }

    private struct Document: Encodable {
        let id: String
        let object: String
        let created: Int
        let model: String
        let choices: [Choice]
        let usage: Usage?
    }

    private func document(_ choices: [Choice], isPiece: Bool, usage: Usage? = nil) -> ByteBuffer {
        let object: String = kind == .completion ? "text_completion" : isPiece ? "chat.completion.chunk" : "chat.completion"
        return encodedJSON(Document(id: id, object: object, created: created, model: model, choices: choices, usage: usage))
    }

    /// A choice's text, tokens and end.
    struct Answer {
        /// The prompt, where it is to come before the text.
        var echo: String = ""
        var text: String = ""
        var tokens: [DrawnToken] = []
        var reason: FinishReason = .cancelled
    }

    /// All choices with their texts.
    func whole(_ answers: [Answer], usage: Usage) -> ByteBuffer {
        let documents: [Choice] = answers.enumerated().map { index, answer in
            let text: String = answer.echo + answer.text
            var choice: Choice = Choice(index: index, finishReason: answer.reason)
            if kind == .chat { choice.message = Message(role: "assistant", content: text) } else { choice.text = text }
            choice.logProbabilities = logProbabilities(answer.tokens, start: answer.echo.unicodeScalars.count)
            return choice
        }
        return document(documents, isPiece: false, usage: usage)
    }

    /// What a stream says of a choice before its text, if anything.
    func opening(_ index: Int) -> ByteBuffer? {
        kind == .chat ? document([Choice(index: index, delta: Message(role: "assistant", content: ""))], isPiece: true) : nil
    }

    /// The prompt as the first piece of a choice.
    func echo(_ index: Int, _ prompt: String) -> ByteBuffer { document([Choice(index: index, text: prompt)], isPiece: true) }

    /// - Parameter echo: the prompt that was given out before.
    func piece(_ index: Int, _ text: String, tokens: [DrawnToken], echo: String) -> ByteBuffer {
        var choice: Choice = kind == .chat ? Choice(index: index, delta: Message(content: text)) : Choice(index: index, text: text)
        choice.logProbabilities = logProbabilities(tokens, start: echo.unicodeScalars.count)
        return document([choice], isPiece: true)
    }

    func ending(_ index: Int, _ reason: FinishReason) -> ByteBuffer {
        let choice: Choice =
            kind == .chat
            ? Choice(index: index, delta: Message(), finishReason: reason) : Choice(index: index, text: "", finishReason: reason)
        return document([choice], isPiece: true)
    }

    /// The last piece of a stream that was asked for the usage.
    func usage(_ usage: Usage) -> ByteBuffer { document([], isPiece: true, usage: usage) }
}

/// A document as a server-sent event.
func serverSentEvent(_ document: ByteBuffer) -> ByteBuffer {
    var event: ByteBuffer = ByteBuffer(string: "data: ")
    event.writeImmutableBuffer(document)
    event.writeString("\n\n")
    return event
}
