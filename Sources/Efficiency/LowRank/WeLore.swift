import NN
import SequenceModels
import Torch

/// Non-uniform rank selection from the tails of the singular values, in one shot and without data, and fine-tuning of what came out of low
/// rank (Jaiswal et al., *From Low Rank Gradient Subspace Stabilization to Low-Rank Weights*, 2024, arXiv 2407.11239).
///
///     let spectra = WeLore.singularSpectra(model)
///     let plan = try WeLore.plan(spectra, targetERR: 0.5)
///     WeLore.apply(plan, to: model)
///     WeLore.freezeForFinetuning(model)
///
/// A matrix is what the checkpoint has as one: GPT-2's `c_attn`, which makes queries, keys and values, gets one rank.
public enum WeLore {
    /// The singular values of every dense matrix of attention and feed-forward (in a model of another kind: of every linear layer).
    public static func singularSpectra(_ model: Module) -> [LayerSpectrum] {
        model.denseMatrices.map { path, layer in
            let values: [Double] = noGrad { decomposable(layer.denseWeight()).singularValues().asType(.float64).array() }
            return LayerSpectrum(
                path: path, outputDimensions: layer.outputDimensions, inputDimensions: layer.inputDimensions, values: values)
        }
    }

    /// ERR(k): the share of all singular values that lie, normalised, below a threshold.
    public static func effectiveRankReduction(
        _ spectra: [LayerSpectrum], threshold: Double, normalization: SpectrumNormalization = .minMax
    ) -> Double {
        let pooled: [Double] = spectra.flatMap { $0.normalized(normalization) }
        return Double(pooled.count { $0 < threshold }) / Double(Swift.max(pooled.count, 1))
    }

    /// One threshold for all layers, so that the wanted share of all singular values lies below it (to one of them, where no two are equal).
    ///
    /// The threshold is read from the sorted values of all layers; the paper's search over 0, 0.005, … 1 finds the same to its step.
    /// - Parameters:
    ///   - spectra: of the layers, from ``singularSpectra(_:)``.
    ///   - targetERR: the share, `0 ... 1`.
    ///   - minRatio: a layer is replaced by factors when it loses a larger share of its own rank than this; a square matrix that loses less than
    ///     half would grow.
    ///   - normalization: of the values before they are compared.
    /// - Throws: `ConfigurationError` for a share outside `0 ... 1`.
    public static func plan(
        _ spectra: [LayerSpectrum], targetERR: Double, minRatio: Double = 0.5, normalization: SpectrumNormalization = .minMax
    ) throws -> RankPlan {
        try checkShare(targetERR, "targetERR")
        try checkShare(minRatio, "minRatio")
        let normalized: [[Double]] = spectra.map { $0.normalized(normalization) }
        let threshold: Double = threshold(dropping: targetERR, of: normalized.flatMap(\.self))
        return RankPlan(
            spectra, ranks: normalized.map { values in values.count { $0 >= threshold } }, minRatio: minRatio, threshold: threshold)
    }

    /// The threshold below which the share of the values that lies is closest to the wanted one.
    private static func threshold(dropping share: Double, of values: [Double]) -> Double {
        let sorted: [Double] = values.sorted()
        let wanted: Int = Int((share * Double(sorted.count)).rounded())
        guard wanted < sorted.count else { return sorted.last.map(\.nextUp) ?? 0 }
        let candidate: Double = sorted[wanted]
        let below: Int = sorted.count { $0 < candidate }
        let through: Int = sorted.count { $0 <= candidate }
        return wanted - below <= through - wanted ? candidate : candidate.nextUp
    }

    /// What stands in a replaced layer's place.
    public enum Form: Sendable {
        /// ``LowRankLinear``.
        case factors
        /// A dense layer with the product of the factors: for measuring what the cut costs in quality alone.
        case merged
    }

    /// Replaces the layers that a plan calls low-rank; the others are not touched. Traps where the model has no such layers.
    /// - Returns: what became of each layer, and the model's bytes before and after.
    @discardableResult
    public static func apply(_ plan: RankPlan, to model: Module, as form: Form = .factors) -> CompressionReport {
        var report: CompressionReport = CompressionReport(memory: .init(before: Double(model.byteCount)), isDryRun: false)
        let layers: [String: any LinearMap] = Dictionary(uniqueKeysWithValues: model.denseMatrices)
        report.steps = [.init(name: "welore", summary: plan.summary, choices: choices(plan, layers))]
        for choice in plan.layers where choice.isLowRank {
            guard let layer = layers[choice.path] else { preconditionFailure("WeLore: the model has no dense matrix \(choice.path)") }
            let factors: LowRankLinear = LowRankLinear(layer, rank: choice.rank)
            switch form {
            case .factors: model.replaceModule(at: choice.path, with: factors)
            case .merged:
                let product: Tensor = noGrad { factors.denseWeight() }
                model.replaceModule(
                    at: choice.path, with: denseLayer(weight: product, bias: factors.bias, isTransposed: layer is TransposedLinear))
            }
        }
        model.train(model.isTraining)
        report.memory.after = Double(model.byteCount)
        return report
    }

    /// What a plan makes of these layers, by path.
    static func choices(_ plan: RankPlan, _ layers: [String: any LinearMap]) -> [LayerChoice] {
        plan.layers.compactMap { choice in
            guard let layer = layers[choice.path] else { return nil }
            let text: String = choice.isLowRank ? "rank \(choice.rank) of \(choice.fullRank)" : "dense"
            return LayerChoice(
                path: choice.path, choice: "\(text), \(Int((100 * choice.prunedShare).rounded())) % below the threshold",
                bytesBefore: layer.byteCount, bytesAfter: LowRankLinear.bytes(of: layer, keeping: choice.keptCount))
        }
    }

    /// Freezes embeddings and all linear maps but those of low rank. Factors, their biases and the gains of norms are trained.
    public static func freezeForFinetuning(_ model: Module) {
        model.unfreeze()
        for (_, module) in model.namedModules() where module is Embedding { module.freeze() }
        for (_, layer) in model.linearMaps where !(layer is LowRankLinear) { layer.freeze() }
    }
}

extension Module {
    /// The dense matrices that may be replaced: of a transformer those of attention and feed-forward, without embedding and head; of any other
    /// module all. Some mixers have small ones that may not, such as those of their gates.
    var denseMatrices: [(path: String, layer: any LinearMap)] {
        let maps: [(path: String, layer: any LinearMap)] = (self as? any LayeredLanguageModel)?.blockLinearMaps ?? linearMaps
        let prefix: String = self is BertModel ? "encoder.layer." : ""
        return maps.filter { path, layer in
            guard layer is Linear || layer is TransposedLinear, path.hasPrefix(prefix) else { return false }
            let other: LowRankLinear = LowRankLinear(layer.inputDimensions, layer.outputDimensions, rank: 0, bias: false)
            return canReplaceModule(at: path, with: other)
        }
    }
}

/// - Throws: `ConfigurationError` unless the value is a share.
func checkShare(_ value: Double, _ name: String) throws {
    if !(0...1).contains(value) { throw ConfigurationError("\(name) is \(value); it has to lie in 0 ... 1") }
}
