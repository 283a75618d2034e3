import Foundation
import Hummingbird
import NIOCore
import SequenceModels
import Training

/// Answers `/v1/completions` and `/v1/chat/completions`.
struct CompletionHandler: Sendable {
    let engine: GenerationEngine
    let configuration: ServerConfiguration

    /// What was asked, ready for the engine.
    private struct Order: Sendable {
        let kind: ReplyMaker.Kind
        /// One for each choice.
        let requests: [GenerationRequest]
        /// What is given out before the text of each choice: the prompt, or nothing.
        let echoes: [String]
        let promptTokens: Int
        let streams: Bool
        let includesUsage: Bool
    }

    @Sendable func completions(_ request: Request, _ context: ServingContext) async throws -> Response {
        let fields: CompletionFields = try await decoded(request)
        try fields.shared.check(servedModel: configuration.modelName)
        guard let prompt = fields.prompt else { throw APIError.invalid("prompt is missing", field: "prompt") }
        let prompts: [[Int]]
        switch prompt {
        case .texts(let texts): prompts = try texts.map { try encoded($0) }
        case .tokens(let tokens): prompts = tokens
        }
        let order: Order = try order(
            .completion, fields.shared, prompts: prompts, standardLimit: 16, echoes: fields.echo ?? false, candidates: fields.candidates())
        return try await answer(order, context)
    }

    @Sendable func chat(_ request: Request, _ context: ServingContext) async throws -> Response {
        let fields: ChatFields = try await decoded(request)
        try fields.shared.check(servedModel: configuration.modelName)
        if fields.messages.isEmpty { throw APIError.invalid("messages is empty; it needs at least one", field: "messages") }
        let template: ChatTemplate = configuration.chatTemplate
        let text: String
        do { text = try template.prompt(fields.messages) } catch {
            throw APIError.invalid("the messages make no prompt: \(error)", field: "messages")
        }
        let prompt: [Int] = try encoded(text, addingSpecialTokens: template.leavesSpecialTokens)
        let order: Order = try order(
            .chat, fields.shared, prompts: [prompt], standardLimit: configuration.maximumTokens, stop: template.stop, echoes: false,
            candidates: fields.candidates())
        return try await answer(order, context)
    }

    // MARK: What was asked

    private func decoded<Fields: Decodable>(_ request: Request) async throws -> Fields {
        if engine.isStopping { throw APIError.stopping }
        let body: ByteBuffer
        do { body = try await request.body.collect(upTo: configuration.bodyLimit) } catch is NIOTooManyBytesError {
            throw APIError(
                status: .contentTooLarge, message: "the body is larger than \(configuration.bodyLimit) bytes", code: "body_too_large")
        }
        do { return try JSONDecoder().decode(Fields.self, from: Data(body.readableBytesView)) } catch let error as DecodingError {
            throw APIError.invalid("the body is not a valid request: \(error.reason)")
        }
    }

    /// - Parameter addingSpecialTokens: whether the text gets those that the tokenizer puts around one; those in it are always read.
    private func encoded(_ text: String, addingSpecialTokens: Bool = true) throws -> [Int] {
        if !addingSpecialTokens, let tokenizer = engine.tokenizer as? BPETokenizer {
            return tokenizer.pipeline.encode(text, addingSpecialTokens: false)
        }
        do { return try engine.tokenizer.encode(validating: text) } catch let error as TokenizerError {
            throw APIError.invalid("the prompt cannot be read: \(error)", field: "prompt")
        }
    }

    private func order(
        _ kind: ReplyMaker.Kind, _ fields: SharedFields, prompts: [[Int]], standardLimit: Int, stop: [String] = [], echoes: Bool,
        candidates: Int?
    ) throws -> Order {
        let limit: Int = try fields.limit(standard: standardLimit, most: configuration.maximumTokens)
        let choices: Int = fields.choices ?? 1
        let stopTokens: Set<Int> = Set(stop.compactMap(engine.tokenizer.id(forToken:)))
        let stops: [String] = (fields.stop?.values ?? []) + stop
        let requests: [GenerationRequest] = try prompts.flatMap { prompt in
            try (0..<choices).map { choice in
                GenerationRequest(
                    prompt: prompt, limit: limit, sampling: try fields.sampling(choice: choice), stop: stops, stopTokens: stopTokens,
                    candidates: candidates)
            }
        }
        return Order(
            kind: kind, requests: requests, echoes: requests.map { echoes ? engine.tokenizer.decode($0.prompt) : "" },
            promptTokens: prompts.reduce(0) { $0 + $1.count }, streams: fields.stream ?? false,
            includesUsage: fields.streamOptions?.includeUsage ?? false)
    }

    // MARK: The answer

    private func answer(_ order: Order, _ context: ServingContext) async throws -> Response {
        let connection: ClientConnection = await ClientConnection.of(context.channel)
        let generations: [Generation]
        do { generations = try engine.generate(order.requests) } catch { throw APIError(error) }
        let reply: ReplyMaker = ReplyMaker(
            order.kind, model: configuration.modelName, id: UUID().uuidString.lowercased(), created: Int(Date().timeIntervalSince1970),
            tokenizer: engine.tokenizer, givesTokens: order.requests.contains { $0.candidates != nil })
        if !order.streams { return try await whole(order, generations, reply, connection) }
        let body: ResponseBody = ResponseBody { writer in
            connection.onClose { generations.forEach { $0.cancel() } }
            defer { connection.clear() }
            for index in generations.indices {
                if let opening = reply.opening(index) { try await writer.write(serverSentEvent(opening)) }
                let echo: String = order.echoes[index]
                if !echo.isEmpty { try await writer.write(serverSentEvent(reply.echo(index, echo))) }
            }
            var completionTokens: Int = 0
            try await events(of: generations) { index, event in
                switch event {
                case .text(let text, let tokens):
                    let piece: ByteBuffer = reply.piece(index, text, tokens: tokens, echo: order.echoes[index])
                    try await writer.write(serverSentEvent(piece))
                case .end(let reason, let tokens):
                    completionTokens += tokens
                    let failure: APIError? = failure(reason, tokens)
                    try await writer.write(serverSentEvent(failure?.json ?? reply.ending(index, reason)))
                }
            }
            if order.includesUsage {
                let usage: Usage = Usage(promptTokens: order.promptTokens, completionTokens: completionTokens)
                try await writer.write(serverSentEvent(reply.usage(usage)))
            }
            try await writer.write(ByteBuffer(string: "data: [DONE]\n\n"))
            try await writer.finish(nil)
        }
        return Response(status: .ok, headers: [.contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache"], body: body)
    }

    private func whole(
        _ order: Order, _ generations: [Generation], _ reply: ReplyMaker, _ connection: ClientConnection
    ) async throws -> Response {
        connection.onClose { generations.forEach { $0.cancel() } }
        defer { connection.clear() }
        var answers: [ReplyMaker.Answer] = order.echoes.map { ReplyMaker.Answer(echo: $0) }
        var completionTokens: Int = 0
        try await events(of: generations) { index, event in
            switch event {
            case .text(let text, let tokens):
                answers[index].text += text
                answers[index].tokens += tokens
            case .end(let reason, let tokens):
                answers[index].reason = reason
                completionTokens += tokens
                if let failure = failure(reason, tokens) { throw failure }
            }
        }
        let usage: Usage = Usage(promptTokens: order.promptTokens, completionTokens: completionTokens)
        let document: ByteBuffer = reply.whole(answers, usage: usage)
        return Response(status: .ok, headers: [.contentType: "application/json"], body: ResponseBody(byteBuffer: document))
    }

    /// The error that stands for an end without any text. With some text, the reason says that it is not complete.
    private func failure(_ reason: FinishReason, _ tokens: Int) -> APIError? {
        if tokens > 0 { return nil }
        switch reason {
        case .timeout: return .timeout
        case .shutdown: return .stopping
        case .stop, .length, .cancelled: return nil
        }
    }

    /// The events of all generations, as they come.
    private func events(of generations: [Generation], _ body: (Int, GenerationEvent) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: (Int, GenerationEvent?).self) { group in
            for (index, generation) in generations.enumerated() { group.addTask { (index, await generation.next()) } }
            while let (index, event) = try await group.next() {
                guard let event else { continue }
                try await body(index, event)
                let generation: Generation = generations[index]
                group.addTask { (index, await generation.next()) }
            }
        }
    }
}
