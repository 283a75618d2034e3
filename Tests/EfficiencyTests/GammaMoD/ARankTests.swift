import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct ARankTests {
    private static func random(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    private static func rank(_ map: Tensor) -> Int { ARank.rank(of: map).item(Int.self) }

    @Test func ranksOfKnownMaps() {
        #expect(Self.rank(.eye(6, dtype: .float64, device: .cpu)) == 0)
        // Uniform causal rows: without its diagonal row i is 1/(i + 1) on i places, so all but the first row are independent.
        let ones: Tensor = Tensor.ones([7, 7], dtype: .float64, device: .cpu).lowerTriangle()
        #expect(Self.rank(ones / ones.sum(axis: 1, keepDims: true)) == 6)
        // Everything looks at the first token: one column.
        let first: Tensor = .zeros([7, 7], dtype: .float64, device: .cpu)
        first[0..., 0] = 1
        #expect(Self.rank(first) == 1)
        // A product of known rank whose diagonal is then changed, which must not matter.
        let off: Tensor = .zeros([8, 8], dtype: .float64, device: .cpu)
        off[4..., 0..<4] = Self.random([4, 2], seed: 1).matmul(Self.random([2, 4], seed: 2))
        #expect(Self.rank(off) == 2)
        #expect(Self.rank(off + Self.random([8], seed: 3).diagonalEmbedded()) == 2)
        #expect(ARank.rank(of: Self.random([2, 3, 5, 5], seed: 4)).shape == [2, 3])
    }

    @Test func ranksAreMeansOverHeadsAndSamples() throws {
        let model: PlainTransformer = try TinyTransformer.make(rotary: false)
        let (first, second): (Tensor, Tensor) = (TinyTransformer.tokens(3, 9), TinyTransformer.tokens(2, 9, seed: 8))
        // Layer 0 attends evenly: its queries are 0.
        guard let attention = (model.blocks[0].mixer as? SoftmaxAttention)?.attention else { preconditionFailure("softmax attention") }
        attention.queryProjection.denseWeight().detached().zero_()
        let ranks: [Double] = ARank.compute(model, samples: [first, second])
        #expect(ranks.count == 2 && ranks[0] == 8)
        let alone: [Double] = [first, second].map { ARank.compute(model, samples: [$0])[1] }
        #expect(abs(ranks[1] - (3 * alone[0] + 2 * alone[1]) / 5) < 1e-12)
        #expect(model.blocks.allSatisfy { $0.mixer is SoftmaxAttention })
    }

    @Test func theLowestRanksAreConverted() {
        let plan: MoDPlan = MoDPlan(ranks: [5, 1, 3, 3, 9], converted: 2)
        #expect(plan.converted == [1, 3] && plan.keepDense == [0, 2, 4])
        #expect(MoDPlan(ranks: [5, 1, 3], converted: 3).keepDense.isEmpty)
    }
}
