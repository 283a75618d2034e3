import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// Non-uniform rank reduction without data, and fine-tuning of what came out low-rank (arXiv 2407.11239), with GaLore (arXiv 2403.03507) beside AdamW.
public struct WeLoreExperiment: Experiment {
    public static let slug: String = "welore"
    public static let summary: String =
        "A character model trained with strong decay, its ranks cut uniformly and by one threshold on normalised singular values; then tuned in its low-rank layers, in others, or whole; GaLore from the same start."

    private static let base: String = "base model"
    private static let uniform: String = "uniform"
    private static let frobenius: String = "threshold on s/‖W‖"
    private static let minMax: String = "WeLore (min-max)"
    private static let maximum: String = "WeLore (max)"
    private static let galore: String = "GaLore"

    private static let loss: String = "validation loss (nats per character)"
    private static let spread: String = "deviation of the pruned share over matrices"
    private static let queryKeyExcess: String = "pruned share of q, k minus v, o (blocks 2 on)"
    private static let attempted: String = "attempted ERR"
    private static let achieved: String = "achieved ERR"
    private static let ratio: String = "parameters of the matrices (ratio)"
    private static let targetError: String = "distance to the wanted ERR in singular values"
    private static let macs: String = "multiply-accumulates of a token's linear maps"
    private static let milliseconds: String = "milliseconds for a batch"
    private static let forms: String = "factors against product (relative)"
    private static let recovered: String = "recovered (nats)"
    private static let trained: String = "trained parameters"
    private static let changed: String = "matrices of the other layers that changed"
    private static let moments: String = "bytes of the matrices' moments"
    private static let overlap: String = "Spearman of gradient overlap and pruned share"
    private static let stableRank: String = "Spearman of stable rank and pruned share"
    private static let similarity: String = "Spearman of gradient similarity and pruned share"

    /// Its name with a share of the rank.
    private static func increase(_ reduction: Double) -> String { "loss increase at ERR \(Int((100 * reduction).rounded())) %" }

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("plans hit the wanted reduction to one singular value") {
                $0[minMax, targetError] <= 1 && $0[frobenius, targetError] <= 1
            },
            Gate("factors and their product give the same logits to 1e-3") { $0[minMax, forms] <= 1e-3 },
            Gate("tuning the low-rank layers leaves every other matrix bit for bit") {
                $0[WeLoreTrial.Tuned.factors.rawValue, changed] == 0
            },
            Gate("GaLore keeps at most half of AdamW's moments for the matrices it projects") {
                $0[galore, moments] <= 0.5 * $0[base, moments]
            },
        ],
        claims: [
            Claim("ranks emerge non-uniformly: deviation of the pruned share at ERR 50 %", atLeast: 0.08) { $0[base, spread] },
            Claim("queries and keys lose more rank than values and outputs (blocks 2 on)", atLeast: 0.1) { $0[base, queryKeyExcess] },
            Claim("a threshold on s/‖W‖ costs at most 0.95 of uniform ranks (0.95 minus the mean ratio at 80 and 90 %)", atLeast: 0) {
                seed in
                0.95 - [0.8, 0.9].map { seed[frobenius, increase($0)] / seed[uniform, increase($0)] }.reduce(0, +) / 2
            },
            Claim("tuning low-rank layers alone recovers this share of what tuning everything does", atLeast: 0.6) { seed in
                seed[WeLoreTrial.Tuned.factors.rawValue, recovered] / seed[WeLoreTrial.Tuned.everything.rawValue, recovered]
            },
            Claim("with less than 60 % of the trained parameters (0.6 minus the share)", atLeast: 0) { seed in
                0.6 - seed[WeLoreTrial.Tuned.factors.rawValue, trained] / seed[WeLoreTrial.Tuned.everything.rawValue, trained]
            },
            Claim("and at least what as many weights of the other layers recover (difference, nats)", atLeast: 0) { seed in
                seed[WeLoreTrial.Tuned.factors.rawValue, recovered] - seed[WeLoreTrial.Tuned.dense.rawValue, recovered]
            },
            Claim("GaLore ends within 0.15 nats of AdamW (0.15 minus the difference)", atLeast: 0) {
                0.15 - ($0[galore, loss] - $0[base, loss])
            },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: WeLoreSetting = WeLoreSetting(scale)
        let corpus: CharacterCorpus = try CharacterCorpus(context: setting.base.context, limit: setting.validationLimit)
        for seed in context.seeds {
            let trial: WeLoreTrial = try WeLoreTrial(setting, corpus, seed, context)
            measurements.record(Self.base, Self.loss, seed: seed, trial.baseLoss)
            try emergence(trial, &measurements)
            try reductions(trial, &measurements)
            try tuning(trial, &measurements)
            try galore(trial, &measurements)
        }
        return measurements
    }

    // MARK: Parts

    private func emergence(_ trial: WeLoreTrial, _ measurements: inout Measurements) throws {
        let plan: RankPlan = try WeLore.plan(trial.spectra, targetERR: 0.5)
        let shares: [Double] = plan.layers.map(\.prunedShare)
        measurements.record(Self.base, Self.spread, seed: trial.seed, Summary(shares).standardDeviation)
        func mean(_ names: [String]) -> Double {
            let chosen: [Double] = plan.layers.filter { layer in
                !layer.path.hasPrefix("blocks.0.") && names.contains { layer.path.hasSuffix(".\($0)_proj") }
            }.map(\.prunedShare)
            return chosen.reduce(0, +) / Double(chosen.count)
        }
        measurements.record(Self.base, Self.queryKeyExcess, seed: trial.seed, mean(["q", "k"]) - mean(["v", "o"]))
        measurements.record(
            curve: Measurements.Curve(
                method: Self.base, metric: "pruned share at ERR 50 %", axis: "matrix, in the order of the forward pass", seed: trial.seed,
                x: shares.indices.map { Double($0) }, y: shares))
    }

    private func reductions(_ trial: WeLoreTrial, _ measurements: inout Measurements) throws {
        let methods: [(name: String, plan: (Double) throws -> RankPlan)] = [
            (Self.uniform, { try UniformRankPlan(reduction: $0).plan(trial.spectra) }),
            (Self.minMax, { try WeLore.plan(trial.spectra, targetERR: $0, minRatio: 0, normalization: .minMax) }),
            (Self.maximum, { try WeLore.plan(trial.spectra, targetERR: $0, minRatio: 0, normalization: .max) }),
            (Self.frobenius, { try WeLore.plan(trial.spectra, targetERR: $0, minRatio: 0, normalization: .frobenius) }),
        ]
        let total: Double = Double(trial.spectra.reduce(0) { $0 + $1.values.count })
        for (name, plan) in methods {
            var curve: [Double] = []
            var distance: Double = 0
            for reduction in WeLoreSetting.reductions {
                let chosen: RankPlan = try plan(reduction)
                distance = max(distance, abs(chosen.attemptedReduction - reduction) * total)
                curve.append(try trial.increase(chosen))
                measurements.record(name, Self.increase(reduction), seed: trial.seed, curve[curve.count - 1])
            }
            if name != Self.uniform { measurements.record(name, Self.targetError, seed: trial.seed, distance) }
            measurements.record(
                curve: Measurements.Curve(
                    method: name, metric: "loss increase (nats)", axis: "effective rank reduction", seed: trial.seed,
                    x: WeLoreSetting.reductions, y: curve))
        }
    }

    private func tuning(_ trial: WeLoreTrial, _ measurements: inout Measurements) throws {
        let plan: RankPlan = try WeLore.plan(trial.spectra, targetERR: 0.5)
        let seed: UInt64 = trial.seed
        measurements.record(Self.minMax, Self.attempted, seed: seed, plan.attemptedReduction)
        measurements.record(Self.minMax, Self.achieved, seed: seed, plan.achievedReduction)
        measurements.record(Self.minMax, Self.ratio, seed: seed, plan.parameterRatio)
        measurements.record(Self.minMax, Self.forms, seed: seed, try trial.differenceOfForms(plan))
        let factored: PlainTransformer = try trial.compressed(plan, as: .factors)
        for (name, model) in [(Self.base, trial.base), (Self.minMax, factored)] {
            measurements.record(name, Self.macs, seed: seed, Double(CostModel(of: model).linearMultiplyAccumulates))
            measurements.record(name, Self.milliseconds, seed: seed, trial.milliseconds(of: model))
        }
        let compressed: Double = trial.loss(of: factored)
        measurements.record(Self.minMax, Self.loss, seed: seed, compressed)
        for what in WeLoreTrial.Tuned.allCases {
            let result: WeLoreTrial.Tuning = try trial.tune(what, plan)
            measurements.record(curve: result.curve)
            measurements.record(what.rawValue, Self.loss, seed: seed, result.loss)
            measurements.record(what.rawValue, Self.recovered, seed: seed, compressed - result.loss)
            measurements.record(what.rawValue, Self.trained, seed: seed, Double(result.trained))
            measurements.record(what.rawValue, Self.changed, seed: seed, Double(result.changedMatrices))
        }
    }

    private func galore(_ trial: WeLoreTrial, _ measurements: inout Measurements) throws {
        let result: WeLoreTrial.GaLoreResult = try trial.galore()
        let seed: UInt64 = trial.seed
        measurements.record(curve: result.curve)
        measurements.record(Self.galore, Self.loss, seed: seed, result.loss)
        measurements.record(Self.galore, Self.moments, seed: seed, Double(result.momentBytes))
        measurements.record(Self.base, Self.moments, seed: seed, Double(result.denseMomentBytes))
        for (name, measure) in [
            (Self.overlap, GradientSubspaceProbe.Measure.overlap), (Self.stableRank, .stableRank), (Self.similarity, .similarity),
        ] {
            measurements.record(Self.galore, name, seed: seed, result.probe.rankCorrelation(of: measure, with: result.plan))
        }
    }
}
