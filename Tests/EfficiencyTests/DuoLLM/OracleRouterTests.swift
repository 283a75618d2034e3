import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct OracleRouterTests {
    private static let length: Int = 8

    private static func losses(_ model: DuoTransformer, _ tokens: Tensor, _ targets: Tensor, _ paths: Tensor) -> Tensor {
        noGrad { tokenLosses(model(tokens, routes: .paths(paths)), targets) }
    }

    /// The cached oracle against all candidates in full passes without a cache, token by token.
    @Test(arguments: [false, true]) func theGreedyOracleIsBruteForce(rotary: Bool) throws {
        let model: DuoTransformer = try DuoLLMTests.model(rotary: rotary)
        let (tokens, targets): (Tensor, Tensor) = (TinyTransformer.tokens(2, Self.length), TinyTransformer.tokens(2, Self.length, seed: 8))
        for budget in [0, 1, 2] {
            let found: OracleRoutes = OracleRouter(mode: .causalGreedy, budget: budget)(model, tokens: tokens, targets: targets)
            let candidates: [RoutingPath] = RoutingPath.all(layers: 3, big: budget)
            for row in 0..<2 {
                var committed: [RoutingPath] = []
                for t in 0..<Self.length {
                    let tries: [Double] = candidates.map { candidate in
                        let paths: Tensor = Tensor(committed + [candidate], device: .cpu).expandedDimensions(axis: 0)
                        let (text, next): (Tensor, Tensor) = (tokens[row..<row + 1, 0...t], targets[row..<row + 1, 0...t])
                        return Self.losses(model, text, next, paths)[0, t].item(Double.self)
                    }
                    let least: Double = try #require(tries.min())
                    #expect(abs(found.losses[row, t].item(Double.self) - least) < 1e-12)
                    committed.append(candidates[try #require(tries.firstIndex(of: least))])
                    let path: [Int] = found.paths[row, t].array(Int64.self).map { Int($0) }
                    #expect(path == committed[t].modules.map(\.rawValue))
                }
            }
        }
    }

    /// Where the context takes the big modules, the oracle is at least as good as each fixed choice for the token, and as one of them.
    @Test func theIndependentOracleIsTheBestOfAllPaths() throws {
        let model: DuoTransformer = try DuoLLMTests.model(allowSkip: true)
        let (tokens, targets): (Tensor, Tensor) = (TinyTransformer.tokens(3, Self.length), TinyTransformer.tokens(3, Self.length, seed: 8))
        let candidates: [RoutingPath] = RoutingPath.all(layers: 3, big: 1, allowSkip: true)
        #expect(candidates.count == 12)
        let found: OracleRoutes = OracleRouter(mode: .independent, budget: 1)(model, tokens: tokens, targets: targets)
        let big: Tensor = Tensor([RoutingPath(.big, layers: 3)], device: .cpu).reshaped(1, 1, 3)
        for t in [0, 3, 7] {
            let tries: [Tensor] = candidates.map { candidate in
                let paths: Tensor = big.expanded(to: [3, Self.length, 3]).cloned()
                paths[0..., t] = Tensor([candidate], device: .cpu)
                return Self.losses(model, tokens, targets, paths).selected(axis: 1, index: t)
            }
            let least: Tensor = stacked(tries).min(axis: 0)
            #expect(relativeError(found.losses.selected(axis: 1, index: t), least) < 1e-12)
        }
    }

    @Test func moreCandidatesAreNeverWorse() throws {
        let model: DuoTransformer = try DuoLLMTests.model()
        let (tokens, targets): (Tensor, Tensor) = (TinyTransformer.tokens(2, Self.length), TinyTransformer.tokens(2, Self.length, seed: 8))
        func oracle(_ paths: [RoutingPath]) -> Tensor {
            OracleRouter(mode: .independent, candidates: .paths(paths))(model, tokens: tokens, targets: targets).losses
        }
        let all: [RoutingPath] = (0...3).flatMap { RoutingPath.all(layers: 3, big: $0) }
        let (few, many): (Tensor, Tensor) = (oracle(Array(all.prefix(3))), oracle(all))
        #expect((many - few).max().item(Double.self) <= 1e-13)
        #expect((few - many).max().item(Double.self) > 1e-3)
    }

    @Test func routesSayWhatTheyUse() {
        let paths: Tensor = Tensor([[1, 2], [2, 2], [1, 1], [1, 2]].flatMap { $0 }, [2, 2, 2], device: .cpu)
        let routes: OracleRoutes = OracleRoutes(losses: Tensor([1.0, 2, 3, 6], [2, 2], device: .cpu), paths: paths)
        #expect(routes.loss == 3 && routes.bigUse == [0.25, 0.75])
        #expect(routes.agreement(with: RoutingPath([.small, .big])) == 0.5)
        let better: OracleRoutes = OracleRoutes(losses: Tensor([0.5, 2.5, 1, 6], [2, 2], device: .cpu), paths: paths)
        #expect(TokenDifficulty([routes, better]).values.flattened().array(Double.self) == [0.5, 0, 2, 0])
    }

    @Test func drawnCandidatesDifferFromPositionToPosition() throws {
        let model: DuoTransformer = try DuoLLMTests.model()
        let (tokens, targets): (Tensor, Tensor) = (TinyTransformer.tokens(4, Self.length), TinyTransformer.tokens(4, Self.length, seed: 8))
        let routes: OracleRoutes = OracleRouter(mode: .causalGreedy, candidates: .drawn(1, seed: 2))(
            model, tokens: tokens, targets: targets)
        // With one candidate all rows take it; over the positions there is more than one.
        #expect(routes.paths.unique(axis: 0).values.dim(0) == 1 && routes.paths[0].unique(axis: 0).values.dim(0) > 2)
    }

    // MARK: The router

    @Test func theBudgetLossHasItsGradient() throws {
        let configuration: BudgetRouterTraining = try BudgetRouterTraining(budget: 0.3, penalty: 2)
        let share: Tensor = Tensor([0.7], dtype: .float64, device: .cpu)
        #expect(abs(BudgetRouter.budgetLoss(share, configuration).item(Double.self) - 0.32) < 1e-12)
        try gradientCheck([share]) { [BudgetRouter.budgetLoss($0[0], configuration)] }
        // Through the router: its loss against finite differences, one weight of each layer.
        let model: DuoTransformer = try DuoLLMTests.model()
        let router: BudgetRouter = BudgetRouter(for: model)
        let batch: TokenBatch = TinyTransformer.batch(2, 6)
        func loss() -> Tensor { BudgetRouter.loss(model, router, batch, temperature: 3, configuration) }
        let weights: [Tensor] = router.layers.map(\.weight)
        for (weight, gradient) in zip(weights, gradients(of: [loss()], withRespectTo: weights)) {
            let difference: Double = differenceQuotient(weight, at: 5) { loss() }
            #expect(abs(gradient.flattened()[5].item(Double.self) - difference) < 1e-8)
        }
    }

    /// The share is counted over all layers together: one layer may take it all.
    @Test func theBudgetIsGlobal() throws {
        let model: DuoTransformer = try DuoLLMTests.model(layers: 2)
        let router: BudgetRouter = BudgetRouter(for: model)
        for (index, layer) in router.layers.enumerated() {
            // The norm's output sums to 0; its bias makes the first channel large.
            let weight: Tensor = layer.weight.detached()
            weight.zero_()
            weight[1, 0] = index == 0 ? 1 : -1
            let bias: Tensor? = model.base.blocks[index].feedForwardNorm.namedParameters().first { $0.name == "bias" }?.tensor
            try #require(bias).detached()[0] = 50
        }
        let share: Tensor = noGrad { model.mixed(TinyTransformer.tokens(2, 6), router: router, temperature: 10).bigShare }
        #expect(abs(share.item(Double.self) - 0.5) < 1e-6)
        let hard: Tensor = noGrad { model(TinyTransformer.tokens(2, 6), routes: .router(router)) }
        let expected: Tensor = noGrad { model(TinyTransformer.tokens(2, 6), routes: .fixed(RoutingPath([.big, .small]))) }
        #expect(relativeError(hard, expected) < 1e-12)
    }

    @Test func trainingMovesTheRouterAlone() throws {
        let model: DuoTransformer = try DuoLLMTests.model()
        model.to(dtype: .float32)
        let before: [Tensor] = model.parameters().map { $0.detached().cloned() }
        let source: GeneratedBatches<TokenBatch> = GeneratedBatches(itemsPerBatch: 1, itemName: "tokens") { _ in
            TinyTransformer.batch(4, 10)
        }
        let configuration: BudgetRouterTraining = try BudgetRouterTraining(
            steps: 40, learningRate: 0.05, warmUp: 2, budget: 0.25, penalty: 20)
        let (router, result): (BudgetRouter, TrainingResult) = try BudgetRouter.train(
            for: model, on: source, configuration, progress: .quiet)
        #expect((result.losses.last ?? .infinity) < (result.losses.first ?? 0) - 0.1)
        for (found, expected) in zip(model.parameters(), before) { #expect(found.isEqual(to: expected) && found.requiresGrad) }
        #expect(configuration.temperature(0) == 1 && configuration.temperature(39) == 10)
        let share: Double = noGrad {
            model.mixed(TinyTransformer.tokens(4, 10), router: router, temperature: 10).bigShare.item(Double.self)
        }
        #expect(abs(share - 0.25) < 0.15)
        #expect(throws: ConfigurationError("budget is 1.5; it has to lie in 0 ... 1")) { try BudgetRouterTraining(budget: 1.5) }
    }
}
