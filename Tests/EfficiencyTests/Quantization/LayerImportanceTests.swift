import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct LayerImportanceTests {
    private let tokens: Tensor = Tensor((0..<24).map { ($0 * $0 + 5 * $0) % 11 }, [2, 12])

    private func model() throws -> PlainTransformer {
        PlainTransformer(
            try PlainTransformerConfiguration(vocabularySize: 11, dimensions: 32, layers: 3, heads: 2, maximumContext: 12),
            generator: RandomGenerator(seed: 4)
        ).train(false)
    }

    @Test func inputModificationIsACosineOfEachToken() {
        let generator: RandomGenerator = RandomGenerator(seed: 8)
        let x: Tensor = .normal([4, 6, 8], dtype: .float64, generator: generator)
        let y: Tensor = .normal([4, 6, 8], dtype: .float64, generator: generator)
        let score: Double = LayerImportance.modification(x, y)
        #expect(abs(score) <= 1)
        #expect(abs(LayerImportance.modification(x * 3, y * 0.2) - score) < 1e-12)
        #expect(abs(LayerImportance.modification(x, x) + 1) < 1e-12 && abs(LayerImportance.modification(x, -x) - 1) < 1e-12)
        // One long token does not outweigh the others.
        let long: Tensor = which(Tensor.arange(24).reshaped(4, 6, 1) .== 0, x * 1000, x)
        #expect(abs(LayerImportance.modification(long, y) - score) < 1e-12)
        let rows: [Double] = zip(x.reshaped(24, 8).unbound(), y.reshaped(24, 8).unbound()).map { a, b in
            -(a * b).sum().item(Double.self) / (a.norm() * b.norm()).item(Double.self)
        }
        #expect(abs(rows.reduce(0, +) / 24 - score) < 1e-12)
    }

    @Test func aBlockThatChangesNothingIsTheLeastImportant() throws {
        let model: PlainTransformer = try model()
        model.apply { $0 * 8 }
        model.update(parameters: [
            "blocks.1.attention.o_proj.weight": .zeros([32, 32]), "blocks.1.feed_forward.contraction.weight": .zeros([32, 128]),
        ])
        let importance: LayerImportance = .lim(model, calibration: [tokens])
        #expect(abs(importance.scores[1] + 1) < 1e-6 && importance.ordering[0] == 1)
        #expect(importance.scores.allSatisfy { $0 >= -1.000001 && $0 <= 1 })
    }

    @Test func outliersOfGaussianWeightsAreAsManyAsTheTailHas() {
        let weights: Tensor = .normal([200_000], dtype: .float64, generator: RandomGenerator(seed: 6))
        let share: Double = LayerImportance.outlierShare(weights)
        #expect(abs(share - 0.1587) < 0.005)
        #expect(abs(LayerImportance.outlierShare(weights, twoSided: true) - 0.3173) < 0.008)
        #expect(LayerImportance.outlierShare(weights * 7 + 3) == share)
        #expect(LayerImportance.outlierShare(weights * -1) != share)
    }

    @Test func theDistributionIsThatOfAWholeBlock() throws {
        let model: PlainTransformer = try model()
        // One matrix much larger than the others of its block: pooled, hardly anything else lies above one deviation.
        model.update(parameters: ["blocks.2.attention.q_proj.weight": .normal([32, 32]) * 5])
        let importance: LayerImportance = .zd(model)
        #expect(importance.scores[2] < 0.05 && importance.scores[0] > 0.1)
        #expect(importance.ordering.last == 2)
        let pooled: Tensor = concatenated(model.blocks[0].namedModules().compactMap { ($0.module as? Linear)?.weight.flattened() })
        #expect(abs(LayerImportance.outlierShare(pooled) - importance.scores[0]) < 1e-9)
    }

    @Test func orderingsGoFromTheLeastImportantOn() {
        #expect(LayerImportance(.lim, scores: [-0.5, -0.9, -0.7, -0.9]).ordering == [1, 3, 2, 0])
        #expect(LayerImportance(.zd, scores: [0.15, 0.12, 0.17]).ordering == [2, 0, 1])
        #expect(LayerImportance(.lim, scores: [-0.5, -0.9, -0.7]).rankCorrelation(withCosts: [3, 1, 2]) == 1)
        #expect(LayerImportance(.zd, scores: [0.15, 0.12, 0.17]).rankCorrelation(withCosts: [1, 2, 0]) == 1)
        #expect(LayerImportance(.zd, scores: [0.1, 0.2, 0.3]).rankCorrelation(withCosts: [1, 2, 3]) == -1)
    }
}

@Suite(.ownRandomNumbers) struct BitPlanTests {
    private let ordering: [Int] = [2, 0, 3, 1]

    @Test func theLeastImportantBlocksGetFewerBits() {
        let plan: BitPlan = BitPlan(ordering: ordering, high: 4, low: 2, count: 3)
        #expect(plan.bits == [2, 4, 2, 2])
        #expect(plan.averageBits == 2.5)
        #expect(BitPlan(ordering: ordering, levels: [(2, 1), (4, 2)], rest: 8).bits == [4, 8, 2, 4])
    }

    @Test func plansFitAverages() throws {
        for count in 0...4 {
            let average: Double = Double(count * 2 + (4 - count) * 4) / 4
            let plan: BitPlan = try BitPlan.fit(averageBits: average, ordering: ordering, high: 4, low: 2)
            #expect(plan == BitPlan(ordering: ordering, high: 4, low: 2, count: count))
            #expect(plan.averageBits == average)
        }
        #expect(try BitPlan.fit(averageBits: 3.4, ordering: ordering, high: 4, low: 2).averageBits == 3)
        #expect(throws: ConfigurationError.self) { try BitPlan.fit(averageBits: 5, ordering: ordering, high: 4, low: 2) }
        #expect(throws: ConfigurationError.self) { try BitPlan.fit(averageBits: 3, ordering: ordering, high: 2, low: 4) }
    }

    @Test func plansFitBytes() throws {
        let size: (Int, Int) -> Int = { block, bits in (block + 1) * bits }
        // 40 at 4 bits; block 2 at 2 bits saves 6, block 0 then 2, block 3 then 8.
        #expect(try BitPlan.fit(bytes: 40, ordering: ordering, high: 4, low: 2, size: size).bits == [4, 4, 4, 4])
        #expect(try BitPlan.fit(bytes: 33, ordering: ordering, high: 4, low: 2, size: size).bits == [2, 4, 2, 4])
        #expect(throws: ConfigurationError.self) { try BitPlan.fit(bytes: 19, ordering: ordering, high: 4, low: 2, size: size) }
    }
}
