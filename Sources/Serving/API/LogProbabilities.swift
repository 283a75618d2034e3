import Training

/// The log-probabilities of a choice's tokens as OpenAI's API gives them, which differs between its two endpoints.
enum LogProbabilities: Encodable, Sendable {
    case completion(CompletionForm)
    case chat(ChatForm)

    /// Parallel lists.
    struct CompletionForm: Encodable, Sendable {
        let tokens: [String]
        let logProbabilities: [Double]
        /// The likeliest tokens and the drawn one, by their text.
        let likeliest: [[String: Double]]
        let offsets: [Int]

        private enum CodingKeys: String, CodingKey {
            case tokens
            case logProbabilities = "token_logprobs"
            case likeliest = "top_logprobs"
            case offsets = "text_offset"
        }
    }

    struct ChatForm: Encodable, Sendable {
        struct Token: Encodable, Sendable {
            let text: String
            let logProbability: Double
            /// Null for a token that is no text by itself, such as a part of a character.
            let bytes: [UInt8]?
            /// Nil for a token that is itself in such a list.
            var likeliest: [Token]?

            private enum CodingKeys: String, CodingKey {
                case bytes
                case text = "token"
                case logProbability = "logprob"
                case likeliest = "top_logprobs"
            }

            func encode(to encoder: any Encoder) throws {
                var container: KeyedEncodingContainer<CodingKeys> = encoder.container(keyedBy: CodingKeys.self)
                try container.encode(text, forKey: .text)
                try container.encode(logProbability, forKey: .logProbability)
                try container.encode(bytes, forKey: .bytes)
                try container.encodeIfPresent(likeliest, forKey: .likeliest)
            }
        }

        let content: [Token]
    }

    func encode(to encoder: any Encoder) throws {
        switch self {
        case .completion(let form): try form.encode(to: encoder)
        case .chat(let form): try form.encode(to: encoder)
        }
    }

    /// - Parameters:
    ///   - tokens: of one choice, or of one piece of a stream.
    ///   - start: Unicode scalars that are given out before the choice's text, such as an echo of its prompt.
    init(_ kind: ReplyMaker.Kind, _ tokens: [DrawnToken], start: Int, tokenizer: any Tokenizer) {
        func text(_ candidate: DrawnToken.Candidate) -> String { tokenizer.decode([candidate.id], skippingSpecialTokens: false) }
        switch kind {
        case .completion:
            let likeliest: [[String: Double]] = tokens.map { token in
                // Different tokens may have one text; the likelier one stands for it.
                Dictionary((token.likeliest + [token.drawn]).map { (text($0), $0.logProbability) }, uniquingKeysWith: max)
            }
            self = .completion(
                CompletionForm(
                    tokens: tokens.map { text($0.drawn) }, logProbabilities: tokens.map(\.drawn.logProbability), likeliest: likeliest,
                    offsets: tokens.map { start + $0.offset }))
        case .chat:
            func entry(_ candidate: DrawnToken.Candidate, likeliest: [ChatForm.Token]? = nil) -> ChatForm.Token {
                let text: String = text(candidate)
                let isWhole: Bool = !text.unicodeScalars.contains("\u{FFFD}")
                return ChatForm.Token(
                    text: text, logProbability: candidate.logProbability, bytes: isWhole ? Array(text.utf8) : nil, likeliest: likeliest)
            }
            self = .chat(ChatForm(content: tokens.map { entry($0.drawn, likeliest: $0.likeliest.map { entry($0) }) }))
        }
    }
}
