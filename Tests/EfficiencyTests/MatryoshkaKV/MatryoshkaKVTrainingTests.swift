import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct MatryoshkaKVTrainingTests {
    private static func model() throws -> PlainTransformer {
        let model: PlainTransformer = try TinyTransformer.make()
        model.attachKVProjections(try KVProjection.pca(model, calibration: [TinyTransformer.tokens(6, 12, seed: 3)]))
        return model
    }

    private static let plan: KVRankPlan = KVRankPlan(
        layers: [KVRanks(keys: [3, 8], values: [1, 5]), KVRanks(keys: [2, 2], values: [7, 4])], headDimensions: 8)

    @Test func theLossIsWeighedDivergenceAndCrossEntropy() throws {
        let (model, batch): (PlainTransformer, TokenBatch) = (try Self.model(), TinyTransformer.batch(2, 6))
        let trainer: MatryoshkaKVTrainer = try MatryoshkaKVTrainer(model, MatryoshkaKVTraining(distillation: 0.25, temperature: 2))
        let found: Double = noGrad { trainer.loss(batch, at: Self.plan).item(Double.self) }
        let (tokens, targets) = batch.tensors(device: .cpu)
        let (teacher, student): (Tensor, Tensor) = noGrad {
            model.setKVRanks(nil)
            let teacher: Tensor = model(tokens)
            model.setKVRanks(Self.plan)
            return (teacher, model(tokens))
        }
        let p: Tensor = (teacher / 2.0).softmax()
        let divergence: Double = (p * (p.log() - (student / 2.0).softmax().log())).sum(axis: 2).mean().item(Double.self)
        let chosen: Tensor = student.softmax().log().gather(axis: 2, indices: targets.expandedDimensions(axis: 2))
        let expected: Double = 0.25 * 4 * divergence - 0.75 * chosen.mean().item(Double.self)
        #expect(abs(found - expected) < 1e-12)
    }

    /// The gradients of all parameters of the projections against finite differences; the mean of the keys moves no output.
    @Test func gradientsReachTheProjections() throws {
        let (model, batch): (PlainTransformer, TokenBatch) = (try Self.model(), TinyTransformer.batch(1, 5))
        let trainer: MatryoshkaKVTrainer = try MatryoshkaKVTrainer(model, MatryoshkaKVTraining())
        model.train()
        let projection: KVProjection = model.matryoshkaLayers[1].projection
        let parameters: [Tensor] = [projection.key.skew, projection.value.skew, projection.valueMean, projection.keyMean]
        let found: [Tensor] = gradients(of: [trainer.loss(batch, at: Self.plan)], withRespectTo: parameters)
        for (parameter, gradient) in zip(parameters, found) {
            for place in [1, 9, 15] {
                let difference: Double = differenceQuotient(parameter, at: place) { trainer.loss(batch, at: Self.plan) }
                #expect(abs(gradient.flattened()[place].item(Double.self) - difference) < 1e-8)
            }
        }
        #expect(found[0].abs().max().item(Double.self) > 1e-4 && found[1].abs().max().item(Double.self) > 1e-4)
        #expect(found[3].abs().max().item(Double.self) < 1e-12)
    }

    /// Each head of each layer has ranks of its own at every step, keys and values apart.
    @Test func ranksAreDrawnForEachHeadAlone() throws {
        let trainer: MatryoshkaKVTrainer = try MatryoshkaKVTrainer(Self.model(), MatryoshkaKVTraining(seed: 3))
        let draws: [[Int]] = (0..<800).map { _ in trainer.drawnRanks().layers.flatMap { $0.keys + $0.values } }
        for slot in 0..<8 {
            for rank in 1...8 {
                let share: Double = Double(draws.count { $0[slot] == rank }) / 800
                #expect(abs(share - 0.125) < 4 * (0.125 * 0.875 / 800).squareRoot())
            }
            for other in 0..<slot {
                let together: Double = Double(draws.count { $0[slot] == $0[other] }) / 800
                #expect(abs(together - 0.125) < 4 * (0.125 * 0.875 / 800).squareRoot(), "slots \(slot) and \(other)")
            }
        }
        let fixed: MatryoshkaKVTrainer = try MatryoshkaKVTrainer(Self.model(), MatryoshkaKVTraining(sampling: .fixed(0.5)))
        #expect(fixed.drawnRanks().layers.allSatisfy { $0 == KVRanks(heads: 2, rank: 4) })
    }

    @Test func trainingLowersTheLossAndTouchesNothingElse() throws {
        let model: PlainTransformer = try Self.model()
        model.to(dtype: .float32)
        let before: [String: Tensor] = Dictionary(uniqueKeysWithValues: model.stateTensors().map { ($0.0, $0.1.detached().cloned()) })
        let source: GeneratedBatches<TokenBatch> = GeneratedBatches(itemsPerBatch: 1, itemName: "tokens") { _ in
            TinyTransformer.batch(4, 10)
        }
        let trainer: MatryoshkaKVTrainer = try MatryoshkaKVTrainer(
            model, MatryoshkaKVTraining(steps: 30, learningRate: 1e-2, warmUp: 3, sampling: .fixed(0.25)))
        let result: TrainingResult = try trainer.run(on: source, progress: .quiet)
        #expect((result.losses.last ?? .infinity) < (result.losses.first ?? 0) - 1e-3)
        for (name, tensor) in model.stateTensors() {
            let change: Double = noGrad { (tensor - (before[name] ?? tensor.zerosLike())).abs().max().item(Double.self) }
            #expect(name.contains("kv_projection.") || change == 0, "\(name)")
            #expect(!name.hasSuffix(".skew") || change > 0, "\(name)")
        }
        for layer in model.matryoshkaLayers {
            let basis: Tensor = noGrad { layer.projection.key.matrix() }
            #expect((basis.mT.matmul(basis) - Tensor.eye(8)).abs().max().item(Double.self) < 1e-6)
        }
    }

    // MARK: The search

    @Test(arguments: RankSearch.Measure.allCases) func theSearchMeetsItsBudgetInSteps(measure: RankSearch.Measure) throws {
        let model: PlainTransformer = try Self.model()
        model.setKVRanks(Self.plan)
        let path: KVRankPath = try RankSearch.path(model, calibration: TinyTransformer.tokens(2, 8), to: 0.25, measure: measure)
        #expect(model.matryoshkaLayers.map(\.ranks) == Self.plan.layers)
        #expect(path.start.budget == 1 && path.moves.count == 48)
        for budget in [1, 0.8, 0.5, 0.25] {
            let plan: KVRankPlan = path.plan(budget: budget)
            #expect(plan.budget <= budget && plan.budget > budget - 1.0 / 64 - 1e-9)
            #expect(plan.layers.allSatisfy { ($0.keys + $0.values).allSatisfy { (1...8).contains($0) } })
        }
        #expect(
            path.plan(budget: 0.25)
                == (try RankSearch.greedy(model, calibration: TinyTransformer.tokens(2, 8), budget: 0.25, measure: measure)))
    }

    /// The first cut is the cheapest of all, judged one by one.
    @Test func theFirstCutCostsLeast() throws {
        let (model, tokens): (PlainTransformer, Tensor) = (try Self.model(), TinyTransformer.tokens(2, 8))
        let move: KVRankPath.Move = try #require(RankSearch.path(model, calibration: tokens, to: 0.9).moves.first)
        model.setKVRanks(nil)
        let teacher: Tensor = noGrad { model(tokens) }.softmax()
        var costs: [String: Double] = [:]
        for layer in 0..<2 {
            for head in 0..<2 {
                for isValue in [false, true] {
                    var plan: KVRankPlan = model.fullKVRanks
                    plan.cut(layer, head, isValue: isValue)
                    model.setKVRanks(plan)
                    let student: Tensor = noGrad { model(tokens) }.softmax()
                    costs["\(layer) \(head) \(isValue)"] = (teacher * (teacher / student).log()).sum(axis: 2).mean().item(Double.self)
                }
            }
        }
        let cheapest: (key: String, value: Double) = try #require(costs.min { $0.value < $1.value })
        #expect("\(move.layer) \(move.head) \(move.isValue)" == cheapest.key && abs(move.cost - cheapest.value) < 1e-12)
    }

    /// A head whose values are 0 loses all that it can before any other, keys as well as values.
    @Test(arguments: RankSearch.Measure.allCases) func emptyChannelsGoFirst(measure: RankSearch.Measure) throws {
        let model: PlainTransformer = try TinyTransformer.make()
        guard let attention = (model.blocks[1].mixer as? SoftmaxAttention)?.attention else { preconditionFailure("softmax attention") }
        noGrad { attention.valueProjection.denseWeight().narrowed(axis: 0, start: 8, length: 8).zero_() }
        model.attachKVProjections(try KVProjection.pca(model, calibration: [TinyTransformer.tokens(6, 12, seed: 3)]))
        let path: KVRankPath = try RankSearch.path(model, calibration: TinyTransformer.tokens(2, 8), to: 0.75, measure: measure)
        for move in path.moves.prefix(14) { #expect(move.layer == 1 && move.head == 1) }
        #expect(path.moves.dropFirst(14).allSatisfy { $0.layer == 0 || $0.head == 0 })
    }
}
