import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct PlainTransformerTests {
    @Test(arguments: [false, true]) func stepsAgreeWithTheWholeText(rotary: Bool) throws {
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: 13, dimensions: 16, layers: 2, heads: 2, maximumContext: 12, rotary: rotary)
        let model: PlainTransformer = PlainTransformer(configuration)
        model.to(dtype: .float64).train(false)
        let tokens: Tensor = .randomIntegers([2, 9], high: 13)
        let whole: Tensor = noGrad { model(tokens) }
        var state: LanguageModelState = model.initialState(batch: 2)
        for t in 0..<9 {
            let logits: Tensor = noGrad { model.step(tokens.selected(axis: 1, index: t), state: &state) }
            #expect((logits - whole.selected(axis: 1, index: t)).abs().max().item(Double.self) < 1e-12)
        }
        let stream: [Tensor] = noGrad { model.residualStream(tokens) }
        #expect(stream.count == 3)
        #expect((noGrad { model.logits(stream[2]) } - whole).abs().max().item(Double.self) < 1e-12)
    }

    @Test func refusesHeadsThatDoNotDivide() {
        #expect(throws: ConfigurationError("dimensions is 10; heads, 4, has to divide it")) {
            try PlainTransformerConfiguration(vocabularySize: 4, dimensions: 10, layers: 1, heads: 4)
        }
    }
}
