import Foundation
import Torch
import Training

/// Gradients compressed layer by layer in data-parallel training (arXiv 2210.17357).
///
/// Runs on four threads of this process, or on the processes of a launcher: `linnet launch -n 4 -- reproduce l-greco`.
public struct LGreCoExperiment: Experiment {
    public static let slug: String = "l-greco"
    public static let summary: String =
        "Data-parallel training on four ranks, of a convolutional network on MNIST and a small language model: low rank, top-k and quantised gradients, with one setting for all layers and with L-GreCo's; bytes really sent."
    public static let usesProcessGroup: Bool = true

    static let bytes: String = "bytes a step on the wire"
    static let quality: String = "accuracy, or minus the loss in nats"
    static let excess: String = "error above the reference's (largest, relative)"
    static let formula: String = "bytes sent against the formula (relative)"
    static let replicas: String = "ranks hold the same bits (1 = yes)"
    static let measured: String = "milliseconds a step, measured"
    static let slow: String = "milliseconds of exchange a step, modelled at 1 Gbit/s"
    static let fast: String = "milliseconds of exchange a step, modelled at 10 Gbit/s"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("in every run all ranks end with the same bits") { run in methods.allSatisfy { run[$0, replicas] == 1 } },
            Gate("in every run the bytes sent are those of the formula") { run in methods.allSatisfy { run[$0, formula] <= 1e-9 } },
            Gate("whenever L-GreCo chooses, the layers' errors together are at most the reference's") { run in
                methods.allSatisfy { run[$0, excess] <= 1e-9 }
            },
        ],
        claims: GradientTask.Kind.allCases.flatMap { task in
            LGreCoArm.Compression.allCases.flatMap { compression -> [Claim] in
                let (uniform, layerwise): (LGreCoArm, LGreCoArm) = (.init(compression, .uniform), .init(compression, .layerwise))
                // Of the quantised, fewer bytes are enough.
                let least: Double = compression == .quantization ? 1.000_001 : 1.15
                return [
                    Claim("\(task.rawValue): bytes of uniform \(compression.rawValue) over L-GreCo's", atLeast: least) {
                        $0[uniform.method(task.rawValue), bytes] / $0[layerwise.method(task.rawValue), bytes]
                    },
                    Claim(
                        "\(task.rawValue): \(task.qualityName) with L-GreCo and \(compression.rawValue) against none (difference)",
                        atLeast: -task.tolerance
                    ) { $0[layerwise.method(task.rawValue), quality] - $0[LGreCoArm.none.method(task.rawValue), quality] },
                ]
            }
        })

    /// Of all runs of a seed.
    private static let methods: [String] = GradientTask.Kind.allCases.flatMap { task in
        LGreCoArm.all(task).map { $0.method(task.rawValue) }
    }

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: LGreCoSetting = LGreCoSetting(scale)
        for kind in GradientTask.Kind.allCases {
            let task: GradientTask = try GradientTask(kind, setting)
            for seed in context.seeds {
                var outcomes: [(arm: LGreCoArm, outcome: LGreCoOutcome)] = []
                for arm in LGreCoArm.all(kind) {
                    try context.checkCancellation()
                    context.progress("\(kind.rawValue), \(arm.name), seed \(seed): \(setting.steps) steps on \(setting.ranks) ranks")
                    let trial: LGreCoTrial = LGreCoTrial(task: task, arm: arm, setting: setting, seed: seed)
                    let outcome: LGreCoOutcome = try trial.run()
                    record(outcome, arm.method(kind.rawValue), seed, &measurements)
                    outcomes.append((arm, outcome))
                }
                record(curvesOf: outcomes, kind, seed, &measurements)
            }
        }
        return measurements
    }

    private func record(_ outcome: LGreCoOutcome, _ method: String, _ seed: UInt64, _ measurements: inout Measurements) {
        measurements.record(method, Self.quality, seed: seed, outcome.quality)
        measurements.record(method, Self.bytes, seed: seed, outcome.bytesPerStep)
        measurements.record(method, Self.slow, seed: seed, outcome.modelledSeconds(.ethernet(gigabits: 1)) * 1000)
        measurements.record(method, Self.fast, seed: seed, outcome.modelledSeconds(.ethernet(gigabits: 10)) * 1000)
        measurements.record(method, Self.measured, seed: seed, outcome.secondsPerStep * 1000)
        measurements.record(method, Self.excess, seed: seed, outcome.errorExcess)
        measurements.record(method, Self.formula, seed: seed, outcome.formulaDifference)
        measurements.record(method, Self.replicas, seed: seed, outcome.replicasAgree ? 1 : 0)
    }

    /// Bytes against quality, for the uniform settings and for L-GreCo's.
    private func record(
        curvesOf outcomes: [(arm: LGreCoArm, outcome: LGreCoOutcome)], _ kind: GradientTask.Kind, _ seed: UInt64,
        _ measurements: inout Measurements
    ) {
        for choice in LGreCoArm.Choice.allCases {
            let points: [LGreCoOutcome] = outcomes.filter { $0.arm.choice == choice && $0.arm.compression != nil }.map(\.outcome)
                .sorted { $0.bytesPerStep < $1.bytesPerStep }
            guard !points.isEmpty else { continue }
            measurements.record(
                curve: Measurements.Curve(
                    method: "\(kind.rawValue): \(choice.rawValue)", metric: Self.quality, axis: Self.bytes, seed: seed,
                    x: points.map(\.bytesPerStep), y: points.map(\.quality)))
        }
    }
}

/// Sizes of a scale. `.full` is the specification's: batches of 128 and 600 steps. `.small` halves the steps, and the language model's batch is 32
/// sequences, so that a seed takes minutes on one core.
struct LGreCoSetting: Sendable {
    var ranks: Int = 4
    var steps: Int = 600
    var imageRows: Int = 128
    var textRows: Int = 128
    var trainingImages: Int = 10_000
    var testImages: Int = 2000
    var channels: Int = 16
    var hidden: Int = 256
    var dimensions: Int = 64
    var layers: Int = 4
    var context: Int = 64
    var validationTokens: Int = 32_768
    var frequency: Int = 100
    var start: Int = 10

    init(_ scale: Scale) {
        switch scale {
        case .smoke:
            (steps, imageRows, textRows, trainingImages, testImages, channels, hidden) = (6, 8, 4, 64, 16, 4, 32)
            (dimensions, layers, context, validationTokens, frequency, start) = (32, 1, 16, 256, 2, 2)
        case .small: (steps, textRows) = (300, 32)
        case .full: break
        }
    }
}

/// One way to send gradients.
struct LGreCoArm: Sendable, Equatable {
    enum Compression: String, Sendable, CaseIterable {
        case lowRank = "PowerSGD"
        case topK = "top-k"
        case quantization = "quantisation"
    }

    enum Choice: String, Sendable, CaseIterable {
        case uniform
        case layerwise = "L-GreCo"
        /// Reported, without a criterion of its own.
        case accordion = "Accordion"
        case layerwiseAccordion = "L-GreCo on Accordion"
    }

    /// Nil compresses nothing.
    let compression: Compression?
    let choice: Choice

    static let none: LGreCoArm = LGreCoArm(nil, .uniform)

    init(_ compression: Compression?, _ choice: Choice) {
        self.compression = compression
        self.choice = choice
    }

    static func all(_ task: GradientTask.Kind) -> [LGreCoArm] {
        let plain: [LGreCoArm] = Compression.allCases.flatMap { [LGreCoArm($0, .uniform), LGreCoArm($0, .layerwise)] }
        let extra: [LGreCoArm] = task == .images ? [LGreCoArm(.lowRank, .accordion), LGreCoArm(.lowRank, .layerwiseAccordion)] : []
        return [.none] + plain + extra
    }

    var name: String { compression.map { "\($0.rawValue), \(choice.rawValue)" } ?? "no compression" }

    func method(_ task: String) -> String { "\(task): \(name)" }
}
