import Training

/// Multi-query associative recall, generated: key–value pairs to remember, then every key asked for once.
///
/// Keys and values are tokens of two disjoint alphabets. The targets are set at the query keys only, where the value is wanted.
public struct AssociativeRecall: RecallTask {
    public static let alphabet: Int = 64
    public static let vocabularySize: Int = 2 * alphabet

    /// Different keys in a sequence.
    public let keys: Int
    /// How often each key is written, each time with a fresh value and in a new order; the latest value counts.
    public let writes: Int

    /// Traps for more keys than the alphabet has.
    public init(keys: Int, writes: Int = 1) {
        precondition(keys > 0 && keys <= Self.alphabet && writes > 0, "1 to \(Self.alphabet) keys, each written at least once")
        self.keys = keys
        self.writes = writes
    }

    /// Tokens of one sequence.
    public var length: Int { 2 * keys * (writes + 1) }

    /// `rows` fresh sequences.
    public func batch(rows: Int, using generator: inout some RandomNumberGenerator) -> TokenBatch {
        var tokens: [Int32] = []
        var targets: [Int32] = []
        for _ in 0..<rows { appendSequence(&tokens, &targets, using: &generator) }
        return TokenBatch(tokens: tokens, targets: targets, rows: rows)
    }

    private func appendSequence(_ tokens: inout [Int32], _ targets: inout [Int32], using generator: inout some RandomNumberGenerator) {
        let chosen: [Int] = Array((0..<Self.alphabet).shuffled(using: &generator).prefix(keys))
        var latest: [Int: Int32] = [:]
        for _ in 0..<writes {
            for key in chosen.shuffled(using: &generator) {
                let value: Int32 = Int32(Self.alphabet + Int.random(in: 0..<Self.alphabet, using: &generator))
                latest[key] = value
                tokens += [Int32(key), value]
                targets += [TokenBatch.ignored, TokenBatch.ignored]
            }
        }
        for key in chosen.shuffled(using: &generator) {
            let value: Int32 = latest[key] ?? TokenBatch.ignored
            tokens += [Int32(key), value]
            targets += [value, TokenBatch.ignored]
        }
    }
}
