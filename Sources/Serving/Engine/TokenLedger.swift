import Torch

/// A token that was drawn, with how likely the model thought it and others in its place.
///
/// Probabilities are the model's own, before temperature, penalties, top-k and top-p.
public struct DrawnToken: Sendable, Equatable {
    /// A token that might have stood in this place.
    public struct Candidate: Sendable, Equatable {
        public let id: Int
        /// Natural logarithm; at least −9999, which stands for less than any number can say.
        public let logProbability: Double
    }

    public let drawn: Candidate
    /// The likeliest first, as many as were asked for.
    public let likeliest: [Candidate]
    /// Unicode scalars of the text before the token.
    public let offset: Int
}

/// The drawn tokens whose text has not been given out yet. Text may be held back because a stop string might begin in it or a character is not
/// complete.
struct TokenLedger {
    private struct Entry {
        let token: DrawnToken
        /// Bytes of the text before the token, and with it.
        let start: Int
        let end: Int
    }

    /// Candidates a token; nil keeps no tokens.
    private let count: Int?
    private var waiting: [Entry] = []
    /// Length of the text of all tokens, in bytes and in scalars, and the bytes of it that have been given out.
    private var (length, scalars, given): (Int, Int, Int) = (0, 0, 0)

    init(count: Int?) { self.count = count }

    /// Takes in a token that was drawn from logits `[V]` and has added `text`.
    mutating func record(_ id: Int, from logits: Tensor, text: String) {
        guard let count else { return }
        let logProbabilities: Tensor = logits.asType(.float32).logSoftmax()
        let drawn: DrawnToken.Candidate = Self.candidate(id, logProbabilities.selected(axis: 0, index: id).item(Float.self))
        let best: (values: Tensor, indices: Tensor) = logProbabilities.topK(min(count, logits.count))
        let values: [Float] = best.values.array()
        let ids: [Int] = best.indices.array()
        let token: DrawnToken = DrawnToken(drawn: drawn, likeliest: zip(ids, values).map(Self.candidate), offset: scalars)
        waiting.append(Entry(token: token, start: length, end: length + text.utf8.count))
        length += text.utf8.count
        scalars += text.unicodeScalars.count
    }

    private static func candidate(_ id: Int, _ value: Float) -> DrawnToken.Candidate {
        DrawnToken.Candidate(id: id, logProbability: value.isFinite ? Double(value) : -9999)
    }

    /// The tokens that go with a text that is given out: those that are complete with it.
    mutating func release(with text: String) -> [DrawnToken] {
        if text.isEmpty { return [] }
        given += text.utf8.count
        return take(waiting.prefix { $0.end <= given }.count)
    }

    /// The tokens that go with the last text: all that remain, or, where a stop string has cut the text off, those that have begun in it.
    mutating func releaseLast(with text: String, isCut: Bool) -> [DrawnToken] {
        given += text.utf8.count
        return take(waiting.prefix { !isCut || $0.start < given }.count)
    }

    private mutating func take(_ count: Int) -> [DrawnToken] {
        let ready: [DrawnToken] = waiting.prefix(count).map(\.token)
        waiting.removeFirst(count)
        return ready
    }
}
