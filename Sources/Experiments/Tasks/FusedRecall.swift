import SequenceModels
import Torch
import Training

/// Associative recall in which a pair is one position: the embeddings of key and value are added, so that whoever routes tokens sees the key
/// both when it is written and when it is asked for. First the pairs, then every key once, beside a blank in place of the value.
///
/// A batch's token is a pair, `key · (alphabet + 1) + value`, with the value `alphabet` for the blank. Targets are tokens of the model's
/// vocabulary of keys, values and the blank, set where a key is asked for.
public struct FusedRecall: RecallTask {
    public static let alphabet: Int = AssociativeRecall.alphabet
    /// Keys, values and the blank.
    public static let vocabularySize: Int = 2 * alphabet + 1

    private static let values: Int = alphabet + 1

    /// Pairs in a sequence.
    public let pairs: Int

    /// Traps for more pairs than there are keys.
    public init(pairs: Int) {
        precondition(pairs > 0 && pairs <= Self.alphabet, "1 to \(Self.alphabet) pairs, not \(pairs)")
        self.pairs = pairs
    }

    public var length: Int { 2 * pairs }

    public func batch(rows: Int, using generator: inout some RandomNumberGenerator) -> TokenBatch {
        var tokens: [Int32] = []
        var targets: [Int32] = []
        for _ in 0..<rows {
            let keys: [Int] = Array((0..<Self.alphabet).shuffled(using: &generator).prefix(pairs))
            let written: [Int: Int] = Dictionary(
                uniqueKeysWithValues: keys.map { ($0, Int.random(in: 0..<Self.alphabet, using: &generator)) })
            tokens += keys.map { Self.pair($0, written[$0]) }
            targets += keys.map { _ in TokenBatch.ignored }
            let asked: [Int] = keys.shuffled(using: &generator)
            tokens += asked.map { Self.pair($0, nil) }
            targets += asked.map { Int32(Self.alphabet + (written[$0] ?? 0)) }
        }
        return TokenBatch(tokens: tokens, targets: targets, rows: rows)
    }

    /// A key with its value, or with the blank.
    private static func pair(_ key: Int, _ value: Int?) -> Int32 { Int32(key * values + (value ?? alphabet)) }

    /// The model's logits `[B, T, V]` for pairs `[B, T]`.
    public static func logits(_ model: LanguageModel, pairs: Tensor) -> Tensor {
        let keys: Tensor = pairs.floorDivided(by: values)
        return model(embedded: model.embedding(keys) + model.embedding(pairs - keys * values + alphabet))
    }
}
