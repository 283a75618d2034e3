import Foundation
import Torch

/// The singular values of one layer's matrix.
public struct LayerSpectrum: Sendable, Equatable {
    /// Dotted path of the layer in its model.
    public let path: String
    /// Rows m of the matrix.
    public let outputDimensions: Int
    /// Columns n of the matrix.
    public let inputDimensions: Int
    /// Descending, `min(m, n)` of them.
    public let values: [Double]

    public init(path: String, outputDimensions: Int, inputDimensions: Int, values: [Double]) {
        self.path = path
        self.outputDimensions = outputDimensions
        self.inputDimensions = inputDimensions
        self.values = values
    }

    /// The values as one threshold for all layers compares them.
    public func normalized(_ normalization: SpectrumNormalization) -> [Double] {
        let (largest, smallest): (Double, Double) = (values.first ?? 0, values.last ?? 0)
        guard largest > 0 else { return values.map { _ in 0 } }
        switch normalization {
        case .minMax:
            // A flat spectrum has no tail: nothing of it is small.
            return largest > smallest ? values.map { ($0 - smallest) / (largest - smallest) } : values.map { _ in 1 }
        case .max: return values.map { $0 / largest }
        case .frobenius:
            let norm: Double = values.reduce(0) { $0 + $1 * $1 }.squareRoot()
            return values.map { $0 / norm }
        }
    }
}

/// What makes the singular values of matrices of different norms comparable.
public enum SpectrumNormalization: String, Codable, Sendable, CaseIterable {
    /// `(s - s_min) / (s_max - s_min)`, as WeLore's code has it. Even a well conditioned matrix loses rank by it, which tells where matrices
    /// are small.
    case minMax
    /// `s / s_max`, as WeLore's paper has it.
    case max
    /// `s / ‖W‖_F`: an addition of Linnet's.
    case frobenius
}

/// Which rank each layer gets.
public struct RankPlan: Codable, Sendable, Equatable {
    public struct Layer: Codable, Sendable, Equatable {
        public let path: String
        public let outputDimensions: Int
        public let inputDimensions: Int
        /// Singular values that are kept.
        public let rank: Int
        /// Whether the layer is replaced by factors (an LRC); otherwise it stays as it is.
        public let isLowRank: Bool

        public var fullRank: Int { min(outputDimensions, inputDimensions) }
        /// Share of the singular values below the threshold, whether the layer is replaced or not.
        public var prunedShare: Double { fullRank == 0 ? 0 : Double(fullRank - rank) / Double(fullRank) }
        /// Elements of the matrix.
        public var denseCount: Int { outputDimensions * inputDimensions }
        /// Elements that are kept of it.
        public var keptCount: Int { isLowRank ? rank * (outputDimensions + inputDimensions) : denseCount }
    }

    public let layers: [Layer]
    /// Normalised singular values below it are dropped; nil where ranks were not chosen by a threshold.
    public let threshold: Double?

    /// - Parameters:
    ///   - spectra: of the layers.
    ///   - ranks: one for each.
    ///   - minRatio: layers that lose a larger share of their rank than this are replaced.
    ///   - threshold: that the ranks come from.
    init(_ spectra: [LayerSpectrum], ranks: [Int], minRatio: Double, threshold: Double?) {
        layers = zip(spectra, ranks).map { spectrum, rank in
            let full: Int = spectrum.values.count
            return Layer(
                path: spectrum.path, outputDimensions: spectrum.outputDimensions, inputDimensions: spectrum.inputDimensions, rank: rank,
                isLowRank: Double(full - rank) > minRatio * Double(full))
        }
        self.threshold = threshold
    }

    private var fullRank: Int { layers.reduce(0) { $0 + $1.fullRank } }

    /// Effective rank reduction: the share of all singular values that lie below the threshold.
    public var attemptedReduction: Double { reduction { _ in true } }

    /// The share of all singular values that is really dropped, which is those of the replaced layers.
    public var achievedReduction: Double { reduction(where: \.isLowRank) }

    private func reduction(where counted: (Layer) -> Bool) -> Double {
        let dropped: Int = layers.filter(counted).reduce(0) { $0 + $1.fullRank - $1.rank }
        return Double(dropped) / Double(max(fullRank, 1))
    }

    /// Elements kept over elements of the dense matrices; above 1 where layers are replaced that lose less than they would have to.
    public var parameterRatio: Double {
        Double(layers.reduce(0) { $0 + $1.keptCount }) / Double(max(layers.reduce(0) { $0 + $1.denseCount }, 1))
    }
}

extension RankPlan {
    /// The three numbers that say how much a plan saves, in words.
    public var summary: String {
        String(
            format: "%.1f %% of the singular values below the threshold, %.1f %% dropped; matrices keep %.1f %% of their elements",
            100 * attemptedReduction, 100 * achievedReduction, 100 * parameterRatio)
    }
}

/// The same share of the rank cut from every layer: plain truncation, which WeLore is compared with.
public struct UniformRankPlan: Codable, Sendable, Equatable {
    /// Share of each layer's rank that is dropped, `0 ... 1`.
    public let reduction: Double
    /// Layers that lose a larger share than this are replaced.
    public let minRatio: Double

    /// - Throws: `ConfigurationError` for a share outside `0 ... 1`.
    public init(reduction: Double, minRatio: Double = 0) throws {
        self.reduction = reduction
        self.minRatio = minRatio
        try checkShare(reduction, "reduction")
        try checkShare(minRatio, "minRatio")
    }

    /// Ranks `(1 - reduction) q`, rounded.
    public func plan(_ spectra: [LayerSpectrum]) -> RankPlan {
        let ranks: [Int] = spectra.map { Int(((1 - reduction) * Double($0.values.count)).rounded()) }
        return RankPlan(spectra, ranks: ranks, minRatio: minRatio, threshold: nil)
    }
}
