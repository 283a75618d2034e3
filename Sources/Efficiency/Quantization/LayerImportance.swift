import Foundation
import SequenceModels
import NN
import Torch
import Training

/// How much each block of a model matters, by a measure of arXiv 2406.17415.
public struct LayerImportance: Codable, Sendable, Equatable {
    /// What the scores are.
    public enum Measure: String, Codable, Sendable, CaseIterable {
        /// Layer input modification: minus the mean over tokens of the cosine between a block's input and output, the residual included. The higher, the
        /// more important.
        case lim
        /// The share of a block's weights that are more than one standard deviation above their mean. The smaller, the more important.
        case zd
    }

    public let measure: Measure
    /// One number for each block, first to last.
    public let scores: [Double]

    public init(_ measure: Measure, scores: [Double]) {
        self.measure = measure
        self.scores = scores
    }

    /// Blocks from the least to the most important; those with equal scores from the first to the last.
    public var ordering: [Int] {
        scores.indices.sorted { left, right in
            let (a, b): (Double, Double) = (scores[left], scores[right])
            return a == b ? left < right : measure == .lim ? a < b : a > b
        }
    }

    // MARK: Layer input modification

    /// LIM_i = −mean over tokens of cos(x, y), for x and y the stream before and after block i.
    /// - Parameters:
    ///   - stack: the model, which is run.
    ///   - calibration: tokens `[B, T]` (int64), not of the text that quality is measured on.
    public static func lim(_ stack: BlockStack, calibration: [Tensor]) -> LayerImportance {
        precondition(!calibration.isEmpty, "LayerImportance.lim: no text to calibrate on")
        var sums: [Double] = Array(repeating: 0, count: stack.paths.count)
        for tokens in calibration {
            let streams: [Tensor] = stack.streams(tokens)
            for index in sums.indices { sums[index] += modification(streams[index], streams[index + 1]) * Double(tokens.count) }
        }
        let tokens: Int = calibration.reduce(0) { $0 + $1.count }
        return LayerImportance(.lim, scores: sums.map { $0 / Double(tokens) })
    }

    /// LIM of a language model's blocks.
    public static func lim(_ model: any LayeredLanguageModel, calibration: [Tensor]) -> LayerImportance {
        lim(BlockStack(model), calibration: calibration)
    }

    /// −mean over tokens of the cosine of two streams `[..., D]`: of each token, not of the streams as a whole.
    public static func modification(_ x: Tensor, _ y: Tensor) -> Double {
        noGrad { -cosineSimilarity(x.asType(x.dtype.accumulator), y.asType(y.dtype.accumulator)).mean().item(Double.self) }
    }

    // MARK: The distribution of weights

    /// ZD_i = share of all weights of block i's matrices, pooled, with z = (w − μ) / σ above 1.
    /// - Parameters:
    ///   - stack: the model, which is not run.
    ///   - twoSided: counts |z| > 1; the paper's measure has one side.
    public static func zd(_ stack: BlockStack, twoSided: Bool = false) -> LayerImportance {
        let scores: [Double] = stack.blocks.map { block in
            let matrices: [Tensor] = block.namedModules().compactMap { ($0.module as? any LinearMap)?.denseWeight().detached().flattened() }
            return outlierShare(concatenated(matrices), twoSided: twoSided)
        }
        return LayerImportance(.zd, scores: scores)
    }

    /// ZD of a language model's blocks.
    public static func zd(_ model: any LayeredLanguageModel, twoSided: Bool = false) -> LayerImportance {
        zd(BlockStack(model), twoSided: twoSided)
    }

    /// The share of numbers that lie more than one standard deviation above their mean, or on either side of it.
    public static func outlierShare(_ weights: Tensor, twoSided: Bool = false) -> Double {
        noGrad {
            let values: Tensor = weights.asType(weights.dtype.accumulator)
            let distance: Tensor = values - values.mean()
            let sigma: Tensor = distance.square().mean().sqrt()
            return ((twoSided ? distance.abs() : distance) .> sigma).asType(.float64).mean().item(Double.self)
        }
    }
}

extension LayerImportance {
    /// Spearman's rank correlation of the importance with what each block costs by itself, as measured otherwise: 1 where the measure orders the blocks as
    /// their costs do. Equal values share the mean of their ranks; NaN where all are equal.
    public func rankCorrelation(withCosts costs: [Double]) -> Double {
        precondition(costs.count == scores.count, "LayerImportance: \(costs.count) costs of \(scores.count) blocks")
        return spearmanCorrelation(measure == .lim ? scores : scores.map { -$0 }, costs)
    }
}
