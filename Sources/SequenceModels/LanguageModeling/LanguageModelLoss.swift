import Foundation
import NN
import Torch
import Training

extension CausalLanguageModel {
    /// Mean cross-entropy of the wanted tokens, in nats; while training with the auxiliary losses of the model's layers.
    public func loss(_ batch: TokenBatch) -> Tensor { loss(batch) { self($0) } }

    /// As ``loss(_:)``, for a model that is called otherwise.
    /// - Parameters:
    ///   - batch: tokens and targets.
    ///   - logits: `[B, T, V]` of the tokens `[B, T]`.
    public func loss(_ batch: TokenBatch, logits: (Tensor) throws -> Tensor) rethrows -> Tensor {
        let (tokens, targets) = batch.tensors(device: device)
        let predicted: Tensor = try logits(tokens).flattened(from: 0, to: 1)
        return crossEntropy(predicted, targets.flattened(), ignoredIndex: Int(TokenBatch.ignored)).adding(takeAuxiliaryLoss())
    }

    /// Cross-entropy of a stream, as ``LanguageModelScore``, read in windows of `context` tokens without a gradient.
    public func score(_ windows: TextWindows, charactersPerToken: Double = 1) -> LanguageModelScore {
        let wasTraining: Bool = isTraining
        train(false)
        defer { train(wasTraining) }
        var total: Double = 0
        var count: Int = 0
        noGrad {
            for batch in windows.evaluationBatches() {
                total += loss(batch).item(Double.self) * Double(batch.tokens.count)
                count += batch.tokens.count
            }
        }
        return LanguageModelScore(loss: total / Double(max(count, 1)), tokens: count, charactersPerToken: charactersPerToken)
    }

    /// The share of asked places (those with a target) where the likeliest token is the right one.
    public func accuracy(_ batches: [TokenBatch]) -> Double { accuracy(batches) { self($0) } }

    /// As ``accuracy(_:)``, for a model that is called otherwise.
    public func accuracy(_ batches: [TokenBatch], logits: (Tensor) throws -> Tensor) rethrows -> Double {
        let wasTraining: Bool = isTraining
        train(false)
        defer { train(wasTraining) }
        var right: Int = 0
        var asked: Int = 0
        try noGrad {
            for batch in batches {
                let (tokens, targets) = batch.tensors(device: device)
                let hits: Tensor = (try logits(tokens).argMax(axis: -1) .== targets)
                right += hits.sum().item(Int.self)
                asked += batch.targets.count { $0 != TokenBatch.ignored }
            }
        }
        return Double(right) / Double(max(asked, 1))
    }
}

/// How well a model predicts a text.
public struct LanguageModelScore: Sendable {
    /// Nats per token.
    public let loss: Double
    /// Tokens that were predicted.
    public let tokens: Int
    /// Characters (Unicode scalars) that a token stands for on average.
    public let charactersPerToken: Double

    public var perplexity: Double { exp(loss) }

    public var bitsPerCharacter: Double { loss / log(2) / charactersPerToken }
}
