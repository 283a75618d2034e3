import Foundation
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@Suite(.ownRandomNumbers) struct LanguageModelTests {
    private func model(_ kind: MixerKind, hybrid: HybridPattern? = nil) throws -> LanguageModel {
        let model: LanguageModel = try LanguageModel(
            LanguageModelConfiguration(
                vocabularySize: 20, dimensions: 16, layers: 2, mixer: MixerConfiguration(kind, heads: 2, order: 8), hybrid: hybrid))
        model.to(dtype: .float64)
        model.train(false)
        return model
    }

    private let tokens: [Int] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9]

    @Test(arguments: MixerKind.allCases.filter { $0 != .simplifiedLinear }) func steppingIsReading(kind: MixerKind) throws {
        let model: LanguageModel = try model(kind)
        let whole: Tensor = noGrad { model(Tensor(tokens, [1, tokens.count])) }
        var state: LanguageModelState = model.initialState(batch: 1)
        let stepped: [Tensor] = noGrad { tokens.map { model.step(Tensor([$0], [1]), state: &state) } }
        #expect(stacked(stepped, axis: 1).isClose(to: whole, relative: 1e-9, absolute: 1e-9))
    }

    @Test func aPromptInPiecesIsAPrompt() throws {
        let model: LanguageModel = try model(.deltanet, hybrid: .slidingWindow(every: 2, window: 4))
        let whole: Tensor = noGrad { model(Tensor(tokens, [1, tokens.count])) }
        var state: LanguageModelState? = model.initialState(batch: 1)
        let parts: [Tensor] = noGrad {
            [tokens[..<6], tokens[6..<7], tokens[7...]].map { model(Tensor(Array($0), [1, $0.count]), state: &state) }
        }
        #expect(concatenated(parts, axis: 1).isClose(to: whole, relative: 1e-9, absolute: 1e-9))
    }

    @Test func recurrentStatesDoNotGrow() throws {
        for kind in MixerKind.allCases where ![.softmax, .liger, .simplifiedLinear].contains(kind) {
            let model: LanguageModel = try model(kind)
            #expect(model.stateBytes(batch: 1, length: 10) == model.stateBytes(batch: 1, length: 10_000), "\(kind)")
        }
        let softmax: LanguageModel = try model(.softmax)
        #expect(softmax.stateBytes(batch: 1, length: 10) < softmax.stateBytes(batch: 1, length: 10_000))
    }

    @Test func generationFollowsItsSeedAndLimit() throws {
        let model: LanguageModel = try model(.gla)
        let sampling: SamplingConfiguration = try SamplingConfiguration(
            temperature: 1, topK: 10, topP: 0.9, repetitionPenalty: 1.2, seed: 4)
        let first: [Int] = model.generate(prompt: [1, 2], limit: 12, sampling: sampling)
        #expect(first.count == 12)
        #expect(model.generate(prompt: [1, 2], limit: 12, sampling: sampling) == first)
        let stopped: [Int] = model.generate(prompt: [1, 2], limit: 12, sampling: sampling, stop: [first[5]])
        #expect(stopped == Array(first.prefix { $0 != first[5] }))
        var seen: Int = 0
        model.generate(prompt: [1], limit: 12, sampling: sampling) { _ in
            seen += 1
            return seen < 3
        }
        #expect(seen == 3)
    }

    @Test func aFolderHoldsTheWholeModel() throws {
        let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: "abcdefghijklmnopqrst")
        let model: LanguageModel = try LanguageModel(
            LanguageModelConfiguration(
                vocabularySize: tokenizer.vocabularySize, dimensions: 16, layers: 1, mixer: MixerConfiguration(.gla, heads: 2),
                tiedHead: false))
        model.train(false)
        try TestPaths.withTemporaryFolder { folder in
            try LanguageModelBundle(model: model, tokenizer: tokenizer).save(to: folder)
            let read: LanguageModelBundle = try LanguageModelBundle.load(from: folder)
            let ids: Tensor = Tensor(read.tokenizer.encode("abcabc"), [1, 6])
            #expect(noGrad { read.model(ids) }.isEqual(to: noGrad { model(ids) }))
            try FileManager.default.removeItem(at: folder.appendingPathComponent("model.safetensors"))
            let error: DataFormatError? = #expect(throws: DataFormatError.self) { try LanguageModelBundle.load(from: folder) }
            #expect(error?.description.contains("neither model.safetensors nor a checkpoint") == true)
        }
    }

    @Test func greedySamplingTakesTheLikeliest() throws {
        let sampler: Sampler = Sampler(try SamplingConfiguration(temperature: 0, repetitionPenalty: 2))
        #expect(sampler.sample(Tensor([0, 3, 2] as [Float]), history: []) == 1)
        // The penalty halves 3 to 1.5, below 2.
        #expect(sampler.sample(Tensor([0, 3, 2] as [Float]), history: [1]) == 2)
        #expect(throws: ConfigurationError.self) { try SamplingConfiguration(topP: 0) }
    }

    @Test func aNucleusIsTheSmallestSetThatReachesTheShare() throws {
        // Probabilities 0.5, 0.3, 0.2: 0.6 needs the first two.
        let logits: Tensor = Tensor([0.5, 0.3, 0.2] as [Float]).log()
        let sampler: Sampler = Sampler(try SamplingConfiguration(topP: 0.6, seed: 1))
        let drawn: [Int] = (0..<300).map { _ in sampler.sample(logits, history: []) }
        #expect(Set(drawn) == [0, 1])
        let share: Double = Double(drawn.count { $0 == 0 }) / 300
        #expect(abs(share - 0.625) < 0.1)
    }
}
