import Foundation
import SequenceModels
import Torch

/// The fields that completions and chat completions share.
struct SharedFields: Decodable, Sendable {
    var model: String?
    var maximumTokens: Int?
    var maximumCompletionTokens: Int?
    var temperature: Double?
    var topP: Double?
    /// Extensions of OpenAI's API.
    var topK: Int?
    var repetitionPenalty: Double?
    var seed: Int?
    var choices: Int?
    var stream: Bool?
    var streamOptions: StreamOptions?
    var stop: OneOrMany<String>?
    var presencePenalty: Double?
    var frequencyPenalty: Double?
    var logitBias: [String: Double]?
    var bestOf: Int?
    var suffix: String?
    var tools: Asked?
    var functions: Asked?
    var responseFormat: ResponseFormat?

    struct StreamOptions: Decodable, Sendable {
        var includeUsage: Bool?

        private enum CodingKeys: String, CodingKey { case includeUsage = "include_usage" }
    }

    struct ResponseFormat: Decodable, Sendable { var type: String? }

    private enum CodingKeys: String, CodingKey {
        case model, temperature, seed, stream, stop, suffix, tools, functions
        case maximumTokens = "max_tokens"
        case maximumCompletionTokens = "max_completion_tokens"
        case topP = "top_p"
        case topK = "top_k"
        case repetitionPenalty = "repetition_penalty"
        case choices = "n"
        case streamOptions = "stream_options"
        case presencePenalty = "presence_penalty"
        case frequencyPenalty = "frequency_penalty"
        case logitBias = "logit_bias"
        case bestOf = "best_of"
        case responseFormat = "response_format"
    }

    /// Most choices of one prompt.
    static let mostChoices: Int = 16

    /// Refuses what would change the answer and is not done here, instead of passing over it.
    func check(servedModel: String) throws {
        if let model, model != servedModel { throw APIError.modelNotFound(model, served: servedModel) }
        if !(1...Self.mostChoices).contains(choices ?? 1) {
            throw APIError.invalid("n is \(choices ?? 1); it has to be 1 to \(Self.mostChoices)", field: "n")
        }
        let unsupported: [(String, Bool)] = [
            ("presence_penalty", presencePenalty ?? 0 != 0), ("frequency_penalty", frequencyPenalty ?? 0 != 0),
            ("logit_bias", !(logitBias ?? [:]).isEmpty), ("best_of", bestOf ?? 1 > choices ?? 1),
            ("suffix", !(suffix ?? "").isEmpty), ("tools", tools?.isAsked ?? false), ("functions", functions?.isAsked ?? false),
            ("response_format", responseFormat?.type ?? "text" != "text"),
        ]
        for (field, isAsked) in unsupported where isAsked {
            throw APIError.invalid("\(field) is not supported; leave it out", field: field)
        }
        if (stop?.values ?? []).count > 16 { throw APIError.invalid("stop has more than 16 texts", field: "stop") }
    }

    /// How the tokens of one choice are drawn; without a seed, by chance.
    func sampling(choice: Int) throws -> SamplingConfiguration {
        let start: UInt64 = seed.map { UInt64(bitPattern: Int64($0)) } ?? UInt64.random(in: .min ... .max)
        do {
            return try SamplingConfiguration(
                temperature: temperature ?? 1, topK: topK, topP: topP ?? 1, repetitionPenalty: repetitionPenalty ?? 1,
                seed: start &+ UInt64(choice))
        } catch let error as ConfigurationError { throw APIError.invalid(error.description) }
    }

    /// - Parameters:
    ///   - standard: what is taken where the request says nothing.
    ///   - most: the server's bound.
    func limit(standard: Int, most: Int) throws -> Int {
        let limit: Int = maximumCompletionTokens ?? maximumTokens ?? min(standard, most)
        guard (1...most).contains(limit) else {
            throw APIError.invalid("max_tokens is \(limit); it has to be 1 to \(most)", field: "max_tokens")
        }
        return limit
    }
}

/// `POST /v1/completions`.
struct CompletionFields: Decodable, Sendable {
    var shared: SharedFields
    var prompt: PromptInput?
    var echo: Bool?
    var logProbabilities: Int?

    private enum CodingKeys: String, CodingKey {
        case prompt, echo
        case logProbabilities = "logprobs"
    }

    init(from decoder: any Decoder) throws {
        shared = try SharedFields(from: decoder)
        let container: KeyedDecodingContainer<CodingKeys> = try decoder.container(keyedBy: CodingKeys.self)
        prompt = try container.decodeIfPresent(PromptInput.self, forKey: .prompt)
        echo = try container.decodeIfPresent(Bool.self, forKey: .echo)
        logProbabilities = try container.decodeIfPresent(Int.self, forKey: .logProbabilities)
    }

    /// How many candidates come with every token; nil where no tokens were asked for.
    func candidates() throws -> Int? {
        guard let count = logProbabilities else { return nil }
        guard (0...5).contains(count) else { throw APIError.invalid("logprobs is \(count); it has to be 0 to 5", field: "logprobs") }
        if echo ?? false { throw APIError.invalid("logprobs of an echoed prompt are not supported; leave echo out", field: "echo") }
        return count
    }
}

/// `POST /v1/chat/completions`.
struct ChatFields: Decodable, Sendable {
    var shared: SharedFields
    var messages: [ChatMessage]
    var logProbabilities: Bool?
    var topLogProbabilities: Int?

    private enum CodingKeys: String, CodingKey {
        case messages
        case logProbabilities = "logprobs"
        case topLogProbabilities = "top_logprobs"
    }

    init(from decoder: any Decoder) throws {
        shared = try SharedFields(from: decoder)
        let container: KeyedDecodingContainer<CodingKeys> = try decoder.container(keyedBy: CodingKeys.self)
        messages = try container.decode([ChatMessage].self, forKey: .messages)
        logProbabilities = try container.decodeIfPresent(Bool.self, forKey: .logProbabilities)
        topLogProbabilities = try container.decodeIfPresent(Int.self, forKey: .topLogProbabilities)
    }

    /// How many candidates come with every token; nil where no tokens were asked for.
    func candidates() throws -> Int? {
        let count: Int = topLogProbabilities ?? 0
        guard (0...20).contains(count) else {
            throw APIError.invalid("top_logprobs is \(count); it has to be 0 to 20", field: "top_logprobs")
        }
        if logProbabilities ?? false { return count }
        if topLogProbabilities != nil { throw APIError.invalid("top_logprobs needs logprobs to be true", field: "top_logprobs") }
        return nil
    }
}

/// A text, several texts, the tokens of a text, or those of several.
enum PromptInput: Decodable, Sendable {
    case texts([String])
    case tokens([[Int]])

    init(from decoder: any Decoder) throws {
        let container: any SingleValueDecodingContainer = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self = .texts([text])
        } else if let texts = try? container.decode([String].self), !texts.isEmpty {
            self = .texts(texts)
        } else if let tokens = try? container.decode([Int].self) {
            self = .tokens([tokens])
        } else if let tokens = try? container.decode([[Int]].self) {
            self = .tokens(tokens)
        } else {
            throw DecodingError.dataCorruptedError(
                in: container, debugDescription: "has to be a text, a list of texts, a list of tokens, or a list of those")
        }
    }
}

/// A value, or a list of them.
struct OneOrMany<Value: Decodable & Sendable>: Decodable, Sendable {
    let values: [Value]

    init(from decoder: any Decoder) throws {
        let container: any SingleValueDecodingContainer = try decoder.singleValueContainer()
        if let value = try? container.decode(Value.self) {
            values = [value]
        } else {
            values = try container.decode([Value].self)
        }
    }
}

/// A field that is only looked at for whether it asks for something: not null, false or an empty list.
struct Asked: Decodable, Sendable {
    let isAsked: Bool

    init(from decoder: any Decoder) throws {
        if var list = try? decoder.unkeyedContainer() {
            isAsked = !list.isAtEnd
            while !list.isAtEnd { _ = try? list.superDecoder() }
        } else {
            isAsked = (try? decoder.singleValueContainer().decode(Bool.self)) ?? true
        }
    }
}
