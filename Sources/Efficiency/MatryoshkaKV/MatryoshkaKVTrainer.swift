import NN
import Optim
import SequenceModels
import Torch
import Training

/// How the projections of compressed caches are trained.
public struct MatryoshkaKVTraining: Codable, Sendable, Equatable {
    /// Which ranks a step is trained at.
    public enum Sampling: Codable, Sendable, Equatable {
        /// Each head of each layer draws an eighth, two eighths, … or all of its channels, keys and values apart.
        case matryoshka
        /// The same share of the channels at every step.
        case fixed(Double)
    }

    public var steps: Int
    public var learningRate: Double
    public var warmUp: Int
    /// Weight of the divergence from the uncompressed model; the rest is that of the next token.
    public var distillation: Double
    /// Both models' logits are divided by it in the divergence.
    public var temperature: Double
    public var sampling: Sampling
    public var seed: UInt64

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(
        steps: Int = 300, learningRate: Double = 1e-3, warmUp: Int = 100, distillation: Double = 0.25, temperature: Double = 1,
        sampling: Sampling = .matryoshka, seed: UInt64 = 0
    ) throws {
        self.steps = steps
        self.learningRate = learningRate
        self.warmUp = warmUp
        self.distillation = distillation
        self.temperature = temperature
        self.sampling = sampling
        self.seed = seed
        guard (0...1).contains(distillation) else {
            throw ConfigurationError("distillation is \(distillation); it has to lie in 0 ... 1")
        }
        guard temperature > 0 else { throw ConfigurationError("temperature is \(temperature); it has to be above 0") }
        if case .fixed(let share) = sampling, !(share > 0 && share <= 1) {
            throw ConfigurationError("the fixed share is \(share); it has to be above 0 and at most 1")
        }
    }
}

/// Trains bases and means of compressed caches by distillation from the same model without compression; its other weights stand still.
///
/// Each step draws ranks anew, so that any number of leading channels comes to hold what matters most.
public final class MatryoshkaKVTrainer {
    public let model: any CausalLanguageModel
    public let configuration: MatryoshkaKVTraining
    private var random: SplitMix64
    private let full: KVRankPlan

    /// - Throws: `ConfigurationError` for a model without projections.
    public init(_ model: any CausalLanguageModel, _ configuration: MatryoshkaKVTraining) throws {
        self.model = model
        self.configuration = configuration
        full = model.fullKVRanks
        guard !full.layers.isEmpty else { throw ConfigurationError("the model has no projections of keys and values to train") }
        random = SplitMix64(seed: configuration.seed)
    }

    /// Trains, and leaves the model without ranks. All weights but the projections are frozen afterwards too.
    /// - Parameters:
    ///   - source: of token batches.
    ///   - validation: read at half of the channels after each third of the steps.
    ///   - progress: how progress is shown.
    public func run(
        on source: some BatchSource<TokenBatch>, validation: TextWindows? = nil, progress: ProgressStyle = .automatic()
    ) throws -> TrainingResult {
        model.freeze { !$0.contains("kv_projection.") }
        let trained: [(name: String, tensor: Tensor)] = model.namedParameters().filter(\.tensor.requiresGrad)
        let optimizer: AdamW = try AdamW(
            groups: [ParameterGroup(parameters: trained.map(\.tensor), names: trained.map(\.name))],
            configuration: try AdamWConfiguration(learningRate: configuration.learningRate, weightDecay: 0))
        let settings: TrainerConfiguration = try TrainerConfiguration(
            steps: configuration.steps, schedule: .warmUpCosine(warmUp: configuration.warmUp, finalFraction: 0),
            validateEvery: max(1, configuration.steps / 3), checkpointMinutes: nil, seed: configuration.seed)
        defer { model.setKVRanks(nil) }
        let half: KVRankPlan = .uniform(budget: 0.5, like: full)
        let trainer: Trainer = try Trainer(
            model: model, optimizer: optimizer, source: source, configuration: settings, progress: progress,
            validation: validation.map { windows in
                { [model] in
                    model.setKVRanks(half)
                    return ["loss": model.score(windows).loss]
                }
            }, loss: loss)
        return try trainer.run()
    }

    /// The loss of a batch at ranks that are drawn now: `λ T² KL(uncompressed ‖ compressed) + (1 − λ) CE`, both as means over tokens.
    public func loss(_ batch: TokenBatch) -> Tensor { loss(batch, at: drawnRanks()) }

    /// As ``loss(_:)``, at given ranks.
    public func loss(_ batch: TokenBatch, at plan: KVRankPlan) -> Tensor {
        let (tokens, targets): (Tensor, Tensor) = batch.tensors(device: model.device)
        model.setKVRanks(nil)
        let teacher: Tensor = noGrad { model(tokens).flattened(from: 0, to: 1) }
        model.setKVRanks(plan)
        let student: Tensor = model(tokens).flattened(from: 0, to: 1)
        let t: Double = configuration.temperature
        let divergence: Tensor = klDivergence(
            (student / t).logSoftmax(), (teacher / t).logSoftmax(), logTarget: true, reduction: .sum)
        let nextToken: Tensor = crossEntropy(student, targets.flattened(), ignoredIndex: Int(TokenBatch.ignored))
        return divergence * (configuration.distillation * t * t / Double(teacher.dim(0))) + nextToken * (1 - configuration.distillation)
    }

    /// Ranks for the next step.
    func drawnRanks() -> KVRankPlan {
        switch configuration.sampling {
        case .fixed(let share):
            return .uniform(budget: share, like: full)
        case .matryoshka:
            let (step, choices): (Int, Int) = (full.step, full.headDimensions / full.step)
            func draw(_ ranks: [Int]) -> [Int] { ranks.map { _ in (1 + Int(random.next(below: UInt64(choices)))) * step } }
            return KVRankPlan(
                layers: full.layers.map { KVRanks(keys: draw($0.keys), values: draw($0.values)) }, headDimensions: full.headDimensions)
        }
    }
}
