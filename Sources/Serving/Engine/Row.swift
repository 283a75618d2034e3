import SequenceModels
import Torch
import Training

/// One text that is being continued, on the engine's thread.
final class Row {
    /// What became of a row with a new token.
    enum Progress {
        /// It goes on.
        case running
        /// Its reader is behind; it goes on when there is room.
        case paused
        /// Its end has been sent.
        case ended
    }

    let job: Job
    /// The row's own state while it is in no batch.
    var state: LanguageModelState?
    /// Tokens of the prompt that the state has taken in.
    var read: Int = 0
    /// Drawn last; the next step takes it in.
    private(set) var token: Int = 0
    private(set) var drawn: Int = 0
    /// Why it ended, once it has.
    private(set) var reason: FinishReason?
    private(set) var firstToken: ContinuousClock.Instant?
    private let sampler: Sampler
    private let endTokens: Set<Int>
    private var history: [Int]
    private var decoder: StreamingDecoder
    private var stops: StopScanner
    private var ledger: TokenLedger

    init(_ job: Job, state: LanguageModelState, tokenizer: any Tokenizer) {
        self.job = job
        self.state = state
        sampler = Sampler(job.request.sampling)
        endTokens = job.request.stopTokens.union(tokenizer.endOfTextID.map { [$0] } ?? [])
        // Only the repetition penalty looks back.
        history = job.request.sampling.repetitionPenalty == 1 ? [] : job.request.prompt
        decoder = tokenizer.streamingDecoder()
        stops = StopScanner(job.request.stop)
        ledger = TokenLedger(count: job.request.candidates)
    }

    var promptIsRead: Bool { read == job.request.prompt.count }

    /// Draws the next token from logits `[V]` on the CPU, and sends what is new of the text.
    func draw(from logits: Tensor) -> Progress {
        let drawnToken: Int = sampler.sample(logits, history: history)
        if firstToken == nil { firstToken = .now }
        if endTokens.contains(drawnToken) { return end(.stop) }
        token = drawnToken
        drawn += 1
        if job.request.sampling.repetitionPenalty != 1 { history.append(drawnToken) }
        let piece: String = decoder.append(drawnToken)
        ledger.record(drawnToken, from: logits, text: piece)
        let (text, found): (String, Bool) = stops.append(piece)
        if found { return sendLast(text, .stop, isCut: true) }
        job.channel.send(text, tokens: ledger.release(with: text))
        if drawn == job.request.limit { return end(.length) }
        return job.channel.isFull ? .paused : .running
    }

    /// Sends what was held back of the text, and its end.
    @discardableResult
    func end(_ reason: FinishReason) -> Progress {
        let (text, found): (String, Bool) = stops.append(decoder.finish())
        return sendLast(found ? text : text + stops.finish(), found ? .stop : reason, isCut: found)
    }

    private func sendLast(_ text: String, _ reason: FinishReason, isCut: Bool) -> Progress {
        job.channel.send(text, tokens: ledger.releaseLast(with: text, isCut: isCut))
        self.reason = reason
        job.channel.finish(reason, tokens: drawn)
        return .ended
    }
}
