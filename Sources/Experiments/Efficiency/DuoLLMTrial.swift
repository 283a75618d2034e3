import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// The sizes of the Duo-LLM experiment at a scale.
struct DuoLLMSetting {
    var dimensions: Int = 96
    var layers: Int = 6
    var heads: Int = 4
    var bigHidden: Int = 384
    var smallHidden: Int = 24
    var context: Int = 64
    var rows: Int = 16
    var steps: Int = 2000
    var routerSteps: Int = 300
    /// Validation windows that the oracle is asked about.
    var oracleRows: Int = 32
    /// Random patterns of which the best is taken for each window.
    var patterns: Int = 100

    init(_ scale: Scale) {
        switch scale {
        case .smoke:
            (dimensions, layers, heads, bigHidden, smallHidden, context) = (16, 3, 2, 32, 4, 12)
            (rows, steps, routerSteps, oracleRows, patterns) = (4, 4, 3, 2, 3)
        case .small: break
        case .full: (dimensions, layers, heads, bigHidden, smallHidden, context, steps) = (512, 12, 8, 2048, 128, 256, 20_000)
        }
    }
}

/// A transformer trained on random routes, and what is asked of it.
struct DuoLLMTrial {
    let setting: DuoLLMSetting
    let seed: UInt64
    let model: DuoTransformer
    /// Validation tokens and their followers, `[rows, T]`.
    let tokens: Tensor
    let targets: Tensor
    private let source: TextWindows

    init(
        _ setting: DuoLLMSetting, _ corpus: CharacterCorpus, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws {
        (self.setting, self.seed) = (setting, seed)
        source = TextWindows(corpus.training, context: setting.context, rows: setting.rows, seed: seed)
        let held: TextWindows = TextWindows(corpus.validation, context: setting.context, rows: setting.oracleRows, seed: 0)
        (tokens, targets) = held.batch(0).tensors()
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: corpus.vocabularySize, dimensions: setting.dimensions, layers: setting.layers, heads: setting.heads,
            hiddenDimensions: setting.bigHidden, maximumContext: setting.context)
        let training: TrialTraining = TrialTraining(
            steps: setting.steps, learningRate: 3e-3, seed: seed, warmUp: min(50, setting.steps / 2))
        let (trained, curve) = try training.train("random routes", on: source, context: context) { (model: DuoTransformer, batch) in
            model.loss(batch) { model($0, routes: .random(nil)) }
        } make: {
            DuoTransformer(configuration, smallHidden: setting.smallHidden)
        }
        measurements.record(curve: curve)
        model = trained
        model.train(false)
    }

    /// Mean loss of the asked tokens on these routes.
    func loss(_ routes: DuoRoutes) -> Double { losses(routes).mean().item(Double.self) }

    /// Loss of each token, `[rows, T]`.
    func losses(_ routes: DuoRoutes) -> Tensor { noGrad { tokenLosses(model(tokens, routes: routes), targets) } }

    func oracle(_ mode: OracleRouter.Mode, budget: Int) -> OracleRoutes {
        OracleRouter(mode: mode, budget: budget)(model, tokens: tokens, targets: targets)
    }

    func oracle(_ candidates: OracleRouter.Candidates, targets: Tensor? = nil) -> OracleRoutes {
        OracleRouter(mode: .causalGreedy, candidates: candidates)(model, tokens: tokens, targets: targets ?? self.targets)
    }

    /// The same targets in another order: what an oracle gains on them it gains by choosing among several tries.
    var shuffledTargets: Tensor {
        let order: Tensor = .randomPermutation(
            targets.count, device: targets.device, generator: RandomGenerator(seed: seed + 1, device: targets.device))
        return targets.flattened().indexSelect(axis: 0, indices: order).reshaped(targets.shape)
    }

    /// Mean over windows of the least loss among random patterns with so many big modules for each token.
    func bestRandomPatterns(budget: Int) -> Double {
        var random: SplitMix64 = SplitMix64(seed: seed &+ 77)
        let paths: [RoutingPath] = RoutingPath.all(layers: model.layers, big: budget, allowSkip: model.allowSkip)
        let table: Tensor = Tensor(paths.map { $0.modules.map(\.rawValue) }.flatMap { $0 }, [paths.count, model.layers])
        let losses: [Tensor] = (0..<setting.patterns).map { _ in
            let drawn: [Int] = (0..<tokens.count).map { _ in Int(random.next(below: UInt64(paths.count))) }
            let pattern: Tensor = table.indexSelect(axis: 0, indices: Tensor(drawn)).reshaped(tokens.shape + [model.layers])
            return self.losses(.paths(pattern)).mean(axes: [1])
        }
        return stacked(losses).min(axis: 0).mean().item(Double.self)
    }

    /// Trains a router for half of the big modules.
    func router(_ context: ExperimentContext, _ measurements: inout Measurements) throws -> BudgetRouter {
        try context.checkCancellation()
        context.progress("router, seed \(seed): \(setting.routerSteps) steps")
        let training: BudgetRouterTraining = try BudgetRouterTraining(
            steps: setting.routerSteps, warmUp: min(15, setting.routerSteps / 2), seed: seed)
        let (router, result) = try BudgetRouter.train(for: model, on: source, training)
        measurements.record(curve: Measurements.Curve(method: "router", losses: result.losses, seed: seed))
        return router
    }

    /// Share of big modules that a router takes, over the asked tokens and all layers.
    func bigShare(_ router: BudgetRouter) -> Double {
        var shares: [Double] = []
        var x: Tensor = model.base.embedded(tokens)
        noGrad {
            for (layer, (block, feedForward)) in zip(model.base.blocks, model.feedForwards).enumerated() {
                let mixed: Tensor = x + block.mixer(block.attentionNorm(x))
                let choices: Tensor = router.choices(block.feedForwardNorm(mixed), layer: layer)
                shares.append((choices .== DuoModule.big.rawValue).asType(.float64).mean().item(Double.self))
                x = mixed + feedForward(block.feedForwardNorm(mixed), choices: choices)
            }
        }
        return shares.reduce(0, +) / Double(shares.count)
    }

    // MARK: Identities

    /// Largest difference between gathered and dense execution of random choices, relative to the largest entry.
    func differenceOfExecutions() -> Double {
        let x: Tensor = model.base.embedded(tokens) * 10.0
        let choices: Tensor = .randomIntegers(tokens.shape, low: 1, high: 3, generator: RandomGenerator(seed: seed))
        return noGrad {
            model.feedForwards.map { layer in
                let dense: Tensor = layer.dense(x, choices: choices)
                return ((layer(x, choices: choices) - dense).abs().max() / dense.abs().max()).item(Double.self)
            }.max() ?? .nan
        }
    }

    /// Largest difference between an oracle's losses and those of its paths in the model without a cache.
    func differenceOfOracle(_ routes: OracleRoutes) -> Double {
        (routes.losses - losses(.paths(routes.paths))).abs().max().item(Double.self)
    }
}
