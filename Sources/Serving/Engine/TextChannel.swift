import Synchronization

/// The way of one generation's text from the engine's thread to the task that waits for it: one sender, one receiver, and a bound on what
/// lies between them. The sender is never blocked; it asks ``isFull`` and leaves the text aside for as long.
final class TextChannel: Sendable {
    private struct State {
        var pieces: [String] = []
        /// The tokens of the pieces, where they are wanted.
        var tokens: [DrawnToken] = []
        var end: GenerationEvent?
        var waiter: CheckedContinuation<GenerationEvent?, Never>?
        var isClosed: Bool = false
        /// The sender wants to know when there is room again.
        var senderWaits: Bool = false
    }

    private let state: Mutex<State> = Mutex(State())
    private let capacity: Int
    private let wakeSender: @Sendable () -> Void

    /// - Parameters:
    ///   - capacity: pieces of text that may lie in the channel.
    ///   - wakeSender: called when a full channel has been emptied, or the receiver has gone.
    init(capacity: Int, wakeSender: @escaping @Sendable () -> Void) {
        self.capacity = capacity
        self.wakeSender = wakeSender
    }

    // MARK: The sender's side

    func send(_ text: String, tokens: [DrawnToken] = []) {
        if text.isEmpty && tokens.isEmpty { return }
        deliver { state in
            if state.waiter != nil { return .text(text, tokens: tokens) }
            state.pieces.append(text)
            state.tokens += tokens
            return nil
        }
    }

    /// Ends the text; only the first end counts.
    func finish(_ reason: FinishReason, tokens: Int) {
        deliver { state in
            if state.end != nil { return nil }
            state.end = .end(reason, tokens: tokens)
            return state.waiter == nil ? nil : state.end
        }
    }

    /// Hands an event to the waiting receiver, outside the lock.
    private func deliver(_ event: (inout State) -> GenerationEvent?) {
        let waiting: (CheckedContinuation<GenerationEvent?, Never>, GenerationEvent)? = state.withLock { state in
            guard !state.isClosed, let event = event(&state), let waiter = state.waiter else { return nil }
            state.waiter = nil
            if case .end = event { state.isClosed = true }
            return (waiter, event)
        }
        if let (waiter, event) = waiting { waiter.resume(returning: event) }
    }

    /// Whether the receiver is too slow to take more. The sender is woken when that changes.
    var isFull: Bool {
        state.withLock { state in
            state.senderWaits = !state.isClosed && state.pieces.count >= capacity
            return state.senderWaits
        }
    }

    /// Whether nobody reads on: the receiver has gone, or has had the end.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    // MARK: The receiver's side

    /// All text that has come since the last call as one piece, waiting for some; then the end, then nil. Nil at once after ``cancel()``.
    func next() async -> GenerationEvent? {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let (ready, wakes): (GenerationEvent?, Bool) = state.withLock { state in take(&state, or: continuation) }
                if wakes { wakeSender() }
                if let ready { continuation.resume(returning: ready.isNothing ? nil : ready) }
            }
        } onCancel: {
            cancel()
        }
    }

    /// What is there now, and whether the sender waits for it to be taken. Without anything the continuation is kept for later.
    private func take(
        _ state: inout State, or continuation: CheckedContinuation<GenerationEvent?, Never>
    ) -> (GenerationEvent?, wakes: Bool) {
        if state.isClosed { return (.text(""), false) }
        if !state.pieces.isEmpty {
            defer {
                state.pieces = []
                state.tokens = []
                state.senderWaits = false
            }
            return (.text(state.pieces.joined(), tokens: state.tokens), state.senderWaits)
        }
        if let end = state.end {
            state.isClosed = true
            return (end, false)
        }
        state.waiter = continuation
        return (nil, false)
    }

    /// The receiver goes: what lies in the channel is dropped, and the sender stops working for it.
    func cancel() {
        let (waiter, isNew): (CheckedContinuation<GenerationEvent?, Never>?, Bool) = state.withLock { state in
            defer {
                state.waiter = nil
                state.pieces = []
                state.tokens = []
                state.isClosed = true
            }
            return (state.waiter, !state.isClosed)
        }
        waiter?.resume(returning: nil)
        if isNew { wakeSender() }
    }
}

extension GenerationEvent {
    /// The channel's mark for "closed"; no event that is given out has neither text nor tokens.
    fileprivate var isNothing: Bool { self == .text("") }
}
