import Foundation
import Hummingbird
import HummingbirdTesting
import SequenceModels
import Serving
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers, .timeLimit(.minutes(1))) struct ServerTests {
    private struct Reply {
        let status: Int
        let headers: HTTPFields
        let text: String

        /// The value at a path such as `choices.0.text`.
        func at(_ path: String) -> Any? {
            var value: Any? = try? JSONSerialization.jsonObject(with: Data(text.utf8))
            for part in path.split(separator: ".") {
                let list: [Any] = value as? [Any] ?? []
                value = Int(part).map { list.indices.contains($0) ? list[$0] : nil } ?? (value as? [String: Any])?[String(part)]
            }
            return value
        }

        func text(_ path: String) -> String? { at(path) as? String }
        func number(_ path: String) -> Int? { at(path) as? Int }

        /// The documents of a stream, without its closing mark.
        var events: [Reply] {
            text.components(separatedBy: "\n\n").filter { $0.hasPrefix("data: ") && $0 != "data: [DONE]" }
                .map { Reply(status: status, headers: headers, text: String($0.dropFirst("data: ".count))) }
        }
    }

    private struct Client {
        let client: any TestClientProtocol

        func send(_ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, key: String? = nil) async throws -> Reply {
            var headers: HTTPFields = [:]
            if let key { headers[.authorization] = key }
            return try await client.execute(uri: path, method: method, headers: headers, body: body.map { ByteBuffer(string: $0) }) {
                Reply(status: Int($0.status.code), headers: $0.headers, text: String(buffer: $0.body))
            }
        }

        func complete(_ body: String) async throws -> Reply { try await send(.post, "/v1/completions", body) }
        func chat(_ body: String) async throws -> Reply { try await send(.post, "/v1/chat/completions", body) }
    }

    private func serve(
        _ engine: GenerationEngine? = nil, apiKey: String? = nil, bodyLimit: Int = 1 << 16,
        _ body: @escaping @Sendable (Client, GenerationEngine) async throws -> Void
    ) async throws {
        let engine: GenerationEngine = try engine ?? TinyModel.engine()
        let configuration: ServerConfiguration = try ServerConfiguration(
            modelName: "tiny", port: 0, apiKey: apiKey, maximumTokens: 200, bodyLimit: bodyLimit)
        try await CompletionServer(engine, configuration: configuration).application().test(.live) { client in
            try await body(Client(client: client), engine)
        }
        await engine.shutDown(grace: .zero)
    }

    private func alone(_ prompt: String, limit: Int, temperature: Double = 0, seed: UInt64 = 0) throws -> String {
        try TinyModel.alone(TinyModel.request(prompt, limit: limit, temperature: temperature, seed: seed), TinyModel.make())
    }

    // MARK: Completions

    @Test func aCompletion() async throws {
        let expected: String = try alone("the end", limit: 12)
        try await serve { client, _ in
            let reply: Reply = try await client.complete(#"{"model": "tiny", "prompt": "the end", "max_tokens": 12, "temperature": 0}"#)
            #expect(reply.status == 200 && reply.headers[.contentType] == "application/json")
            #expect(reply.text("choices.0.text") == expected)
            #expect(reply.text("choices.0.finish_reason") == "length")
            #expect(reply.text("object") == "text_completion" && reply.text("id")?.hasPrefix("cmpl-") == true)
            #expect(reply.number("usage.prompt_tokens") == 7 && reply.number("usage.completion_tokens") == 12)
            #expect(reply.number("usage.total_tokens") == 19)
            // The standard limit is OpenAI's, and tokens are a prompt too.
            let tokens: [Int] = TinyModel.tokenizer.encode("the end")
            let short: Reply = try await client.complete(#"{"prompt": \#(tokens), "temperature": 0}"#)
            #expect(short.number("usage.completion_tokens") == 16 && short.text("choices.0.text")?.hasPrefix(expected) == true)
        }
    }

    @Test func severalPromptsAndChoices() async throws {
        let expected: [String] = try [("ab", 3), ("ab", 4), ("c", 3), ("c", 4)].map {
            try $0.0 + alone($0.0, limit: 8, temperature: 0.8, seed: UInt64($0.1))
        }
        try await serve { client, _ in
            let body: String = #"{"prompt": ["ab", "c"], "n": 2, "max_tokens": 8, "temperature": 0.8, "seed": 3, "echo": true}"#
            let reply: Reply = try await client.complete(body)
            #expect((0..<4).map { reply.text("choices.\($0).text") } == expected)
            #expect((0..<4).map { reply.number("choices.\($0).index") } == [0, 1, 2, 3])
            #expect(reply.number("usage.prompt_tokens") == 3 && reply.number("usage.completion_tokens") == 32)
        }
    }

    @Test func aStreamedCompletionIsTheWholeOne() async throws {
        let expected: String = try alone("the end", limit: 30)
        try await serve { client, _ in
            let reply: Reply = try await client.complete(
                #"{"prompt": "the end", "max_tokens": 30, "temperature": 0, "stream": true, "stream_options": {"include_usage": true}}"#)
            #expect(reply.headers[.contentType]?.hasPrefix("text/event-stream") == true)
            #expect(reply.text.hasSuffix("data: [DONE]\n\n"))
            let events: [Reply] = reply.events
            #expect(events.compactMap { $0.text("choices.0.text") }.joined() == expected)
            #expect(events.dropLast().last?.text("choices.0.finish_reason") == "length")
            #expect(events.last?.number("usage.completion_tokens") == 30)
            #expect(events[0].at("choices.0.finish_reason") is NSNull)
        }
    }

    @Test func stopStringsAreLeftOut() async throws {
        let whole: String = try alone("the end", limit: 40)
        let stop: String = String(whole.dropFirst(10).prefix(2))
        let before: String = String(whole[..<(try #require(whole.range(of: stop)).lowerBound)])
        try await serve { client, _ in
            for stops in [#""\#(stop)""#, #"["nowhere", "\#(stop)"]"#] {
                let reply: Reply = try await client.complete(
                    #"{"prompt": "the end", "max_tokens": 40, "temperature": 0, "stop": \#(stops.replacingOccurrences(of: "\n", with: "\\n"))}"#
                )
                #expect(reply.text("choices.0.text") == before && reply.text("choices.0.finish_reason") == "stop")
            }
        }
    }

    @Test func aCompletionWithLogProbabilities() async throws {
        let expected: String = try alone("the end", limit: 6)
        let body: String = #""prompt": "the end", "max_tokens": 6, "temperature": 0, "logprobs": 2"#
        try await serve { client, _ in
            let reply: Reply = try await client.complete("{\(body)}")
            #expect((reply.at("choices.0.logprobs.tokens") as? [String])?.joined() == expected)
            #expect(reply.at("choices.0.logprobs.text_offset") as? [Int] == Array(0..<6))
            let values: [Double] = try #require(reply.at("choices.0.logprobs.token_logprobs") as? [Double])
            let likeliest: [[String: Double]] = try #require(reply.at("choices.0.logprobs.top_logprobs") as? [[String: Double]])
            // At temperature 0 the drawn token is the likeliest.
            #expect(likeliest.map { $0.values.max() } == values && likeliest.allSatisfy { $0.count == 2 })
            let events: [Reply] = try await client.complete("{\(body), \"stream\": true}").events
            let pieces: [String] = events.flatMap { $0.at("choices.0.logprobs.tokens") as? [String] ?? [] }
            #expect(pieces.joined() == expected)
            let offsets: [Int] = events.flatMap { $0.at("choices.0.logprobs.text_offset") as? [Int] ?? [] }
            #expect(offsets == Array(0..<6))
            #expect(try await client.complete(#"{"prompt": "a", "max_tokens": 1}"#).at("choices.0.logprobs") is NSNull)
        }
    }

    // MARK: Chat

    @Test func aChatWithLogProbabilities() async throws {
        let body: String = #""messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, "temperature": 0"#
        try await serve { client, _ in
            let reply: Reply = try await client.chat("{\(body), \"logprobs\": true, \"top_logprobs\": 3}")
            let content: [[String: Any]] = try #require(reply.at("choices.0.logprobs.content") as? [[String: Any]])
            #expect(content.compactMap { $0["token"] as? String }.joined() == reply.text("choices.0.message.content"))
            for token in content {
                let best: [[String: Any]] = try #require(token["top_logprobs"] as? [[String: Any]])
                #expect(best.count == 3 && best[0]["logprob"] as? Double == token["logprob"] as? Double)
                #expect(token["bytes"] as? [Int] == Array((token["token"] as? String ?? "").utf8).map { Int($0) })
            }
            let plain: Reply = try await client.chat("{\(body), \"logprobs\": true, \"stream\": true}")
            #expect(plain.events.flatMap { $0.at("choices.0.logprobs.content") as? [Any] ?? [] }.count == 5)
            for (fields, part) in [("\"top_logprobs\": 2", "needs logprobs"), ("\"logprobs\": true, \"top_logprobs\": 21", "0 to 20")] {
                let refused: Reply = try await client.chat("{\(body), \(fields)}")
                #expect(refused.status == 400 && refused.text("error.message")?.contains(part) == true)
            }
            #expect(try await client.chat("{\(body), \"logprobs\": false}").at("choices.0.logprobs") is NSNull)
        }
    }

    @Test func aChat() async throws {
        let expected: String = try alone("system:\nbe kind\n\nuser:\nhello\n\nassistant:\n", limit: 9)
        let body: String =
            #""messages": [{"role": "system", "content": "be kind"}, {"role": "user", "content": [{"type": "text", "text": "hello"}]}]"#
        try await serve { client, _ in
            let reply: Reply = try await client.chat("{\(body), \"max_completion_tokens\": 9, \"temperature\": 0}")
            #expect(reply.text("object") == "chat.completion" && reply.text("id")?.hasPrefix("chatcmpl-") == true)
            #expect(reply.text("choices.0.message.role") == "assistant")
            #expect(reply.text("choices.0.message.content") == expected)
            let streamed: Reply = try await client.chat("{\(body), \"max_tokens\": 9, \"temperature\": 0, \"stream\": true}")
            #expect(streamed.events[0].text("choices.0.delta.role") == "assistant")
            #expect(streamed.events[0].text("object") == "chat.completion.chunk")
            #expect(streamed.events.compactMap { $0.text("choices.0.delta.content") }.joined() == expected)
            #expect(streamed.events.last?.text("choices.0.finish_reason") == "length")
        }
    }

    @Test func templates() throws {
        let messages: [ChatMessage] = [ChatMessage(role: "user", content: "Hi {role}"), ChatMessage(role: "assistant", content: "Yes?")]
        let template: ChatTemplate = try ChatTemplate("<|im_start|>{role}\n{content}<|im_end|>\n")
        let prompt: String =
            "<|im_start|>user\nHi {role}<|im_end|>\n<|im_start|>assistant\nYes?<|im_end|>\n<|im_start|>assistant\n"
        #expect(try template.prompt(messages) == prompt)
        #expect(template.stop == ["<|im_end|>"])
        #expect(ChatTemplate.plain.stop == ["\n\nuser:\n"])
        for wrong in ["{content}", "{role}", "{content}{role}", "{role}{content}{content}", "{role} {role}{content}", ""] {
            #expect(throws: ConfigurationError.self) { try ChatTemplate(wrong) }
        }
    }

    @Test func aChatByATemplateInJinja() async throws {
        let template: ChatTemplate = try ChatTemplate(
            jinja: """
                {{ bos_token }}{% for m in messages %}
                {%- if m.role == 'system' %}{{ raise_exception('no ' + m.role) }}{% endif %}
                {{ m.role }}: {{ m.content | trim }}
                {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}
                """, specialTokens: ChatTemplate.SpecialTokens(beginning: "go ", end: "."))
        #expect(template.stop == ["."])
        let expected: String = try alone("go user: hello\nassistant:", limit: 9)
        let configuration: ServerConfiguration = try ServerConfiguration(modelName: "tiny", port: 0, chatTemplate: template)
        let engine: GenerationEngine = try TinyModel.engine()
        try await CompletionServer(engine, configuration: configuration).application().test(.live) { client in
            let client: Client = Client(client: client)
            let reply: Reply = try await client.chat(
                #"{"messages": [{"role": "user", "content": " hello "}], "max_tokens": 9, "temperature": 0}"#)
            #expect(expected.hasPrefix(try #require(reply.text("choices.0.message.content"))))
            #expect(reply.number("usage.prompt_tokens") == 25)
            let refused: Reply = try await client.chat(#"{"messages": [{"role": "system", "content": "a"}]}"#)
            #expect(refused.status == 400 && refused.text("error.message")?.contains("refuses the messages: no system") == true)
        }
        await engine.shutDown(grace: .zero)
    }

    // MARK: The other routes

    @Test func modelsHealthAndMetrics() async throws {
        try await serve { client, engine in
            #expect(try await client.send(.get, "/v1/models").text("data.0.id") == "tiny")
            #expect(try await client.send(.get, "/v1/models/tiny").text("owned_by") == "linnet")
            #expect(try await client.send(.get, "/v1/models/other").text("error.code") == "model_not_found")
            #expect(try await client.send(.get, "/health").text("status") == "ok")
            _ = try await client.complete(#"{"prompt": "ab", "max_tokens": 3}"#)
            let page: String = try await client.send(.get, "/metrics").text
            for line in [
                "linnet_prompt_tokens_total 2", "linnet_texts_total 1", "linnet_queue_length 0", "linnet_first_token_seconds_count 1",
                "linnet_http_responses_total{route=\"/v1/completions\",status=\"200\"} 1", "linnet_texts_ended_total{reason=\"length\"} 1",
            ] { #expect(page.contains(line + "\n"), "\(line) is missing") }
            await engine.shutDown(grace: .zero)
            let stopped: Reply = try await client.send(.get, "/health")
            #expect(stopped.status == 503 && stopped.text("error.code") == "shutting_down")
            let refused: Reply = try await client.complete(#"{"prompt": "ab"}"#)
            #expect(refused.status == 503 && refused.headers[.retryAfter] == "5")
        }
    }

    // MARK: Errors

    private static let badRequests: [(body: String, part: String)] = [
        ("", "not a valid request"), ("[1]", "not a valid request"), (#"{"prompt": 3}"#, "has to be a text"),
        (#"{"max_tokens": 3}"#, "prompt is missing"), (#"{"prompt": ""}"#, "the prompt is empty"),
        (#"{"prompt": "É"}"#, "no token for U+00C9"), (#"{"prompt": [99999]}"#, "token 99999"),
        (#"{"prompt": "a", "max_tokens": 0}"#, "max_tokens is 0"), (#"{"prompt": "a", "max_tokens": 201}"#, "1 to 200"),
        (#"{"prompt": "a", "temperature": -1}"#, "temperature is -1"), (#"{"prompt": "a", "top_p": 0}"#, "top-p is 0"),
        (#"{"prompt": "a", "n": 0}"#, "n is 0"), (#"{"prompt": "a", "logprobs": 6}"#, "logprobs is 6; it has to be 0 to 5"),
        (#"{"prompt": "a", "logprobs": 1, "echo": true}"#, "echoed prompt"),
        (#"{"prompt": "a", "frequency_penalty": 1}"#, "frequency_penalty"), (#"{"prompt": "a", "stop": 3}"#, "stop"),
        (#"{"prompt": "a", "logit_bias": {"1": 2}}"#, "logit_bias"), (#"{"prompt": "a", "tools": [{"type": "function"}]}"#, "tools"),
    ]

    @Test func badRequestsSayWhatIsWrong() async throws {
        try await serve { client, _ in
            for (body, part) in Self.badRequests {
                let reply: Reply = try await client.complete(body)
                #expect(reply.status == 400 && reply.text("error.type") == "invalid_request_error", "\(body)")
                #expect(reply.text("error.message")?.contains(part) == true, "\(body): \(reply.text)")
            }
            for body in [#"{}"#, #"{"messages": []}"#, #"{"messages": [{"role": "king", "content": "a"}]}"#] {
                #expect(try await client.chat(body).status == 400)
            }
            // What asks for nothing is no reason to refuse.
            let fine: String = #"{"prompt": "a", "logprobs": null, "tools": [], "presence_penalty": 0, "user": "me", "max_tokens": 1}"#
            #expect(try await client.complete(fine).status == 200)
        }
    }

    @Test func unknownPathsMethodsAndModels() async throws {
        try await serve { client, _ in
            let nowhere: Reply = try await client.send(.get, "/v2/nothing")
            #expect(nowhere.status == 404 && nowhere.text("error.code") == "not_found")
            let wrongMethod: Reply = try await client.send(.get, "/v1/completions")
            #expect(wrongMethod.status == 405 && wrongMethod.headers[.allow] == "POST")
            let other: Reply = try await client.complete(#"{"model": "gpt", "prompt": "a"}"#)
            #expect(other.status == 404 && other.text("error.code") == "model_not_found" && other.text("error.param") == "model")
        }
    }

    @Test func aLargeBodyIsRefused() async throws {
        try await serve(bodyLimit: 1000) { client, _ in
            let reply: Reply = try await client.complete(#"{"prompt": "\#(String(repeating: "a", count: 2000))"}"#)
            #expect(reply.status == 413 && reply.text("error.code") == "body_too_large")
            #expect(try await client.complete(#"{"prompt": "a", "max_tokens": 1}"#).status == 200)
        }
    }

    @Test func aFullQueueAsksToTryAgain() async throws {
        try await serve(try TinyModel.engine(concurrent: 1, queue: 0)) { client, engine in
            let endless: Generation = try engine.generate([TinyModel.request("a", limit: 1_000_000)])[0]
            _ = await endless.next()
            let refused: Reply = try await client.complete(#"{"prompt": "a"}"#)
            #expect(refused.status == 429 && refused.headers[.retryAfter] == "1")
            #expect(refused.text("error.type") == "rate_limit_error")
            endless.cancel()
            while engine.load.running > 0 { try await Task.sleep(for: .milliseconds(5)) }
            #expect(try await client.complete(#"{"prompt": "a", "max_tokens": 1}"#).status == 200)
        }
    }

    @Test func timeIsLimited() async throws {
        try await serve(try TinyModel.engine(timeout: 1e-6)) { client, _ in
            let late: Reply = try await client.complete(#"{"prompt": "a", "max_tokens": 1}"#)
            #expect(late.status == 503 && late.text("error.code") == "timeout" && late.headers[.retryAfter] == "1")
            let streamed: Reply = try await client.complete(#"{"prompt": "a", "max_tokens": 1, "stream": true}"#)
            #expect(streamed.status == 200 && streamed.events.last?.text("error.code") == "timeout")
        }
    }

    @Test func keysAreAskedFor() async throws {
        try await serve(apiKey: "secret") { client, _ in
            for key in [nil, "Bearer wrong", "Bearer secre", "Bearer secret1", "secret"] {
                let reply: Reply = try await client.send(.get, "/v1/models", key: key)
                #expect(reply.status == 401 && reply.text("error.code") == "invalid_api_key")
            }
            #expect(try await client.send(.get, "/v1/models", key: "Bearer secret").status == 200)
            #expect(try await client.send(.get, "/health").status == 200)
        }
        #expect(throws: ConfigurationError.self) { try ServerConfiguration(modelName: "m", host: "0.0.0.0") }
        #expect(throws: Never.self) { try ServerConfiguration(modelName: "m", host: "0.0.0.0", apiKey: "k") }
        #expect(throws: ConfigurationError.self) { try ServerConfiguration(modelName: "m", apiKey: "") }
        #expect(throws: ConfigurationError.self) { try ServerConfiguration(modelName: "m", port: 70_000) }
    }
}
