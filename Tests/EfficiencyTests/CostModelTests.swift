import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct CostModelTests {
    @Test func countsEveryMatrixOfAPlainTransformer() throws {
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: 11, dimensions: 8, layers: 2, heads: 2, maximumContext: 16)
        let model: PlainTransformer = PlainTransformer(configuration)
        let cost: CostModel = CostModel(of: model)
        #expect(cost.linearMultiplyAccumulates == 2 * (4 * 8 * 8 + 2 * 8 * 32) + 8 * 11)
        #expect(cost.parameters == model.parameterCount)
        #expect(cost.bytes == 4 * model.parameterCount)
        #expect(model.blockLinearMaps.map(\.path).prefix(2) == ["blocks.0.attention.q_proj", "blocks.0.attention.k_proj"])
        #expect(model.blockLinearMaps.count == 12)
    }

    @Test func attentionCountsEachVisiblePairTwice() {
        // Length 3: pairs 1 + 2 + 3, each one product for the score and one for the sum.
        #expect(CostModel.causalAttention(length: 3, dimensions: 8) == 2 * 6 * 8)
    }
}
