import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// Blocks of a trained transformer moved from 4 to 2 bits in orders of importance (arXiv 2406.17415).
public struct LayerwiseQuantizationExperiment: Experiment {
    public static let slug: String = "layerwise-quantization"
    public static let summary: String =
        "Blocks of a small transformer on characters moved one by one from 4 to 2 bits, rounded to nearest and by GPTQ: in the order of LIM and of ZD, reversed, from the last to the first, and at random; beside leaving blocks out."

    private static let area: String = "area under the loss increase, RTN"
    private static let gptqArea: String = "area under the loss increase, GPTQ"
    private static let correlation: String = "rank correlation with the blocks' own costs"
    private static let loss: String = "validation loss (nats per character)"
    private static let increase: String = "loss increase over float32"
    private static let gain: String = "smallest gain of GPTQ over RTN, half of the blocks or more at 2 bits"
    private static let margin: String = "smallest gain of 3 bits over leaving blocks out"
    private static let packing: String = "packed against decoded weights (loss difference)"
    private static let bits: String = "bits a weight with scales and zero points"
    private static let excess: String = "bytes of packed layers over their formula"
    private static let bounded: String = "scores lie in -1 ... 1 (1 = yes)"
    private static let first: String = "loss increase of the first block alone at 2 bits"
    private static let dearest: String = "largest loss increase of one block alone at 2 bits"
    private static let share: String = "share of blocks at 2 bits before a fifth of the whole loss increase"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("packed layers give the loss of their decoded weights to 1e-4") { $0["all 4 bits", packing] <= 1e-4 },
            Gate("packed layers take the bytes of their codes, scales and zero points, and no others") { $0["all 4 bits", excess] == 0 },
            Gate("LIM scores lie between -1 and 1") { $0["LIM", bounded] == 1 },
        ],
        claims: [
            Claim("LIM's area at most 0.7 of the random orders' mean (1 minus the ratio)", atLeast: 0.3) {
                1 - $0["LIM", area] / $0["random order", area]
            },
            Claim("LIM's area at most 0.6 of reversed LIM's (1 minus the ratio)", atLeast: 0.4) {
                1 - $0["LIM", area] / $0["LIM reversed", area]
            },
            Claim("8 bits everywhere cost at most 0.005 nats (0.005 minus the cost)", atLeast: 0) { 0.005 - $0["all 8 bits", increase] },
            Claim("4 bits everywhere cost at most 0.03 nats (0.03 minus the cost)", atLeast: 0) { 0.03 - $0["all 4 bits", increase] },
            Claim("2 bits everywhere cost at least 0.08 nats", atLeast: 0.08) { $0["all 2 bits", increase] },
            Claim("2 bits everywhere cost at most 0.3 nats (0.3 minus the cost)", atLeast: 0) { 0.3 - $0["all 2 bits", increase] },
            Claim("GPTQ's loss is at most RTN's with half of the blocks or more at 2 bits (smallest gain)", atLeast: 0) { $0["LIM", gain] },
            Claim("moving blocks to 3 bits beats leaving them out, for every number of blocks (smallest gain)", atLeast: 0) {
                $0["LIM", margin]
            },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: LayerwiseQuantizationSetting = LayerwiseQuantizationSetting(scale)
        let corpus: CharacterCorpus = try CharacterCorpus(context: setting.recipe.context, limit: setting.characters)
        for seed in context.seeds {
            let trial: LayerwiseQuantizationTrial = try LayerwiseQuantizationTrial(setting, corpus, seed, context)
            try recordUniform(trial, &measurements)
            try recordOrders(trial, &measurements)
            try recordSingles(trial, &measurements)
            try recordDropping(trial, &measurements)
        }
        return measurements
    }

    /// The same bits everywhere.
    private func recordUniform(_ trial: LayerwiseQuantizationTrial, _ measurements: inout Measurements) throws {
        let seed: UInt64 = trial.seed
        let dense: Double = trial.denseLoss()
        measurements.record("float32", Self.loss, seed: seed, dense)
        for bits in [8, 4, 3, 2] {
            let plan: BitPlan = BitPlan(uniform: bits, blocks: trial.blocks)
            let name: String = "all \(bits) bits"
            let loss: Double = try trial.loss(plan, .rtn)
            measurements.record(name, Self.loss, seed: seed, loss)
            measurements.record(name, Self.increase, seed: seed, loss - dense)
            measurements.record("\(name), GPTQ", Self.increase, seed: seed, try trial.loss(plan, .gptq) - dense)
            try trial.withQuantized(plan, .rtn) { report in
                measurements.record(name, Self.bits, seed: seed, report.effectiveBits)
                if bits == 4 { measurements.record(name, Self.excess, seed: seed, Self.excessBytes(trial, bits)) }
            }
            if bits == 4 { measurements.record(name, Self.packing, seed: seed, try trial.differenceOfPacking(plan)) }
        }
    }

    /// Bytes of the packed layers beyond b-bit codes, two bytes of scale and a b-bit zero point a group, rows filled to 16 codes.
    private static func excessBytes(_ trial: LayerwiseQuantizationTrial, _ bits: Int) -> Double {
        let bytes: [Int] = trial.model.compressedLayers.compactMap { $0.layer as? QuantizedLinear }.map { layer in
            let groups: Int = (layer.inputDimensions + trial.setting.groupSize - 1) / trial.setting.groupSize
            func filled(_ count: Int) -> Int { (count + 15) / 16 * 16 * bits / 8 }
            return layer.byteCount - layer.outputDimensions * (filled(layer.inputDimensions) + filled(groups) + 2 * groups)
        }
        return Double(bytes.reduce(0, +))
    }

    /// The curves over the number of blocks at the low number of bits.
    private func recordOrders(_ trial: LayerwiseQuantizationTrial, _ measurements: inout Measurements) throws {
        let named: [LayerwiseQuantizationTrial.Order] = [
            .init(name: "LIM", blocks: trial.lim.ordering), .init(name: "LIM reversed", blocks: trial.lim.ordering.reversed()),
            .init(name: "ZD", blocks: trial.zd.ordering), .init(name: "ZD reversed", blocks: trial.zd.ordering.reversed()),
            .init(name: "last to first", blocks: Array((0..<trial.blocks).reversed())),
        ]
        for order in named {
            let rounded: [Double] = try record(order, .rtn, trial, &measurements)
            let optimal: [Double] = try record(order, .gptq, trial, &measurements)
            measurements.record(order.name, Self.share, seed: trial.seed, Self.movableShare(rounded))
            guard order.name == "LIM" else { continue }
            // Increases are over each quantiser's own 4-bit model; the losses themselves are compared.
            let offset: Double =
                try trial.loss(BitPlan(uniform: trial.setting.high, blocks: trial.blocks), .rtn)
                - trial.loss(BitPlan(uniform: trial.setting.high, blocks: trial.blocks), .gptq)
            let gains: [Double] = (0...trial.blocks).filter { 2 * $0 >= trial.blocks }.map { offset + rounded[$0] - optimal[$0] }
            measurements.record(order.name, Self.gain, seed: trial.seed, gains.min() ?? .nan)
        }
        let draws: [[Double]] = try trial.randomOrders().map { try trial.increases($0, .rtn) }
        measurements.record("random order", Self.area, seed: trial.seed, Self.mean(draws.map(Self.area(under:))))
        measurements.record("random order", Self.share, seed: trial.seed, Self.mean(draws.map(Self.movableShare)))
        recordCurve(draws[0].indices.map { index in Self.mean(draws.map { $0[index] }) }, "random order", .rtn, trial, &measurements)
    }

    private func record(
        _ order: LayerwiseQuantizationTrial.Order, _ method: QuantizeStep.Method, _ trial: LayerwiseQuantizationTrial,
        _ measurements: inout Measurements
    ) throws -> [Double] {
        let increases: [Double] = try trial.increases(order, method)
        measurements.record(order.name, method == .rtn ? Self.area : Self.gptqArea, seed: trial.seed, Self.area(under: increases))
        recordCurve(increases, order.name, method, trial, &measurements)
        return increases
    }

    private func recordCurve(
        _ increases: [Double], _ name: String, _ method: QuantizeStep.Method, _ trial: LayerwiseQuantizationTrial,
        _ measurements: inout Measurements
    ) {
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: "loss increase, \(method == .rtn ? "RTN" : "GPTQ")", axis: "blocks at 2 bits", seed: trial.seed,
                x: increases.indices.map { Double($0) }, y: increases))
    }

    /// The sum over 1 ... L − 1 blocks.
    private static func area(under increases: [Double]) -> Double { increases.dropFirst().dropLast().reduce(0, +) }

    /// The share of blocks that can be moved before a fifth of what moving all costs is reached.
    private static func movableShare(_ increases: [Double]) -> Double {
        let limit: Double = 0.2 * (increases.last ?? 0)
        return Double(increases.dropFirst().prefix { $0 <= limit }.count) / Double(max(increases.count - 1, 1))
    }

    private static func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }

    /// What each block costs by itself, which the measures are to foretell.
    private func recordSingles(_ trial: LayerwiseQuantizationTrial, _ measurements: inout Measurements) throws {
        let dense: Double = trial.denseLoss()
        let costs: [Double] = try (0..<trial.blocks).map { try trial.lossAlone($0) - dense }
        for (name, importance) in [("LIM", trial.lim), ("ZD", trial.zd)] {
            measurements.record(name, Self.correlation, seed: trial.seed, importance.rankCorrelation(withCosts: costs))
            measurements.record(
                curve: Measurements.Curve(
                    method: name, metric: "score", axis: "block", seed: trial.seed, x: costs.indices.map { Double($0) },
                    y: importance.scores))
        }
        measurements.record("LIM", Self.bounded, seed: trial.seed, trial.lim.scores.allSatisfy { abs($0) <= 1 } ? 1 : 0)
        measurements.record("one block alone", Self.first, seed: trial.seed, costs[0])
        measurements.record("one block alone", Self.dearest, seed: trial.seed, costs.max() ?? .nan)
        measurements.record(
            curve: Measurements.Curve(
                method: "one block alone", metric: "loss increase at 2 bits", axis: "block", seed: trial.seed,
                x: costs.indices.map { Double($0) }, y: costs))
    }

    /// Leaving blocks out beside moving the same blocks to 3 bits; the others have 4 in both.
    private func recordDropping(_ trial: LayerwiseQuantizationTrial, _ measurements: inout Measurements) throws {
        let order: LayerwiseQuantizationTrial.Order = .init(name: "LIM", blocks: trial.lim.ordering)
        let counts: [Int] = Array(1...trial.blocks)
        let dropped: [Double] = try counts.map { try trial.lossDropping($0, of: order) }
        let moved: [Double] = try counts.map { count in
            try trial.loss(BitPlan(ordering: order.blocks, high: trial.setting.high, low: 3, count: count), .rtn)
        }
        measurements.record(order.name, Self.margin, seed: trial.seed, zip(dropped, moved).map { $0 - $1 }.min() ?? .nan)
        for (name, losses) in [("blocks left out", dropped), ("blocks at 3 bits", moved)] {
            measurements.record(
                curve: Measurements.Curve(
                    method: name, metric: Self.loss, axis: "blocks", seed: trial.seed, x: counts.map { Double($0) }, y: losses))
        }
    }
}
