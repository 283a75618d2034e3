import Foundation
import NN
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

/// Llama and GPT-2 as language models: generation, padding, and where they come from.
@Suite(.ownRandomNumbers) struct TransformerTests {
    static func llama(tied: Bool = false, bias: Bool = true, scaling: RotaryScaling? = nil) throws -> LlamaModel {
        var configuration: LlamaConfiguration = try LlamaConfiguration(
            vocabularySize: 20, dimensions: 16, hiddenDimensions: 24, layers: 2, heads: 4, keyValueHeads: 2, headDimensions: 6)
        configuration.tiedHead = tied
        configuration.attentionBias = bias
        configuration.feedForwardBias = bias
        configuration.rotaryScaling = scaling
        configuration.endOfTextIDs = [3, 7]
        return randomized(LlamaModel(configuration))
    }

    static func gpt2(tied: Bool = true) throws -> GPT2Model {
        var configuration: GPT2Configuration = try GPT2Configuration(
            vocabularySize: 20, dimensions: 16, layers: 2, heads: 4, maximumContext: 24)
        configuration.tiedHead = tied
        return randomized(GPT2Model(configuration))
    }

    /// Weights large enough that positions and masks matter.
    static func randomized<Model: Module>(_ model: Model) -> Model {
        let generator: RandomGenerator = RandomGenerator(seed: 2, device: .cpu)
        for (_, parameter) in model.namedParameters() {
            Initializer.normal(mean: parameter.ndim == 1 ? 0.5 : 0, standardDeviation: 0.3).fill(parameter, generator: generator)
        }
        model.to(dtype: .float64)
        model.train(false)
        return model
    }

    private let ids: [Int] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9]

    static func everyModel() throws -> [any CausalLanguageModel] {
        try [llama(), gpt2(), linearize(llama(), into: .gla, window: 4), linearize(llama(), into: .gsa(slots: 3), window: 4)]
    }

    @Test func steppingIsReading() throws {
        for model in try Self.everyModel() {
            let whole: Tensor = noGrad { model(Tensor(ids, [1, ids.count])) }
            var state: LanguageModelState = model.initialState(batch: 1)
            let stepped: [Tensor] = noGrad { ids.map { model.step(Tensor([$0], [1]), state: &state) } }
            #expect(stacked(stepped, axis: 1).isClose(to: whole, relative: 1e-9, absolute: 1e-9), "\(type(of: model))")
            model.to(dtype: .float32)
            var single: LanguageModelState? = model.initialState(batch: 1)
            _ = noGrad { model(Tensor(ids, [1, ids.count]), mask: nil, state: &single, mode: nil) }
            let bytes: Int = single?.layers.reduce(0) { $0 + $1.byteCount } ?? 0
            #expect(bytes == model.stateBytes(batch: 1, length: ids.count), "\(type(of: model))")
        }
    }

    @Test func leftPaddingChangesNothing() throws {
        for model in try Self.everyModel() {
            let padded: Tensor = Tensor([0, 0, 0] + ids, [1, ids.count + 3])
            let mask: Tensor = Tensor(Array(repeating: 0.0, count: 3) + Array(repeating: 1.0, count: ids.count), [1, ids.count + 3])
            let expected: Tensor = noGrad { model(Tensor(ids, [1, ids.count])) }
            let found: Tensor = noGrad { model(padded, mask: mask) }.narrowed(axis: 1, start: 3, length: ids.count)
            #expect(found.isClose(to: expected, relative: 1e-9, absolute: 1e-9), "\(type(of: model))")
            var state: LanguageModelState? = model.initialState(batch: 1)
            let pieces: [Tensor] = noGrad {
                [(0, 7), (7, 11)].map { start, length in
                    model(
                        padded.narrowed(axis: 1, start: start, length: length), mask: mask.narrowed(axis: 1, start: start, length: length),
                        state: &state, mode: nil)
                }
            }
            let split: Tensor = concatenated(pieces, axis: 1).narrowed(axis: 1, start: 3, length: ids.count)
            #expect(split.isClose(to: expected, relative: 1e-9, absolute: 1e-9), "\(type(of: model)) in pieces")
        }
    }

    @Test(arguments: [true, false]) func aSoftmaxLanguageModelIsALlama(tied: Bool) throws {
        let model: LanguageModel = Self.randomized(
            try LanguageModel(
                LanguageModelConfiguration(
                    vocabularySize: 20, dimensions: 16, layers: 2, mixer: MixerConfiguration(.softmax, heads: 2), tiedHead: tied)))
        let llama: LlamaModel = try LlamaModel(model, context: 64)
        let tokens: Tensor = Tensor(ids, [1, ids.count])
        #expect(noGrad { llama(tokens) }.isEqual(to: noGrad { model(tokens) }))
        #expect(llama.parameterCount == model.parameterCount && llama.configuration.parameterCount == llama.parameterCount)
        #expect(llama.decoder.embedding === model.embedding)
        for mixer in [MixerConfiguration(.gla, heads: 2), MixerConfiguration(.softmax, heads: 2, window: 8)] {
            let other: LanguageModel = try LanguageModel(
                LanguageModelConfiguration(vocabularySize: 20, dimensions: 16, layers: 1, mixer: mixer))
            #expect(throws: ConfigurationError.self) { try LlamaModel(other, context: 64) }
        }
    }

    @Test func configurationsCountTheirParameters() throws {
        for model in try [Self.llama(), Self.llama(tied: true, bias: false)] {
            #expect(model.configuration.parameterCount == model.parameterCount)
        }
        for model in try [Self.gpt2(), Self.gpt2(tied: false)] { #expect(model.configuration.parameterCount == model.parameterCount) }
        let bert: BertConfiguration = try BertConfiguration(
            vocabularySize: 20, dimensions: 8, hiddenDimensions: 12, layers: 2, heads: 2)
        #expect(BertModel(bert, hasPooler: false).parameterCount == bert.parameterCount)
    }

    @Test func hiddenStatesBeginAndEndWithTheStream() throws {
        let model: LlamaModel = try Self.llama()
        let tokens: Tensor = Tensor(ids, [1, ids.count])
        let states: [Tensor] = noGrad { model.hiddenStates(tokens) }
        #expect(states.count == 3 && states[0].isEqual(to: model.decoder.embedding(tokens)))
        #expect(noGrad { model.head!(states[2]) }.isEqual(to: noGrad { model(tokens) }))
    }

    @Test func maskedTokensAreNotInTheMeanOfBert() throws {
        let configuration: BertConfiguration = try BertConfiguration(
            vocabularySize: 20, dimensions: 8, hiddenDimensions: 12, layers: 2, heads: 2)
        let model: BertModel = Self.randomized(BertModel(configuration))
        let mask: Tensor = Tensor([1.0, 1, 1, 0, 0], [1, 5])
        let padded: BertModel.Output = model(Tensor([1, 2, 3, 0, 0], [1, 5]), mask: mask)
        let plain: BertModel.Output = model(Tensor([1, 2, 3], [1, 3]))
        #expect(scaledError(padded.meanPooled, plain.meanPooled) < 1e-12)
        #expect(padded.pooled.map { scaledError($0, plain.pooled!) < 1e-12 } == true)
    }
}
