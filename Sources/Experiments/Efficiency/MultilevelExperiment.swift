import Efficiency
import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// V-cycle training of a transformer against training it at full size (arXiv 2404.07999).
public struct MultilevelExperiment: Experiment {
    public static let slug: String = "multilevel"
    public static let summary: String =
        "A small transformer on characters, trained at full size and by V-cycles of two levels (interpolated by a half, not at all, and without the first phase), by the operations that each needs for the loss of the first."

    static let saving: String = "operations saved at the baseline's loss (0 where it was not reached)"
    static let loss: String = "final validation loss (nats per character)"
    static let cost: String = "training operations by the baseline's"
    static let roundTrip: String = "coalesced after de-coalescing (largest difference)"
    static let preserved: String = "logits after widening (relative difference)"
    static let symmetry: String = "doubled channels after training (largest difference)"
    static let brokenSymmetry: String = "doubled channels after interpolating and training (largest difference)"
    static let deepening: String = "loss after copying layers minus before (nats)"
    static let baseline: String = "full size"
    static let cycle: String = "V-cycle, alpha 0.5"
    static let copied: String = "V-cycle, alpha 1"
    static let alone: String = "alpha 0 (no small model)"
    static let growth: String = "growth, no first phase"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("de-coalescing and coalescing gives the small model's parameters to 1e-6") { $0[cycle, roundTrip] <= 1e-6 },
            Gate("widening keeps the small model's logits to 1e-5") { $0[cycle, preserved] <= 1e-5 },
            Gate("without interpolation doubled channels stay equal to 1e-5") { $0[copied, symmetry] <= 1e-5 },
            Gate("with interpolation doubled channels part by more than 1e-3") { $0[cycle, brokenSymmetry] > 1e-3 },
            Gate("a V-cycle costs at most 0.91 of the baseline's operations") { $0[cycle, cost] <= 0.91 && $0[copied, cost] <= 0.91 },
        ],
        claims: [
            Claim("operations that the V-cycle (alpha 0.5) saves at the baseline's loss", atLeast: 0.10) { $0[cycle, saving] },
            Claim("loss without interpolation (alpha 1) minus the V-cycle's", atLeast: 0) { $0[copied, loss] - $0[cycle, loss] },
            Claim("loss without a small model (alpha 0) minus the V-cycle's", atLeast: 0) { $0[alone, loss] - $0[cycle, loss] },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: MultilevelSetting = MultilevelSetting(scale)
        let corpus: CharacterCorpus = try CharacterCorpus(context: setting.context, limit: setting.validationLimit)
        for seed in context.seeds {
            let trial: MultilevelTrial = try MultilevelTrial(setting, corpus, seed, context)
            let baseline: FLOPsToTarget = try trial.baseline()
            let target: Double = baseline.points.last?.loss ?? .nan
            record(Self.baseline, baseline, baseline, target, seed, &measurements)
            let arms: [(String, MultilevelTrial.Arm)] = [
                (Self.cycle, .cycle(alpha: 0.5)), (Self.copied, .cycle(alpha: 1)), (Self.alone, .cycle(alpha: 0)), (Self.growth, .growth),
            ]
            for (name, arm) in arms { record(name, try trial.run(name, arm), baseline, target, seed, &measurements) }
            try recordIdentities(trial, seed, &measurements)
        }
        return measurements
    }

    private func record(
        _ name: String, _ course: FLOPsToTarget, _ baseline: FLOPsToTarget, _ target: Double, _ seed: UInt64,
        _ measurements: inout Measurements
    ) {
        measurements.record(name, Self.loss, seed: seed, course.points.last?.loss ?? .nan)
        measurements.record(name, Self.cost, seed: seed, course.flops / baseline.flops)
        measurements.record(name, Self.saving, seed: seed, course.flops(toReach: target).map { 1 - $0 / baseline.flops } ?? 0)
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: "validation loss (nats per character)", axis: "operations (by the baseline's)", seed: seed,
                x: course.points.map { $0.flops / baseline.flops }, y: course.points.map(\.loss)))
    }

    private func recordIdentities(_ trial: MultilevelTrial, _ seed: UInt64, _ measurements: inout Measurements) throws {
        let found: MultilevelTrial.Identities = try trial.identities()
        measurements.record(Self.cycle, Self.roundTrip, seed: seed, found.roundTrip)
        measurements.record(Self.cycle, Self.preserved, seed: seed, found.preserved)
        measurements.record(Self.cycle, Self.brokenSymmetry, seed: seed, found.brokenSymmetry)
        measurements.record(Self.copied, Self.symmetry, seed: seed, found.symmetry)
        measurements.record(Self.cycle, Self.deepening, seed: seed, found.deepening)
    }
}

/// The sizes of the experiment at a scale.
struct MultilevelSetting {
    var dimensions: Int = 128
    var layers: Int = 6
    var heads: Int = 4
    var context: Int = 64
    var rows: Int = 16
    /// Steps of the baseline. The cycle has a tenth of them at first and half of them at the small size.
    var steps: Int
    var validationLimit: Int?
    /// The large model's and the small one's.
    var rates: [Double] = [3e-3, 6e-3]

    init(_ scale: Scale) {
        switch scale {
        case .smoke:
            (dimensions, layers, heads, context, rows, steps, validationLimit) = (16, 2, 2, 16, 4, 20, 500)
        case .small: (steps, validationLimit) = (600, 40_000)
        case .full:
            (dimensions, layers, heads, context, steps, rates) = (512, 12, 8, 512, 20_000, [1e-3, 2e-3])
        }
    }

    var initialSteps: Int { steps / 10 }
    var smallSteps: Int { steps / 2 }
    var warmUp: Int { max(1, steps / 24) }
}

/// The trainings of one seed.
struct MultilevelTrial {
    enum Arm {
        /// A V-cycle; with alpha 0 its small model counts for nothing and is left out.
        case cycle(alpha: Double)
        /// The small model from its own start, taken apart and trained on.
        case growth
    }

    /// The library's identities on a trained small model.
    struct Identities {
        var roundTrip: Double = 0
        var preserved: Double = 0
        var symmetry: Double = 0
        var brokenSymmetry: Double = 0
        var deepening: Double = 0
    }

    private let setting: MultilevelSetting
    private let seed: UInt64
    private let corpus: CharacterCorpus
    private let context: ExperimentContext
    private let configuration: PlainTransformerConfiguration
    private let maps: VCycle.Descent

    init(_ setting: MultilevelSetting, _ corpus: CharacterCorpus, _ seed: UInt64, _ context: ExperimentContext) throws {
        self.setting = setting
        self.corpus = corpus
        self.seed = seed
        self.context = context
        configuration = try PlainTransformerConfiguration(
            vocabularySize: corpus.vocabularySize, dimensions: setting.dimensions, layers: setting.layers, heads: setting.heads,
            maximumContext: setting.context)
        maps = VCycle.Descent(width: .stack(configuration), depth: .adjacent(layers: setting.layers))
    }

    /// Training at full size: the cost and the loss that the others are held to.
    func baseline() throws -> FLOPsToTarget {
        var course: FLOPsToTarget = FLOPsToTarget()
        try fit(try start(), MultilevelExperiment.baseline, steps: setting.steps, rate: setting.rates[0], warmUp: setting.warmUp, &course)
        return course
    }

    /// Trains for nine tenths of the baseline's operations in all.
    func run(_ name: String, _ arm: Arm) throws -> FLOPsToTarget {
        var course: FLOPsToTarget = FLOPsToTarget()
        let large: PlainTransformer = try start()
        let small: PlainTransformer = try Multilevel.coalesce(large, width: maps.width, depth: maps.depth)
        let usesSmall: Bool = if case .cycle(alpha: 0) = arm { false } else { true }
        let first: Int = if case .growth = arm { 0 } else { setting.initialSteps }
        let smallSteps: Int = usesSmall ? setting.smallSteps : 0
        let budget: Double = 0.9 * Double(setting.steps) - Double(first) - Double(smallSteps) * cost(small) / cost(large)
        let alpha: Double = if case .cycle(let share) = arm { share } else { 1 }
        let cycle: VCycle = VCycle(
            levels: [maps], steps: VCycle.Steps(initial: first, smallest: smallSteps, final: max(1, Int(budget))), alpha: alpha,
            rates: setting.rates)
        try cycle.train(large) { model, phase in
            // Warm-up in the first phase alone, as the paper's recipe has it.
            let isFirst: Bool = phase.kind == .initial || (phase.kind == .smallest && first == 0)
            try fit(
                model, name, steps: phase.steps, rate: phase.learningRate, warmUp: isFirst ? min(setting.warmUp, phase.steps - 1) : 0,
                decays: phase.kind == .final, &course)
        }
        return course
    }

    private func start() throws -> PlainTransformer {
        seedEverything(seed)
        return PlainTransformer(configuration)
    }

    private func cost(_ model: PlainTransformer) -> Double {
        var course: FLOPsToTarget = FLOPsToTarget()
        course.count(model, tokens: setting.rows * setting.context, context: setting.context)
        return course.flops
    }

    private func windows(_ tokens: PackedTokens) -> TextWindows {
        TextWindows(tokens, context: setting.context, rows: setting.rows, seed: seed)
    }

    /// Trains with a fresh AdamW at a constant rate, which in the last phase falls over its last fifth; there losses are noted.
    private func fit(
        _ model: PlainTransformer, _ name: String, steps: Int, rate: Double, warmUp: Int, decays: Bool = true, _ course: inout FLOPsToTarget
    ) throws {
        try context.checkCancellation()
        context.progress("\(name), seed \(seed): \(steps) steps at width \(model.configuration.dimensions)")
        let stretch: Int = decays ? max(1, steps / 15) : steps
        let trainer: TrainerConfiguration = try TrainerConfiguration(
            steps: steps,
            schedule: .warmUpStableDecay(warmUp: warmUp, decay: decays ? min(setting.steps / 5, steps - warmUp) : 0),
            validateEvery: decays ? stretch : nil, checkpointMinutes: nil, seed: seed)
        let optimizer: AdamW = try AdamW(
            groups: .decayingMatricesOnly(model.namedParameters()),
            configuration: AdamWConfiguration(learningRate: rate, beta1: 0.9, beta2: 0.95))
        let held: TextWindows = windows(corpus.validation)
        let validation: () throws -> [String: Double] = { ["loss": model.score(held).loss] }
        let result: TrainingResult = try Trainer(
            model: model, optimizer: optimizer, source: windows(corpus.training), configuration: trainer,
            progress: .automatic(), validation: decays ? validation : nil
        ) { model.loss($0) }.run()
        var counted: Int = 0
        for point in result.validations {
            course.count(model, tokens: setting.rows * setting.context, context: setting.context, steps: point.step - counted)
            counted = point.step
            if let loss = point.metrics["loss"] { course.record(loss: loss) }
        }
        course.count(model, tokens: setting.rows * setting.context, context: setting.context, steps: steps - counted)
    }

    // MARK: Identities

    func identities() throws -> Identities {
        var found: Identities = Identities()
        let large: PlainTransformer = try start()
        large.to(dtype: .float64)
        let small: PlainTransformer = try Multilevel.coalesce(large, width: maps.width, depth: maps.depth)
        let again: PlainTransformer = try Multilevel.coalesce(
            try Multilevel.decoalesce(small, width: maps.width, depth: maps.depth), width: maps.width, depth: maps.depth)
        found.roundTrip = zip(small.parameters(), again.parameters()).map { ($0 - $1).abs().max().item(Double.self) }.max() ?? .nan
        // A trained step or two, so that the model is not the symmetric one of the start.
        try descend(small, steps: 3)
        let wide: PlainTransformer = try Multilevel.decoalesce(small, width: try widths(of: small))
        let batch: TokenBatch = windows(corpus.training).batch(0)
        found.preserved = noGrad {
            let (before, after) = (small(batch.tensors(device: small.device).tokens), wide(batch.tensors(device: wide.device).tokens))
            return ((before - after).abs().max() / before.abs().max()).item(Double.self)
        }
        let deep: PlainTransformer = try Multilevel.decoalesce(small, depth: maps.depth)
        found.deepening = noGrad { (deep.loss(batch) - small.loss(batch)).item(Double.self) }
        let mixed: PlainTransformer = PlainTransformer(wide.configuration)
        mixed.to(dtype: .float64)
        Multilevel.interpolate(base: mixed, update: wide, alpha: 0.5)
        try descend(wide, steps: 3)
        try descend(mixed, steps: 3)
        found.symmetry = Self.largestDifferenceOfDoubles(wide)
        found.brokenSymmetry = Self.largestDifferenceOfDoubles(mixed)
        return found
    }

    /// Maps from twice the small model's widths.
    private func widths(of small: PlainTransformer) throws -> WidthMaps {
        let c: PlainTransformerConfiguration = small.configuration
        return .stack(
            try PlainTransformerConfiguration(
                vocabularySize: c.vocabularySize, dimensions: 2 * c.dimensions, layers: c.layers, heads: 2 * c.heads,
                hiddenDimensions: 2 * c.hiddenDimensions, maximumContext: c.maximumContext))
    }

    private func descend(_ model: PlainTransformer, steps: Int) throws {
        let optimizer: AdamW = try AdamW(parameters: model.parameters(), configuration: AdamWConfiguration(learningRate: 3e-3))
        let source: TextWindows = windows(corpus.training)
        for step in 0..<steps { optimizer.step(valueAndGrad(of: model) { model.loss(source.batch(step)) }.gradients) }
    }

    /// Between channel i and `i + d / 2` of the embeddings and of the feed-forwards' inside.
    private static func largestDifferenceOfDoubles(_ model: PlainTransformer) -> Double {
        noGrad {
            let inside: [Tensor] = model.blocks.compactMap { ($0.feedForward as? PlainFeedForward)?.expansion.denseWeight().transposed() }
            return ([model.embedding.weight] + inside).map { matrix in
                let half: Int = matrix.dim(1) / 2
                let left: Tensor = matrix.narrowed(axis: 1, start: 0, length: half)
                return (left - matrix.narrowed(axis: 1, start: half, length: half)).abs().max().item(Double.self)
            }.max() ?? .nan
        }
    }
}
