import Hummingbird

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

    init(_ kind: Kind, model: String, id: String, created: Int) {
        self.kind = kind
        self.model = model
        self.id = (kind == .chat ? "chatcmpl-" : "cmpl-") + id
        self.created = created
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

        private enum CodingKeys: String, CodingKey {
            case index, text, message, delta, logprobs
            case finishReason = "finish_reason"
        }

        /// The reason and the log-probabilities are null where there are none, as clients expect.
        func encode(to encoder: any Encoder) throws {
            var container: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(index, forKey: .index)
            try container.encodeIfPresent(text, forKey: .text)
            try container.encodeIfPresent(message, forKey: .message)
            try container.encodeIfPresent(delta, forKey: .delta)
            try container.encode(finishReason, forKey: .finishReason)
            try container.encodeNil(forKey: .logprobs)
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

    /// All choices with their texts.
    func whole(_ choices: [(text: String, reason: FinishReason)], usage: Usage) -> ByteBuffer {
        let documents: [Choice] = choices.enumerated().map { index, choice in
            switch kind {
            case .completion: Choice(index: index, text: choice.text, finishReason: choice.reason)
            case .chat: Choice(index: index, message: Message(role: "assistant", content: choice.text), finishReason: choice.reason)
            }
        }
        return document(documents, isPiece: false, usage: usage)
    }

    /// What a stream says of a choice before its text, if anything.
    func opening(_ index: Int) -> ByteBuffer? {
        kind == .chat ? document([Choice(index: index, delta: Message(role: "assistant", content: ""))], isPiece: true) : nil
    }

    func piece(_ index: Int, _ text: String) -> ByteBuffer {
        let choice: Choice = kind == .chat ? Choice(index: index, delta: Message(content: text)) : Choice(index: index, text: text)
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
