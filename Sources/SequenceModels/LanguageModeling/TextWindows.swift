import Training

/// Windows of a token stream at random places, each with its next tokens as targets.
public struct TextWindows: BatchSource {
    public let tokens: PackedTokens
    /// Tokens of a window.
    public let context: Int
    public let rows: Int
    public let seed: UInt64

    /// Traps when the stream has no window of `context + 1` tokens; ``TextCorpus/split(with:contextLength:trainingFraction:)`` throws for that.
    public init(_ tokens: PackedTokens, context: Int, rows: Int, seed: UInt64) {
        precondition(tokens.count > context && rows > 0, "\(tokens.count) tokens have no window of \(context + 1)")
        self.tokens = tokens
        self.context = context
        self.rows = rows
        self.seed = seed
    }

    public var itemsPerBatch: Int { rows * context }
    public var itemName: String { "tokens" }

    public func batch(_ step: Int) -> TokenBatch {
        var generator: SplitMix64 = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(step))
        let starts: [Int] = (0..<rows).map { _ in Int(generator.next(below: UInt64(tokens.count - context))) }
        return windows(at: starts)
    }

    /// The whole stream once, in windows side by side; the last, shorter piece is left out.
    public func evaluationBatches() -> [TokenBatch] {
        let starts: [Int] = Array(stride(from: 0, to: tokens.count - context, by: context))
        return stride(from: 0, to: starts.count, by: rows).map { windows(at: Array(starts[$0..<min($0 + rows, starts.count)])) }
    }

    private func windows(at starts: [Int]) -> TokenBatch {
        let inputs: [Int32] = starts.flatMap { start in (start..<start + context).map { Int32(tokens[$0]) } }
        let targets: [Int32] = starts.flatMap { start in (start + 1..<start + context + 1).map { Int32(tokens[$0]) } }
        return TokenBatch(tokens: inputs, targets: targets, rows: starts.count)
    }
}
