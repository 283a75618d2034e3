import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// What routing each token through big and small modules could gain, found by an oracle, and what a trained router gains (arXiv 2410.10846).
public struct DuoLLMExperiment: Experiment {
    public static let slug: String = "duo-llm"
    public static let summary: String =
        "A transformer on characters trained with a big or a small feed-forward drawn for each token and layer: an oracle's best paths at each budget beside fixed and random patterns and a trained router, and the oracle on shuffled labels."

    private static let loss: String = "loss of the asked tokens (nats per character)"
    private static let execution: String = "gathered against dense execution (relative)"
    private static let recomputed: String = "oracle's losses against its paths without a cache (nats)"
    private static let extreme: String = "oracle without a choice against the fixed path (nats)"
    private static let share: String = "share of big modules"
    private static let gain: String = "gain over all big (nats)"

    private static func oracle(_ budget: Int) -> String { "oracle, \(budget) big" }

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("gathered and dense execution agree to 1e-5") { $0["all big", execution] <= 1e-5 },
            Gate("the oracle's losses are those of its paths, recomputed without a cache, to 1e-4") { $0["oracle", recomputed] <= 1e-4 },
            Gate("where there is one path, the oracle's loss is that path's, to 1e-4") { $0["oracle", extreme] <= 1e-4 },
        ],
        claims: [
            Claim("loss of all big minus the oracle's with one big module", atLeast: 0.1) { $0["all big", loss] - $0[oracle(1), loss] },
            Claim("loss of the oracle without and with all big modules (the lower) minus that at half", atLeast: 0) { seed in
                let ends: [Double] = [seed["oracle, no big", loss], seed["oracle, all big", loss]]
                return ends.contains(where: \.isNaN) ? .nan : (ends.min() ?? .nan) - seed["oracle, half big", loss]
            },
            Claim("loss of the best fixed pattern at half minus the router's", atLeast: -0.05) {
                $0["best fixed pattern, half big", loss] - $0["router", loss]
            },
            Claim("loss of the router minus the oracle's at half", atLeast: 0.2) { $0["router", loss] - $0["oracle, half big", loss] },
            Claim("loss of all small minus all big", atLeast: 0.02) { $0["all small", loss] - $0["all big", loss] },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: DuoLLMSetting = DuoLLMSetting(scale)
        let corpus: CharacterCorpus = try CharacterCorpus(context: setting.context, limit: scale == .smoke ? 1000 : nil)
        for seed in context.seeds {
            let trial: DuoLLMTrial = try DuoLLMTrial(setting, corpus, seed, context, &measurements)
            fixedPatterns(trial, &measurements)
            try context.checkCancellation()
            context.progress("oracle, seed \(seed): \(trial.tokens.count) tokens")
            let routes: [OracleRoutes] = oracles(trial, &measurements)
            try context.checkCancellation()
            controls(trial, routes, &measurements)
            let router: BudgetRouter = try trial.router(context, &measurements)
            measurements.record("router", Self.loss, seed: seed, trial.loss(.router(router)))
            measurements.record("router", Self.share, seed: seed, trial.bigShare(router))
        }
        return measurements
    }

    private func fixedPatterns(_ trial: DuoLLMTrial, _ measurements: inout Measurements) {
        let (seed, layers): (UInt64, Int) = (trial.seed, trial.model.layers)
        let half: Int = layers / 2
        let patterns: [(String, RoutingPath)] = [
            ("first half big", .first(half, of: layers)), ("last half big", .last(half, of: layers)),
            ("every other big", .spread(half, of: layers)),
        ]
        let losses: [Double] = patterns.map { trial.loss(.fixed($0.1)) }
        for ((name, _), loss) in zip(patterns, losses) { measurements.record(name, Self.loss, seed: seed, loss) }
        measurements.record("best fixed pattern, half big", Self.loss, seed: seed, losses.min() ?? .nan)
        measurements.record("best of random patterns, half big", Self.loss, seed: seed, trial.bestRandomPatterns(budget: half))
        measurements.record("all big", Self.loss, seed: seed, trial.loss(.fixed(RoutingPath(.big, layers: layers))))
        measurements.record("all small", Self.loss, seed: seed, trial.loss(.fixed(RoutingPath(.small, layers: layers))))
        measurements.record("all big", Self.execution, seed: seed, trial.differenceOfExecutions())
    }

    /// The oracle at every budget, in both modes; the routes of `causalGreedy`.
    private func oracles(_ trial: DuoLLMTrial, _ measurements: inout Measurements) -> [OracleRoutes] {
        let (seed, layers): (UInt64, Int) = (trial.seed, trial.model.layers)
        let routes: [OracleRoutes] = (0...layers).map { trial.oracle(.causalGreedy, budget: $0) }
        let budgets: [Double] = (0...layers).map { Double($0) }
        func record(_ method: String, _ losses: [Double]) {
            measurements.record(
                curve: Measurements.Curve(
                    method: method, metric: "loss (nats per character)", axis: "big modules of a token", seed: seed, x: budgets, y: losses))
        }
        record("oracle", routes.map(\.loss))
        record("oracle, earlier tokens all big", (0...layers).map { trial.oracle(.independent, budget: $0).loss })
        for (name, budget) in [("no", 0), ("half", layers / 2), ("all", layers)] {
            measurements.record("oracle, \(name) big", Self.loss, seed: seed, routes[budget].loss)
        }
        measurements.record(Self.oracle(1), Self.loss, seed: seed, routes[1].loss)
        for (method, budget) in [(Self.oracle(1), 1), ("oracle, half big", layers / 2)] {
            let patterns: [RoutingPath] = [.first(budget, of: layers), .last(budget, of: layers), .spread(budget, of: layers)]
            for (name, path) in zip(["the first", "the last", "evenly spread"], patterns) {
                measurements.record(
                    method, "share of tokens with the big modules in \(name) layers", seed: seed, routes[budget].agreement(with: path))
            }
        }
        for (budget, route) in routes.enumerated() {
            measurements.record(
                curve: Measurements.Curve(
                    method: "oracle, \(budget) big", metric: "share of tokens with the big module", axis: "layer", seed: seed,
                    x: (0..<layers).map { Double($0) }, y: route.bigUse))
        }
        measurements.record("oracle", Self.recomputed, seed: seed, routes.map { trial.differenceOfOracle($0) }.max() ?? .nan)
        let ends: [Double] = [(0, DuoModule.small), (layers, .big)].map {
            abs(routes[$0.0].loss - trial.loss(.fixed(RoutingPath($0.1, layers: layers))))
        }
        measurements.record("oracle", Self.extreme, seed: seed, ends.max() ?? .nan)
        return routes
    }

    /// How much of the gain comes from choosing among many tries, and what makes a token difficult.
    private func controls(_ trial: DuoLLMTrial, _ routes: [OracleRoutes], _ measurements: inout Measurements) {
        let (seed, layers): (UInt64, Int) = (trial.seed, trial.model.layers)
        let allBig: DuoRoutes = .fixed(RoutingPath(.big, layers: layers))
        let shuffled: Tensor = trial.shuffledTargets
        let shuffledLoss: Double = noGrad { tokenLosses(trial.model(trial.tokens, routes: allBig), shuffled).mean().item(Double.self) }
        for (name, budget) in [("1", 1), ("half", layers / 2)] {
            measurements.record("oracle, \(name) big", Self.gain, seed: seed, trial.loss(allBig) - routes[budget].loss)
            let chance: OracleRoutes = trial.oracle(.budget(budget), targets: shuffled)
            measurements.record("oracle on shuffled labels, \(name) big", Self.gain, seed: seed, shuffledLoss - chance.loss)
            let tries: Int = RoutingPath.all(layers: layers, big: budget).count
            let drawn: OracleRoutes = trial.oracle(.drawn(tries, seed: seed))
            measurements.record("best of as many random paths as \(name) big has", Self.loss, seed: seed, drawn.loss)
            measurements.record(
                "oracle, \(name) big", "loss of as many random paths minus the oracle's (nats)", seed: seed,
                drawn.loss - routes[budget].loss)
        }
        let difficulty: Tensor = TokenDifficulty(routes).values.flattened()
        let losses: Tensor = trial.losses(allBig).flattened()
        measurements.record("all big", "correlation of difficulty and loss", seed: seed, Self.correlation(difficulty, losses))
        measurements.record("all big", "mean difficulty (nats)", seed: seed, difficulty.mean().item(Double.self))
        let order: Tensor = losses.argSort()
        let thinned: Tensor = order.indexSelect(axis: 0, indices: .arange(0, order.count, step: max(1, order.count / 200), dtype: .int64))
        measurements.record(
            curve: Measurements.Curve(
                method: "tokens", metric: "difficulty (nats)", axis: "loss with all big modules (nats)", seed: seed,
                x: losses.indexSelect(axis: 0, indices: thinned).asType(.float64).array(),
                y: difficulty.indexSelect(axis: 0, indices: thinned).asType(.float64).array()))
    }

    private static func correlation(_ a: Tensor, _ b: Tensor) -> Double {
        let (x, y): (Tensor, Tensor) = (a - a.mean(), b - b.mean())
        return ((x * y).mean() / (x.square().mean() * y.square().mean()).sqrt()).item(Double.self)
    }
}
