import Training

/// A generated task whose sequences are drawn afresh at every step.
public protocol RecallTask: Sendable {
    /// Tokens of one sequence.
    var length: Int { get }

    /// `rows` fresh sequences.
    func batch(rows: Int, using generator: inout some RandomNumberGenerator) -> TokenBatch
}

extension RecallTask {
    /// Fresh sequences at every step, as a pure function of seed and step.
    public func source(rows: Int, seed: UInt64) -> GeneratedBatches<TokenBatch> {
        GeneratedBatches(itemsPerBatch: rows * length, itemName: "tokens") { step in
            var generator: SplitMix64 = SplitMix64(seed: seed << 32 | UInt64(step))
            return batch(rows: rows, using: &generator)
        }
    }

    /// Sequences of a seed that no training step has, in batches of 64.
    public func heldOut(sequences: Int) -> [TokenBatch] {
        var generator: SplitMix64 = SplitMix64(seed: .max)
        return (0..<(sequences + 63) / 64).map { _ in batch(rows: 64, using: &generator) }
    }
}
