import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Serving

@Suite(.ownRandomNumbers, .timeLimit(.minutes(1))) struct EngineTests {
    private static let variants: [(MixerConfiguration, HybridPattern?)] = [
        (MixerConfiguration(.gla, heads: 2), nil), (MixerConfiguration(.deltanet, heads: 2), nil),
        (MixerConfiguration(.lssl, heads: 2, order: 8), nil), (MixerConfiguration(.linear, heads: 2), nil),
        (MixerConfiguration(.softmax, heads: 2), nil), (MixerConfiguration(.deltanet, heads: 2), .slidingWindow(every: 2, window: 6)),
    ]

    /// Texts of all lengths and settings, begun at different moments and read in slices, are those that the model writes one at a time.
    @Test(arguments: variants.indices) func textsTogetherAreTextsAlone(variant: Int) async throws {
        let (mixer, hybrid): (MixerConfiguration, HybridPattern?) = Self.variants[variant]
        let prompts: [String] = ["a", "the end", String(repeating: "once upon a time ", count: 6), "abc", "the fox", "zz"]
        let requests: [GenerationRequest] = try prompts.enumerated().map { index, prompt in
            try TinyModel.request(
                prompt, limit: 10 + 3 * index, temperature: index % 2 == 0 ? 0 : 0.9, seed: UInt64(index), penalty: index == 3 ? 1.3 : 1)
        }
        let model: LanguageModel = try TinyModel.make(mixer, hybrid: hybrid)
        let expected: [String] = requests.map { TinyModel.alone($0, model) }
        let bounds: EngineConfiguration = try EngineConfiguration(maximumConcurrent: 4, maximumQueue: 8, prefillSlice: 16)
        let engine: GenerationEngine = GenerationEngine(model, tokenizer: TinyModel.tokenizer, configuration: bounds)
        let generations: [Generation] = try engine.generate(requests)
        for (index, generation) in generations.enumerated() {
            let outcome: Outcome = await generation.outcome()
            #expect(outcome == Outcome(text: expected[index], reason: .length, tokens: requests[index].limit))
        }
    }

    @Test func recurrentTextsOfAllLengthsAreOneBatch() async throws {
        let engine: GenerationEngine = try TinyModel.engine()
        let requests: [GenerationRequest] = try (1...6).map { try TinyModel.request(String(repeating: "a", count: $0), limit: 40) }
        for generation in try engine.generate(requests) { _ = await generation.outcome() }
        // 240 tokens, 6 of them by the prompts; alone they would take 234 steps.
        let steps: Int = try #require(sample("linnet_batch_rows_count", of: engine))
        #expect(try #require(sample("linnet_batch_rows_sum", of: engine)) == 234)
        #expect(steps < 60, "\(steps) steps")
        #expect(sample("linnet_completion_tokens_total", of: engine) == 240)
    }

    private func sample(_ name: String, of engine: GenerationEngine) -> Int? {
        let lines: [Substring] = engine.metrics.page(load: engine.load).split(separator: "\n")
        return lines.first { $0.hasPrefix(name + " ") }.flatMap { Double($0.dropFirst(name.count + 1)) }.map { Int($0) }
    }

    @Test func aLetGoTextFreesItsPlace() async throws {
        let engine: GenerationEngine = try TinyModel.engine(concurrent: 1, queue: 1)
        var endless: Generation? = try engine.generate([TinyModel.request("a", limit: 1_000_000)])[0]
        let first: GenerationEvent? = await endless?.next()
        #expect(first != nil)
        let waiting: Generation = try engine.generate([TinyModel.request("b", limit: 5)])[0]
        #expect(engine.load.waiting == 1)
        endless = nil
        #expect(await waiting.outcome().tokens == 5)
    }

    @Test func aCancelledTextEndsItsReader() async throws {
        let engine: GenerationEngine = try TinyModel.engine(concurrent: 1)
        let endless: Generation = try engine.generate([TinyModel.request("a", limit: 1_000_000)])[0]
        async let outcome: Outcome = endless.outcome()
        try await Task.sleep(for: .milliseconds(50))
        endless.cancel()
        #expect(await outcome.reason == nil)
        #expect(await endless.next() == nil)
        while engine.load.running > 0 { try await Task.sleep(for: .milliseconds(5)) }
    }

    @Test func theQueueHasABound() async throws {
        let engine: GenerationEngine = try TinyModel.engine(concurrent: 1, queue: 1)
        let endless: Generation = try engine.generate([TinyModel.request("a", limit: 1_000_000)])[0]
        _ = await endless.next()
        let waiting: Generation = try engine.generate([TinyModel.request("b", limit: 5)])[0]
        #expect(throws: GenerationRefusal.queueFull(limit: 1)) { try engine.generate([TinyModel.request("c", limit: 5)]) }
        endless.cancel()
        #expect(await waiting.outcome().reason == .length)
        // All of a request or nothing.
        #expect(throws: GenerationRefusal.self) { try engine.generate((0..<3).map { _ in try TinyModel.request("c", limit: 5) }) }
        #expect(engine.load.waiting == 0)
    }

    @Test func timeEndsRunningAndWaitingTexts() async throws {
        let engine: GenerationEngine = try TinyModel.engine(concurrent: 1, queue: 1, timeout: 0.3)
        let generations: [Generation] = try engine.generate([
            TinyModel.request("a", limit: 1_000_000), TinyModel.request("b", limit: 1_000_000),
        ])
        async let running: Outcome = generations[0].outcome()
        async let waiting: Outcome = generations[1].outcome()
        #expect(await running.reason == .timeout)
        #expect(await running.tokens > 0)
        #expect(await waiting == Outcome(reason: .timeout))
    }

    /// A reader that stops holds up its own text only, and misses nothing.
    @Test func aSlowReaderPausesItsOwnText() async throws {
        let (slowRequest, quickRequest): (GenerationRequest, GenerationRequest) = try (
            TinyModel.request("slow", limit: 60), TinyModel.request("quick", limit: 200)
        )
        let model: LanguageModel = try TinyModel.make()
        let expected: [String] = [slowRequest, quickRequest].map { TinyModel.alone($0, model) }
        let bounds: EngineConfiguration = try EngineConfiguration(bufferedPieces: 3)
        let engine: GenerationEngine = GenerationEngine(model, tokenizer: TinyModel.tokenizer, configuration: bounds)
        let generations: [Generation] = try engine.generate([slowRequest, quickRequest])
        #expect(await generations[1].outcome().text == expected[1])
        while engine.load.running != 1 { try await Task.sleep(for: .milliseconds(5)) }
        guard case .text(let beginning, _)? = await generations[0].next() else {
            Issue.record("the slow text has not begun")
            return
        }
        // No more than the bound was drawn for nobody.
        #expect(beginning.count == 3)
        let rest: Outcome = await generations[0].outcome()
        #expect(beginning + rest.text == expected[0])
        #expect(rest.reason == .length && rest.tokens == 60)
    }

    @Test func stopStringsEndTheTextWhereverTokensEnd() async throws {
        let plain: GenerationRequest = try TinyModel.request("the end", limit: 40, temperature: 1, seed: 5)
        let model: LanguageModel = try TinyModel.make()
        let whole: String = TinyModel.alone(plain, model)
        let stop: String = String(whole.dropFirst(20).prefix(3))
        let before: String = String(whole[..<(try #require(whole.range(of: stop)).lowerBound)])
        var stopped: GenerationRequest = plain
        stopped.stop = ["not in it", stop]
        let engine: GenerationEngine = GenerationEngine(
            model, tokenizer: TinyModel.tokenizer, configuration: try EngineConfiguration())
        #expect(try await engine.generate([stopped])[0].outcome() == Outcome(text: before, reason: .stop, tokens: before.count + 3))
        // A stop token is neither given out nor counted.
        stopped.stop = []
        stopped.stopTokens = [TinyModel.tokenizer.encode(String(whole.dropFirst(6).prefix(1)))[0]]
        let byToken: Outcome = try await engine.generate([stopped])[0].outcome()
        #expect(byToken.reason == .stop && byToken.text.count == byToken.tokens && whole.hasPrefix(byToken.text) && byToken.tokens <= 6)
    }

    /// The tokens of a text with what the model thinks of them, and nothing of a stop string that was left out.
    @Test func drawnTokensHaveTheirLogProbabilities() async throws {
        let model: LanguageModel = try TinyModel.make()
        var request: GenerationRequest = try TinyModel.request("the end", limit: 12, temperature: 1.3, seed: 5, penalty: 1.2)
        request.candidates = 3
        let added: [Int] = model.generate(prompt: request.prompt, limit: 12, sampling: request.sampling)
        let all: [Int] = request.prompt + added
        // Arrays, since the model and what hangs on it go to the engine's thread.
        let expected: [[Float]] = noGrad { model(Tensor(all, [1, all.count])) }[0].logSoftmax().unbound(axis: 0).map { $0.array() }
        let engine: GenerationEngine = GenerationEngine(model, tokenizer: TinyModel.tokenizer, configuration: try EngineConfiguration())
        let tokens: [DrawnToken] = try await tokens(of: engine.generate([request])[0])
        #expect(tokens.map(\.drawn.id) == added && tokens.map(\.offset) == Array(0..<12))
        for (index, token) in tokens.enumerated() {
            let row: [Float] = expected[request.prompt.count - 1 + index]
            #expect(abs(token.drawn.logProbability - Double(row[token.drawn.id])) < 1e-4)
            let best: [Int] = row.indices.sorted { row[$0] > row[$1] }
            #expect(token.likeliest.map(\.id) == Array(best.prefix(3)))
        }
        request.stop = [TinyModel.tokenizer.decode(Array(added[5..<7]))]
        let stopped: [DrawnToken] = try await self.tokens(of: engine.generate([request])[0])
        let text: String = TinyModel.tokenizer.decode(added)
        let cut: String = String(text[..<(try #require(text.range(of: request.stop[0])).lowerBound)])
        #expect(TinyModel.tokenizer.decode(stopped.map(\.drawn.id)) == cut)
    }

    private func tokens(of generation: Generation) async -> [DrawnToken] {
        var all: [DrawnToken] = []
        for await event in generation { if case .text(_, let tokens) = event { all += tokens } }
        return all
    }

    @Test func shuttingDownGivesSomeTime() async throws {
        let engine: GenerationEngine = try TinyModel.engine(concurrent: 2, queue: 2)
        let generations: [Generation] = try engine.generate([
            TinyModel.request("a", limit: 1_000_000), TinyModel.request("b", limit: 20), TinyModel.request("c", limit: 20),
        ])
        async let endless: Outcome = generations[0].outcome()
        async let first: Outcome = generations[1].outcome()
        async let second: Outcome = generations[2].outcome()
        await engine.shutDown(grace: .milliseconds(500))
        #expect(await endless.reason == .shutdown)
        #expect(await first.reason == .length)
        #expect(await second.reason == .length)
        #expect(engine.isStopping)
        #expect(throws: GenerationRefusal.stopping) { try engine.generate([TinyModel.request("d", limit: 1)]) }
    }

    @Test func whatMakesNoSenseIsRefused() async throws {
        let engine: GenerationEngine = try TinyModel.engine(concurrent: 1, queue: 1)
        var request: GenerationRequest = try TinyModel.request("a", limit: 1)
        func complaint() throws -> String {
            try #require(#expect(throws: GenerationRefusal.self) { try engine.generate([request]) }).description
        }
        request.prompt = []
        #expect(try complaint().contains("the prompt is empty"))
        request.prompt = [1, 9999]
        #expect(try complaint().contains("token 9999"))
        request.prompt = Array(repeating: 1, count: 40_000)
        #expect(try complaint().contains("40000 tokens"))
        request.prompt = [1]
        request.limit = 0
        #expect(try complaint().contains("max_tokens is 0"))
        #expect(throws: ConfigurationError.self) { try EngineConfiguration(maximumConcurrent: 0) }
        #expect(throws: ConfigurationError.self) { try EngineConfiguration(requestTimeout: 0) }
    }
}
