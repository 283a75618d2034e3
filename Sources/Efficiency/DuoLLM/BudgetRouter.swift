import NN
import Optim
import SequenceModels
import Torch
import Training

/// How a ``BudgetRouter`` is trained.
public struct BudgetRouterTraining: Codable, Sendable, Equatable {
    public var steps: Int
    public var learningRate: Double
    public var warmUp: Int
    /// Wanted share of big modules over all tokens and layers together.
    public var budget: Double
    /// Weight of the squared distance from the budget.
    public var penalty: Double
    /// Factor of the logits at the first and, rising linearly, at the last step.
    public var firstTemperature: Double
    public var lastTemperature: Double
    public var seed: UInt64

    /// - Throws: `ConfigurationError` for a budget outside `0 ... 1`, or no steps.
    public init(
        steps: Int = 300, learningRate: Double = 3e-3, warmUp: Int = 15, budget: Double = 0.5, penalty: Double = 1,
        firstTemperature: Double = 1, lastTemperature: Double = 10, seed: UInt64 = 0
    ) throws {
        self.steps = steps
        self.learningRate = learningRate
        self.warmUp = warmUp
        self.budget = budget
        self.penalty = penalty
        self.firstTemperature = firstTemperature
        self.lastTemperature = lastTemperature
        self.seed = seed
        guard (0...1).contains(budget) else { throw ConfigurationError("budget is \(budget); it has to lie in 0 ... 1") }
    }

    /// The factor of the logits at a step.
    func temperature(_ step: Int) -> Double {
        firstTemperature + (lastTemperature - firstTemperature) * Double(step) / Double(max(1, steps - 1))
    }
}

/// One linear map for each layer that chooses a token's module from the input of its feed-forward.
///
/// While it is trained all modules are mixed by `softmax(W x τ)`, with a τ that rises until the choice is hard; later the likeliest is taken.
public final class BudgetRouter: Module {
    /// `D → modules`, first layer first.
    @ModuleInfo public var layers: [Linear]
    /// What the outputs stand for.
    public let modules: [DuoModule]

    /// Weights start as N(0, 0.02²).
    public init(for model: DuoTransformer, generator: RandomGenerator? = nil) {
        let feedForwards: [DuoFFN] = model.feedForwards
        modules = feedForwards.first?.modules ?? []
        super.init()
        layers = feedForwards.map { Linear(model.base.configuration.dimensions, $0.modules.count, bias: false) }
        initializeNormal(generator: generator)
        to(dtype: model.base.embedding.weight.dtype, device: model.device)
    }

    /// Weights of the modules `[..., modules]` for inputs `[..., D]` of a layer's feed-forward.
    public func weights(_ x: Tensor, layer: Int, temperature: Double) -> Tensor { (layers[layer](x) * temperature).softmax() }

    /// The likeliest module, `[...]`: raw values of ``DuoModule``.
    public func choices(_ x: Tensor, layer: Int) -> Tensor {
        let lowest: Int = modules.first?.rawValue ?? 0
        return layers[layer](x).argMax(axis: -1) + lowest
    }

    /// `penalty (share − budget)²`, where the share is the mean weight of the big modules over all tokens and layers.
    static func budgetLoss(_ bigShare: Tensor, _ configuration: BudgetRouterTraining) -> Tensor {
        (bigShare - configuration.budget).square() * configuration.penalty
    }

    /// Trains a router for a model that stands still.
    /// - Parameters:
    ///   - model: trained on random routes.
    ///   - source: of token batches.
    ///   - configuration: of the training.
    ///   - progress: how progress is shown.
    public static func train(
        for model: DuoTransformer, on source: some BatchSource<TokenBatch>, _ configuration: BudgetRouterTraining,
        progress: ProgressStyle = .automatic()
    ) throws -> (router: BudgetRouter, result: TrainingResult) {
        let generator: RandomGenerator = RandomGenerator(seed: configuration.seed, device: model.device)
        let router: BudgetRouter = BudgetRouter(for: model, generator: generator)
        let trainable: [Tensor] = model.trainableParameters()
        model.freeze()
        defer { for parameter in trainable { parameter.requiringGrad() } }
        let named: [(name: String, tensor: Tensor)] = router.namedParameters()
        let optimizer: AdamW = try AdamW(
            groups: [ParameterGroup(parameters: named.map(\.tensor), names: named.map(\.name))],
            configuration: try AdamWConfiguration(learningRate: configuration.learningRate, weightDecay: 0))
        let settings: TrainerConfiguration = try TrainerConfiguration(
            steps: configuration.steps, schedule: .warmUpCosine(warmUp: configuration.warmUp, finalFraction: 0.1),
            checkpointMinutes: nil, seed: configuration.seed)
        var step: Int = 0
        let trainer: Trainer = try Trainer(
            model: router, optimizer: optimizer, source: source, configuration: settings, progress: progress
        ) { batch in
            defer { step += 1 }
            return loss(model, router, batch, temperature: configuration.temperature(step), configuration)
        }
        return (router, try trainer.run())
    }

    /// The next token's cross-entropy with mixed modules, and the penalty of the budget.
    static func loss(
        _ model: DuoTransformer, _ router: BudgetRouter, _ batch: TokenBatch, temperature: Double, _ configuration: BudgetRouterTraining
    ) -> Tensor {
        var penalty: Tensor?
        let nextToken: Tensor = model.loss(batch) { tokens in
            let mixed: (logits: Tensor, bigShare: Tensor) = model.mixed(tokens, router: router, temperature: temperature)
            penalty = budgetLoss(mixed.bigShare, configuration)
            return mixed.logits
        }
        return nextToken.adding(penalty)
    }
}
