/// A running generation, as a sequence of its events. Letting go of it cancels it and frees its place in the engine.
///
/// It is read by one task. The text that lies ready is bounded: a reader that stops makes the engine leave this text aside, and no other.
public final class Generation: AsyncSequence, Sendable {
    public typealias Element = GenerationEvent

    /// Tokens of the prompt.
    public let promptTokens: Int
    private let channel: TextChannel

    init(promptTokens: Int, channel: TextChannel) {
        self.promptTokens = promptTokens
        self.channel = channel
    }

    deinit { channel.cancel() }

    /// The next piece of text or the end; nil after the end, and after ``cancel()``.
    public func next() async -> GenerationEvent? { await channel.next() }

    /// Stops the generation: the engine drops it before its next step.
    public func cancel() { channel.cancel() }

    public func makeAsyncIterator() -> Iterator { Iterator(generation: self) }

    /// Keeps its generation alive.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let generation: Generation

        public func next() async -> GenerationEvent? { await generation.next() }
    }
}
