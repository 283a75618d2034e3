import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// Keys and values cached in the leading channels of trained orthogonal bases (arXiv 2410.14731).
public struct MatryoshkaKVExperiment: Experiment {
    public static let slug: String = "matryoshka-kv"
    public static let summary: String =
        "A trained transformer on characters whose cache of keys and values is cut to 100, 75, 50, 37.5 and 25 %: principal axes, bases trained at random ranks with one rank for all heads and with ranks that a search chose, and bases trained at one fixed rank."

    /// Shares of the cache that are kept.
    private static let budgets: [Double] = [1, 0.75, 0.5, 0.375, 0.25]

    private static let pca: String = "PCA"
    private static let uniform: String = "MatryoshkaKV, one rank"
    private static let greedy: String = "MatryoshkaKV, searched ranks"
    private static let fixed: String = "trained at half the channels"

    private static let orthogonality: String = "largest entry of QᵀQ − I"
    private static let exactness: String = "all channels against plain attention (relative)"
    private static let folding: String = "folded against unfolded (relative)"
    private static let decoding: String = "step by step against at once (relative)"
    private static let bytes: String = "measured share of the cache at 25 %"
    private static let movement: String = "largest change of a basis in training"
    private static let frozen: String = "largest change of another weight in training"
    private static let searchSeconds: String = "time of the search (s)"

    private static func increase(_ budget: Double) -> String { "loss increase at \(percent(budget)) (nats per character)" }
    private static func percent(_ budget: Double) -> String { String(format: "%g %%", budget * 100) }

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the trained bases are orthogonal to 1e-6") { $0[uniform, orthogonality] <= 1e-6 },
            Gate("training moves the bases and no other weight") { $0[uniform, movement] > 0 && $0[uniform, frozen] == 0 },
            Gate("with all channels every arm is the uncompressed model: loss to 1e-5, logits to 1e-5") { seed in
                [pca, uniform, greedy, fixed].allSatisfy { abs(seed[$0, increase(1)]) <= 1e-5 } && seed[uniform, exactness] <= 1e-5
            },
            Gate("folded and unfolded logits agree to 1e-5") { $0[greedy, folding] <= 1e-5 },
            Gate("step by step, the compressed cache gives the logits of the whole text to 1e-5") { $0[greedy, decoding] <= 1e-5 },
            Gate("at a budget of 25 % the cache has exactly a quarter of the bytes") {
                $0[uniform, bytes] == 0.25 && $0[greedy, bytes] == 0.25
            },
        ],
        claims: [
            Claim("share of PCA's loss increase at 25 % that training removes", atLeast: 0.4) {
                1 - $0[uniform, increase(0.25)] / $0[pca, increase(0.25)]
            },
            Claim("one rank's loss minus searched ranks', at the budget where it is least", atLeast: -0.005) { seed in
                budgets.map { seed[uniform, increase($0)] - seed[greedy, increase($0)] }.reduce(.infinity, least)
            },
            Claim("loss at 25 % of bases trained at half the channels minus MatryoshkaKV's", atLeast: 0) {
                $0[fixed, increase(0.25)] - $0[uniform, increase(0.25)]
            },
        ])

    /// The smaller number, or NaN where one was not measured.
    private static func least(_ left: Double, _ right: Double) -> Double { left.isNaN || right.isNaN ? .nan : min(left, right) }

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: MatryoshkaKVSetting = MatryoshkaKVSetting(scale)
        let corpus: CharacterCorpus = try CharacterCorpus(context: setting.recipe.context, limit: setting.validationLimit)
        for seed in context.seeds {
            try run(MatryoshkaKVTrial(setting, corpus, seed, context), &measurements)
        }
        return measurements
    }

    private func run(_ trial: MatryoshkaKVTrial, _ measurements: inout Measurements) throws {
        let seed: UInt64 = trial.seed
        measurements.record("uncompressed", "validation loss (nats per character)", seed: seed, trial.denseLoss)
        let axes: PlainTransformer = try trial.principalAxes()
        record(Self.pca, trial.losses(axes, Self.budgets), seed, &measurements)

        let model: PlainTransformer = try trial.distilled(Self.uniform, .matryoshka, &measurements)
        measurements.record(Self.uniform, Self.orthogonality, seed: seed, trial.orthogonality(of: model))
        let changes: (bases: Double, others: Double) = trial.changes(from: axes, to: model)
        measurements.record(Self.uniform, Self.movement, seed: seed, changes.bases)
        measurements.record(Self.uniform, Self.frozen, seed: seed, changes.others)
        record(Self.uniform, trial.losses(model, Self.budgets), seed, &measurements)
        measurements.record(Self.uniform, Self.exactness, seed: seed, trial.distanceOfFullRanks(model))
        let quarter: KVRankPlan = .uniform(budget: 0.25, like: model.fullKVRanks)
        measurements.record(Self.uniform, Self.bytes, seed: seed, trial.cacheShare(model, quarter))

        let started: Date = Date()
        let path: KVRankPath = try RankSearch.path(model, calibration: trial.calibration, to: 0.25)
        measurements.record(Self.greedy, Self.searchSeconds, seed: seed, Date().timeIntervalSince(started))
        record(Self.greedy, Self.budgets.map { trial.loss(model, path.plan(budget: $0)) }, seed, &measurements)
        let searched: KVRankPlan = path.plan(budget: 0.25)
        measurements.record(Self.greedy, Self.bytes, seed: seed, trial.cacheShare(model, searched))
        measurements.record(Self.greedy, Self.decoding, seed: seed, trial.distanceOfDecoding(model, searched))
        let fast: KVRankPath = try RankSearch.path(model, calibration: trial.calibration, to: 0.25, measure: .fast)
        record("MatryoshkaKV, ranks searched by layer", Self.budgets.map { trial.loss(model, fast.plan(budget: $0)) }, seed, &measurements)

        let ablation: PlainTransformer = try trial.distilled(Self.fixed, .fixed(0.5), &measurements)
        record(Self.fixed, trial.losses(ablation, Self.budgets), seed, &measurements)
        // Last, since it puts other layers in the model.
        measurements.record(Self.greedy, Self.folding, seed: seed, trial.distanceOfFolding(model, searched))
    }

    private func record(_ name: String, _ increases: [Double], _ seed: UInt64, _ measurements: inout Measurements) {
        for (budget, increase) in zip(Self.budgets, increases) {
            measurements.record(name, Self.increase(budget), seed: seed, increase)
        }
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: "loss increase (nats per character)", axis: "share of the cache", seed: seed, x: Self.budgets,
                y: increases))
    }
}
