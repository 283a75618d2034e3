import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// A multimodal decoder whose redundant layers are passed by (arXiv 2410.13859).
public struct GammaMoDExperiment: Experiment {
    public static let slug: String = "gamma-mod"
    public static let summary: String =
        "A decoder that answers questions about scenes of MNIST digits, six of its eight layers converted to mixtures of depths and tuned: layers chosen by the rank of their attention maps, at random and in reverse; without masked routing; with a router for each layer; and dense."

    private static let accuracy: String = "accuracy"
    private static let cost: String = "multiply-accumulates of a question"
    private static let imageRate: String = "share of patches run"
    private static let textRate: String = "share of question tokens run"
    private static let trainedTextRate: String = "share of question tokens run, chosen as in training"
    private static let blankSkips: String = "share of blank patches passed by"
    private static let inkedSkips: String = "share of inked patches passed by"
    private static let decoding: String = "step by step against at once (relative)"
    private static let routers: String = "routers"

    private static let dense: String = "dense, tuned on"
    private static let gamma: String = "γ-MoD"
    private static let random: String = "random layers"
    private static let reversed: String = "ARank reversed"
    private static let unmasked: String = "no masked routing"
    private static let separate: String = "a router for each layer"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("chosen as in training, the question's tokens always run") { $0[gamma, trainedTextRate] == 1 },
            Gate("all layers share one router; in the comparison each has its own") {
                $0[gamma, routers] == 1 && $0[separate, routers] > 1
            },
            Gate("step by step with a cache, the logits are those of the whole sequence to 1e-4") { $0[gamma, decoding] <= 1e-4 },
            Gate("the dense model runs everything, the converted ones less") {
                $0[dense, imageRate] == 1 && $0[gamma, cost] < $0[dense, cost] && $0[unmasked, cost] < $0[dense, cost]
            },
        ],
        claims: [
            Claim("share of the dense model's multiply-accumulates that is saved", atLeast: 0.35) {
                1 - $0[gamma, cost] / $0[dense, cost]
            },
            Claim("accuracy of γ-MoD minus dense", atLeast: -0.03) { $0[gamma, accuracy] - $0[dense, accuracy] },
            Claim("without masked routing 2 points less accurate, or below 90 % of the question kept (the larger margin)", atLeast: 0) {
                let (worse, dropped): (Double, Double) = (
                    $0[gamma, accuracy] - $0[unmasked, accuracy] - 0.02, 0.9 - $0[unmasked, trainedTextRate]
                )
                return worse.isNaN || dropped.isNaN ? .nan : max(worse, dropped)
            },
            Claim("accuracy of γ-MoD minus that with ARank reversed", atLeast: -0.01) { $0[gamma, accuracy] - $0[reversed, accuracy] },
            Claim("blank patches passed by, as a multiple of inked ones", atLeast: 1.3) { $0[gamma, blankSkips] / $0[gamma, inkedSkips] },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: GammaMoDSetting = GammaMoDSetting(scale)
        // The smaller of the two files has as many digits as the scenes need.
        let images: LabelledImages = try MNIST.load(.test, folder: DataDirectory.standard.locate("mnist"))
        for seed in context.seeds {
            let trial: GammaMoDTrial = try GammaMoDTrial(setting, images, seed, context, &measurements)
            try run(trial, &measurements)
        }
        return measurements
    }

    private func run(_ trial: GammaMoDTrial, _ measurements: inout Measurements) throws {
        let layers: Int = trial.setting.layers
        measurements.record(
            curve: Measurements.Curve(
                method: "dense", metric: "rank of attention maps without diagonals", axis: "layer", seed: trial.seed,
                x: (0..<layers).map { Double($0) }, y: trial.ranks))
        let chosen: MoDPlan = MoDPlan(ranks: trial.ranks, converted: trial.setting.converted)
        let opposite: MoDPlan = MoDPlan(ranks: trial.ranks.map { -$0 }, converted: trial.setting.converted)
        try arm(Self.dense, nil, trial, &measurements)
        try arm(Self.gamma, chosen, trial, &measurements)
        try arm(Self.random, randomPlan(trial), trial, &measurements)
        try arm(Self.reversed, opposite, trial, &measurements)
        try arm(Self.unmasked, chosen, protectsText: false, trial, &measurements)
        try arm(Self.separate, chosen, sharedRouter: false, trial, &measurements)
    }

    private func randomPlan(_ trial: GammaMoDTrial) -> MoDPlan {
        var random: SplitMix64 = SplitMix64(seed: trial.seed &+ 4711)
        var layers: [Int] = Array(0..<trial.setting.layers)
        for index in layers.indices.dropLast() { layers.swapAt(index, index + Int(random.next(below: UInt64(layers.count - index)))) }
        return MoDPlan(layers: layers.count, keepDense: Set(layers.dropFirst(trial.setting.converted)))
    }

    private func arm(
        _ name: String, _ plan: MoDPlan?, protectsText: Bool = true, sharedRouter: Bool = true, _ trial: GammaMoDTrial,
        _ measurements: inout Measurements
    ) throws {
        let model: MultimodalDecoder = try trial.fineTuned(
            name, plan, protectsText: protectsText, sharedRouter: sharedRouter, &measurements)
        let outcome: GammaMoDOutcome = trial.evaluated(model)
        func record(_ metric: String, _ value: Double) { measurements.record(name, metric, seed: trial.seed, value) }
        record(Self.accuracy, outcome.accuracy)
        record(Self.cost, outcome.statistics.multiplyAccumulates + trial.fixedCost)
        record(Self.imageRate, outcome.statistics.imageRate)
        record(Self.textRate, outcome.statistics.textRate)
        guard let plan else { return }
        record(Self.trainedTextRate, outcome.trainedChoice.textRate)
        record(Self.blankSkips, outcome.skipped.blank)
        record(Self.inkedSkips, outcome.skipped.inked)
        record("threshold", model.depthLayers.first?.routing.threshold ?? .nan)
        record(Self.routers, Double(Set(model.depthLayers.map { ObjectIdentifier($0.router) }).count))
        record(Self.decoding, trial.differenceOfDecoding(model))
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: "converted (1 = yes)", axis: "layer", seed: trial.seed,
                x: (0..<plan.layers).map { Double($0) }, y: (0..<plan.layers).map { plan.keepDense.contains($0) ? 0 : 1 }))
    }
}
