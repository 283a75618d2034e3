import NN
import Optim
import SequenceModels
import Torch
import Training

/// A linear diffusion transformer made from a trained DiT: inherited weights, hybrid distillation, few heads and a convolution
/// (arXiv 2501.12976).
public struct LiTExperiment: Experiment {
    public static let slug: String = "lit"
    public static let summary: String =
        "A DiT on MNIST (16 x 16) and linear transformers with a fifth of its steps: from scratch, inherited, distilled; heads and convolution ablated."

    private static let error: String = "noise error (MSE)"
    private static let variance: String = "difference of v from the teacher's (MSE)"
    private static let distance: String = "Fréchet distance"
    private static let parameters: String = "parameters"
    private static let latency: String = "attention forward (ms)"
    private static let agreement: String = "linear against T x T form (relative)"
    private static let changed: String = "inherited tensors that differ from the teacher's"
    private static let excluded: String = "attention projections equal to the teacher's"
    private static let own: String = "distillation loss of the teacher by itself"
    private static let accuracy: String = "accuracy of the features' classifier"

    private static let teacher: String = "DiT (teacher)"
    private static let scratch: String = "(a) LiT, from scratch"
    private static let inherited: String = "(b) LiT, inherited"
    private static let noiseOnly: String = "(c) LiT, inherited, noise distilled"
    private static let hybrid: String = "(d) LiT, inherited, hybrid distilled"
    private static let long: String = "(e) LiT, from scratch, all steps"
    private static let oneHead: String = "(a) with 1 head"
    private static let sixHeads: String = "(a) with 6 heads"
    private static let plain: String = "(a) without convolution"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("all models have parameter counts within 5 % of the teacher's") { seed in
                [scratch, inherited, noiseOnly, hybrid, long, oneHead, sixHeads, plain].allSatisfy {
                    abs(seed[$0, parameters] / seed[teacher, parameters] - 1) <= 0.05
                }
            },
            Gate("the trained student's linear form agrees with its T x T form to 1e-3") { $0[hybrid, agreement] <= 1e-3 },
            Gate("every inherited tensor starts as the teacher's, bit for bit") { $0[inherited, changed] == 0 },
            Gate("no projection of the attention is inherited") { $0[inherited, excluded] == 0 },
            Gate("the teacher distilled by itself loses nothing") { $0[teacher, own] == 0 },
        ],
        claims: [
            Claim("hybrid distillation's noise error below scratch's at equal steps (share)", atLeast: 0.10) {
                1 - $0[hybrid, error] / $0[scratch, error]
            },
            Claim("hybrid distillation's noise error below the teacher's (share)", atLeast: -0.10) {
                1 - $0[hybrid, error] / $0[teacher, error]
            },
            Claim("hybrid distillation's v nearer to the teacher's than noise distillation's (share)", atLeast: 0) {
                1 - $0[hybrid, variance] / $0[noiseOnly, variance]
            },
            Claim("1 head's noise error below 6 heads' (share)", atLeast: -0.02) { 1 - $0[oneHead, error] / $0[sixHeads, error] },
            Claim("2 heads' noise error below 6 heads' (share)", atLeast: -0.02) { 1 - $0[scratch, error] / $0[sixHeads, error] },
            Claim("6 heads' latency over 1 head's", atLeast: 1 / 1.3) { $0[sixHeads, latency] / $0[oneHead, latency] },
            Claim("6 heads' latency over 2 heads'", atLeast: 1 / 1.3) { $0[sixHeads, latency] / $0[scratch, latency] },
            Claim("noise error added by removing the convolution (share)", atLeast: 0.02) { $0[plain, error] / $0[scratch, error] - 1 },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        let setting: Setting = Setting(scale)
        let data: DiffusionData = try DiffusionData(setting)
        var measurements: Measurements = Measurements()
        for seed in context.seeds {
            var bench: DiffusionBench = DiffusionBench(setting: setting, data: data, seed: seed, context: context)
            try compare(&bench)
            try ablate(&bench)
            measurements.merge(bench.measurements)
        }
        try context.checkCancellation()
        return measurements
    }

    // MARK: The five arms

    private func compare(_ bench: inout DiffusionBench) throws {
        let setting: Setting = bench.setting
        let teacher: DiT = try bench.train(Self.teacher, try setting.model(.softmax, heads: 6), steps: setting.teacherSteps)
        let student: DiTConfiguration = try setting.model(.linear, heads: 2)
        bench.record(Self.teacher, Self.own, Self.selfDistillation(teacher, bench.data.held))
        let (differing, equal) = try Self.inheritance(teacher, student)
        bench.record(Self.inherited, Self.changed, Double(differing))
        bench.record(Self.inherited, Self.excluded, Double(equal))

        let arms: [(name: String, inheritance: InheritanceExclusion?, distillation: HybridDistillationLoss?)] = [
            (Self.scratch, nil, nil), (Self.inherited, .attention, nil),
            (Self.noiseOnly, .attention, try HybridDistillationLoss(varianceWeight: 0)),
            (Self.hybrid, .attention, try HybridDistillationLoss()),
        ]
        var models: [(name: String, model: DiT)] = [(Self.teacher, teacher)]
        for arm in arms {
            let model: DiT = try bench.train(
                arm.name, student, steps: setting.studentSteps, teacher: teacher, inheritance: arm.inheritance,
                distillation: arm.distillation)
            bench.record(arm.name, Self.variance, bench.data.held.varianceError(of: model, against: teacher))
            models.append((arm.name, model))
        }
        models.append((Self.long, try bench.train(Self.long, student, steps: setting.teacherSteps)))
        for (name, model) in models {
            bench.record(name, Self.error, bench.data.held.noiseError(of: model))
            bench.record(name, Self.parameters, Double(model.parameterCount))
            if name == Self.hybrid { bench.record(name, Self.agreement, Self.formDisagreement(model, bench.data.held)) }
        }
        guard bench.isFirst else { return }
        bench.record("features", Self.accuracy, bench.data.featureAccuracy)
        for (name, model) in models { bench.record(name, Self.distance, try bench.frechetDistance(of: model)) }
    }

    private static func selfDistillation(_ teacher: DiT, _ held: NoiseBenchmark) -> Double {
        guard let loss = try? HybridDistillationLoss(), let input = held.inputs(device: teacher.device).first else { return .nan }
        return noGrad {
            let (one, other): (NoisePrediction, NoisePrediction) = (
                teacher(input.noisy, steps: input.steps, labels: input.labels),
                teacher(input.noisy, steps: input.steps, labels: input.labels)
            )
            return loss(student: one, teacher: other, steps: input.steps, diffusion: GaussianDiffusion()).item()
        }
    }

    /// How many of the inherited tensors differ from the teacher's, and how many projections of the attention do not.
    private static func inheritance(_ teacher: DiT, _ shape: DiTConfiguration) throws -> (differing: Int, equal: Int) {
        let student: DiT = try DiT(shape)
        let names: Set<String> = Set(try inherit(from: teacher, into: student))
        let wanted: [String: Tensor] = Dictionary(uniqueKeysWithValues: teacher.stateTensors())
        let same: Set<String> = Set(
            student.stateTensors().filter { name, tensor in wanted[name].map { tensor.isEqual(to: $0) } ?? false }.map(\.0))
        return (names.subtracting(same).count, same.filter { $0.hasSuffix("qkv.weight") || $0.hasSuffix("attn.proj.weight") }.count)
    }

    private static func formDisagreement(_ model: DiT, _ held: NoiseBenchmark) -> Double {
        guard let input = held.inputs(device: model.device).first else { return .nan }
        return noGrad {
            let linear: Tensor = model(input.noisy, steps: input.steps, labels: input.labels).noise
            let explicit: Tensor = model(input.noisy, steps: input.steps, labels: input.labels, mode: .parallel).noise
            return ((linear - explicit).abs().max() / explicit.abs().max()).item()
        }
    }

    // MARK: Heads and convolution

    private func ablate(_ bench: inout DiffusionBench) throws {
        let setting: Setting = bench.setting
        let variants: [(String, DiTConfiguration)] = [
            (Self.oneHead, try setting.model(.linear, heads: 1)), (Self.sixHeads, try setting.model(.linear, heads: 6)),
            (Self.plain, try setting.model(.linear, heads: 2, kernel: nil)),
        ]
        for (name, shape) in variants {
            let model: DiT = try bench.train(name, shape, steps: setting.studentSteps)
            bench.record(name, Self.error, bench.data.held.noiseError(of: model))
            bench.record(name, Self.parameters, Double(model.parameterCount))
        }
        let heads: [Int] = [1, 2, 6]
        let times: [Double] = DiffusionBench.latencies(setting, heads: heads, repetitions: setting.repetitions)
        for (name, time) in zip([Self.oneHead, Self.scratch, Self.sixHeads], times) { bench.record(name, Self.latency, time) }
    }
}

extension LiTExperiment {
    /// What a scale trains and measures.
    struct Setting {
        let images: Int
        let heldImages: Int
        let imageSize: Int
        let dimensions: Int
        let depth: Int
        let rows: Int
        let teacherSteps: Int
        let studentSteps: Int
        /// Samples for the Fréchet distance and the reverse steps that draw them.
        let samples: Int
        let sampleSteps: Int
        let repetitions: Int
        let featureEpochs: Int

        /// Small: the specification's setting with 48 channels for 96, for time. Samples are drawn for the first seed alone.
        init(_ scale: Scale) {
            switch scale {
            case .smoke:
                (images, heldImages, imageSize, dimensions, depth, rows) = (64, 32, 8, 24, 1, 16)
                (teacherSteps, studentSteps, samples, sampleSteps, repetitions, featureEpochs) = (4, 2, 16, 3, 3, 1)
            case .small:
                (images, heldImages, imageSize, dimensions, depth, rows) = (8000, 512, 16, 48, 4, 32)
                (teacherSteps, studentSteps, samples, sampleSteps, repetitions, featureEpochs) = (800, 160, 1000, 50, 30, 8)
            case .full:
                (images, heldImages, imageSize, dimensions, depth, rows) = (60_000, 2048, 28, 384, 12, 256)
                (teacherSteps, studentSteps, samples, sampleSteps, repetitions, featureEpochs) = (40_000, 8000, 10_000, 250, 30, 8)
            }
        }

        func model(_ attention: DiTAttention, heads: Int, kernel: Int? = 5) throws -> DiTConfiguration {
            try DiTConfiguration(
                imageSize: imageSize, channels: 1, classes: 10, dimensions: dimensions, depth: depth, heads: heads, attention: attention,
                kernel: kernel)
        }
    }
}
