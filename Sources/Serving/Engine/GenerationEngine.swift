import Foundation
import SequenceModels
import Synchronization
import Torch
import Training

/// Continues many texts at a time with one model, which a thread of its own owns.
///
/// Requests wait in a queue with a bound. Every round of the thread takes requests from it, reads a slice of their prompts, steps *all*
/// running texts as one batch (of a model that looks at positions: those of one length), and draws a token for each by its own settings
/// and seed. A text gets the tokens that it would get alone. See ``EngineConfiguration`` for the bounds.
public final class GenerationEngine: Sendable {
    public let configuration: EngineConfiguration
    public let tokenizer: any Tokenizer
    public let metrics: ServingMetrics = ServingMetrics()
    private let vocabularySize: Int
    private let contextLimit: Int?
    private let endOfText: Set<Int>
    private let inbox: Inbox

    /// Starts the thread. The model is handed over: nobody else may use it or its tensors.
    /// - Parameters:
    ///   - model: continues the texts.
    ///   - tokenizer: the model's.
    ///   - endOfText: tokens that end a text, beside the tokenizer's own.
    ///   - configuration: the bounds.
    public init(
        _ model: sending any CausalLanguageModel, tokenizer: any Tokenizer, endOfText: Set<Int> = [], configuration: EngineConfiguration
    ) {
        self.configuration = configuration
        self.tokenizer = tokenizer
        self.endOfText = endOfText
        vocabularySize = model.vocabularySize
        contextLimit = model.contextLimit
        let inbox: Inbox = Inbox(configuration)
        self.inbox = inbox
        let metrics: ServingMetrics = metrics
        let box: HandoverBox = HandoverBox(model)
        let thread: Thread = Thread {
            guard let model = box.take() else { return }
            Scheduler(model: model, tokenizer: tokenizer, configuration: configuration, inbox: inbox, metrics: metrics).run()
        }
        thread.name = "linnet generation"
        thread.stackSize = 16 << 20
        thread.start()
    }

    deinit { inbox.abandon() }

    /// Queues requests, all or none.
    /// - Throws: ``GenerationRefusal`` when the queue is full, the engine stops, or a request makes no sense.
    public func generate(_ requests: [GenerationRequest]) throws(GenerationRefusal) -> [Generation] {
        let places: Int = configuration.maximumConcurrent + configuration.maximumQueue
        guard requests.count <= places else {
            throw .invalid("\(requests.count) texts were asked for at once; at most \(places) are possible")
        }
        for request in requests { try validate(request) }
        let arrival: ContinuousClock.Instant = .now
        let deadline: ContinuousClock.Instant = arrival + .seconds(configuration.requestTimeout)
        let inbox: Inbox = inbox
        let jobs: [Job] = requests.map { given in
            var request: GenerationRequest = given
            request.stopTokens.formUnion(endOfText)
            let channel: TextChannel = TextChannel(capacity: configuration.bufferedPieces) { inbox.wake() }
            return Job(request: request, channel: channel, arrival: arrival, deadline: deadline)
        }
        try inbox.submit(jobs)
        metrics.recordAccepted(requests)
        return jobs.map { Generation(promptTokens: $0.request.prompt.count, channel: $0.channel) }
    }

    private func validate(_ request: GenerationRequest) throws(GenerationRefusal) {
        if request.prompt.isEmpty { throw .invalid("the prompt is empty; generation needs at least one token") }
        if request.prompt.count > configuration.maximumPrompt {
            throw .invalid("the prompt has \(request.prompt.count) tokens; at most \(configuration.maximumPrompt) are read")
        }
        if let token = request.prompt.first(where: { !(0..<vocabularySize).contains($0) }) {
            throw .invalid("the prompt has the token \(token); the model knows 0 to \(vocabularySize - 1)")
        }
        if request.limit < 1 { throw .invalid("max_tokens is \(request.limit); it has to be at least 1") }
        if let contextLimit, request.prompt.count + request.limit > contextLimit {
            throw .invalid(
                "the model reads at most \(contextLimit) tokens; the prompt has \(request.prompt.count) and max_tokens adds \(request.limit)"
            )
        }
    }

    /// Texts that wait for a place, and texts that are being continued.
    public var load: (waiting: Int, running: Int) { inbox.load }

    /// Whether ``shutDown(grace:)`` has begun.
    public var isStopping: Bool { inbox.refusesMore }

    /// Takes no more requests, gives those that it has some time to end, ends the others with ``FinishReason/shutdown``, and lets go of the
    /// model.
    public func shutDown(grace: Duration) async {
        inbox.refuseMore()
        let limit: ContinuousClock.Instant = .now + grace
        while !inbox.hasEnded, .now < limit { try? await Task.sleep(for: .milliseconds(10)) }
        if !inbox.hasEnded { inbox.abandon() }
        while !inbox.hasEnded { try? await Task.sleep(for: .milliseconds(10)) }
    }
}

/// Carries a model to the thread that will own it.
private final class HandoverBox: Sendable {
    private let model: Mutex<(any CausalLanguageModel)?>

    init(_ model: sending any CausalLanguageModel) { self.model = Mutex(model) }

    func take() -> sending (any CausalLanguageModel)? {
        model.withLock { model in
            let taken: (any CausalLanguageModel)? = model
            model = nil
            return taken
        }
    }
}
