import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

/// `kv` as a step on a model in a folder.
@Suite(.ownRandomNumbers) struct KVStepTests {
    private static let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: "abcdefghijklmnopqrst")
    private static var tokens: Tensor { Tensor((0..<24).map { ($0 * $0 + 3 * $0) % 20 }, [2, 12], device: .cpu) }

    private static func models() throws -> [any CausalLanguageModel] {
        let llama: LlamaConfiguration = try LlamaConfiguration(
            vocabularySize: 20, dimensions: 32, hiddenDimensions: 48, layers: 2, heads: 4, keyValueHeads: 2)
        let language: LanguageModelConfiguration = try LanguageModelConfiguration(
            vocabularySize: 20, dimensions: 32, layers: 2, mixer: MixerConfiguration(.softmax, heads: 4))
        let gpt2: GPT2Configuration = try GPT2Configuration(vocabularySize: 20, dimensions: 32, layers: 2, heads: 4, maximumContext: 24)
        var unscaled: GPT2Configuration = gpt2
        unscaled.scalesScores = false
        let models: [any CausalLanguageModel] = [LlamaModel(llama), try LanguageModel(language), GPT2Model(gpt2), GPT2Model(unscaled)]
        for model in models { model.initializeNormal(standardDeviation: 0.3, generator: RandomGenerator(seed: 3, device: .cpu)) }
        return models
    }

    private static var context: CompressionContext {
        let text: PackedTokens = PackedTokens((0..<400).map { ($0 * 7919 + $0 * $0) % 20 }, vocabularySize: 20)
        return CompressionContext(calibration: TextWindows(text, context: 12, rows: 4, seed: 1))
    }

    private static func step(budget: Double = 0.5, steps: Int = 3, ranks: KVStep.Ranks = .fast) -> KVStep {
        var step: KVStep = KVStep()
        (step.budget, step.steps, step.ranks, step.windows, step.searchWindows) = (budget, steps, ranks, 6, 2)
        return step
    }

    private static func logits(_ model: Module) throws -> Tensor {
        let language: any CausalLanguageModel = try #require(model as? any CausalLanguageModel)
        return noGrad { language(tokens) }
    }

    @Test(arguments: KVStep.Ranks.allCases) func aFolderHoldsTheCompressedModel(ranks: KVStep.Ranks) throws {
        for model in try Self.models() {
            let plain: Int = model.stateBytes(batch: 1, length: 100)
            var subject: CompressedModel = try CompressedModel(PretrainedModel(model: model, tokenizer: Self.tokenizer))
            let report: CompressionReport = try subject.compress([Self.step(ranks: ranks)], context: Self.context)
            #expect(report.steps[0].choices.count == 2 && report.steps[0].choices[0].choice.contains("numbers a token"))
            let compressed: any LayeredLanguageModel = try #require(subject.languageModel)
            #expect(2 * compressed.stateBytes(batch: 1, length: 100) == plain)
            let expected: Tensor = try Self.logits(subject.model)
            try TestPaths.withTemporaryFolder { folder in
                try subject.save(to: folder)
                let read: CompressedModel = try CompressedModel.load(from: folder)
                #expect(try Self.logits(read.model).isEqual(to: expected))
                #expect(read.model.compressedLayers.count == 2 && read.bytes == subject.bytes)
                #expect(read.history == ["kv: 0.5 of the cache, trained for 3 steps, \(ranks.rawValue) ranks"])
            }
        }
    }

    /// With the whole cache kept the model predicts what it did before.
    @Test func aBudgetOfOneChangesNothing() throws {
        for model in try Self.models() {
            let expected: Tensor = noGrad { model(Self.tokens) }
            var subject: CompressedModel = try CompressedModel(PretrainedModel(model: model, tokenizer: Self.tokenizer))
            _ = try subject.compress([Self.step(budget: 1, steps: 0)], context: Self.context)
            #expect(relativeError(try Self.logits(subject.model), expected) < 1e-4)
        }
    }

    @Test func codesCanBePackedAfterwards() throws {
        let model: any CausalLanguageModel = try Self.models()[0]
        var subject: CompressedModel = try CompressedModel(PretrainedModel(model: model, tokenizer: Self.tokenizer))
        _ = try subject.compress([Self.step(steps: 0), QuantizeStep(bits: 8, groupSize: 16)], context: Self.context)
        let expected: Tensor = try Self.logits(subject.model)
        try TestPaths.withTemporaryFolder { folder in
            try subject.save(to: folder)
            let read: CompressedModel = try CompressedModel.load(from: folder)
            #expect(try Self.logits(read.model).isEqual(to: expected))
            #expect(read.model.compressedLayers.contains { $0.path == "model.layers.1.self_attn.o_proj" && $0.layer is QuantizedLinear })
        }
    }

    @Test func aPlanChangesNothing() throws {
        let model: any CausalLanguageModel = try Self.models()[0]
        let expected: Tensor = noGrad { model(Self.tokens) }
        var subject: CompressedModel = try CompressedModel(PretrainedModel(model: model, tokenizer: Self.tokenizer))
        let report: CompressionReport = try subject.compress([Self.step()], context: CompressionContext(), dryRun: true)
        #expect(report.steps[0].choices[0].choice == "about keys 4 4, values 4 4: 32 -> 16 numbers a token")
        #expect(try Self.logits(subject.model).isEqual(to: expected) && subject.model.compressedLayers.isEmpty)
    }

    @Test func whatDoesNotFitIsRefused() throws {
        let linear: LanguageModelConfiguration = try LanguageModelConfiguration(
            vocabularySize: 20, dimensions: 32, layers: 2, mixer: MixerConfiguration(.gla, heads: 2))
        var subject: CompressedModel = try CompressedModel(PretrainedModel(model: LanguageModel(linear), tokenizer: Self.tokenizer))
        for dryRun in [true, false] {
            #expect(throws: ConfigurationError.self) {
                try subject.compress([Self.step()], context: Self.context, dryRun: dryRun)
            }
        }
        var packed: CompressedModel = try CompressedModel(PretrainedModel(model: Self.models()[2], tokenizer: Self.tokenizer))
        #expect(throws: ConfigurationError.self) {
            try packed.compress([QuantizeStep(bits: 4, groupSize: 16), Self.step()], context: Self.context)
        }
        var llama: CompressedModel = try CompressedModel(PretrainedModel(model: Self.models()[0], tokenizer: Self.tokenizer))
        #expect(throws: ConfigurationError("kv needs text to calibrate on; give --calibration or --text")) {
            try llama.compress([Self.step()], context: CompressionContext())
        }
        func problem(_ settings: String) -> String {
            do {
                let recipe: String = "{\"steps\": [{\"kv\": \(settings)}]}"
                _ = try JSONDecoder().decode(CompressionRecipe.self, from: Data(recipe.utf8))
                return "none"
            } catch {
                return "\(error)"
            }
        }
        #expect(problem("{\"budget\": 0.25, \"steps\": 10, \"ranks\": \"exact\"}") == "none")
        #expect(problem("{\"budget\": 1.5}").contains("kv: budget is 1.5"))
        #expect(problem("{\"steps\": -1}").contains("kv: steps is -1"))
        #expect(problem("{\"learning-rate\": 0}").contains("kv: learning-rate"))
        #expect(problem("{\"windows\": 0}").contains("kv: windows is 0"))
    }

    /// GPT-2's attention with three matrices is what it was with one, also when it goes on from a cache.
    @Test(arguments: [2, 3]) func separateMatricesAreTheFusedOne(index: Int) throws {
        let model: any CausalLanguageModel = try Self.models()[index]
        let expected: Tensor = noGrad { model(Self.tokens) }
        for (path, mixer) in model.mixers(GPT2Attention.self) { model.replaceModule(at: path, with: mixer.separated()) }
        #expect(relativeError(noGrad { model(Self.tokens) }, expected) < 1e-5)
        var state: LanguageModelState? = model.initialState(batch: 2)
        let parts: [Tensor] = noGrad { Self.tokens.split(sizes: [5, 7], axis: 1).map { model($0, mask: nil, state: &state, mode: nil) } }
        #expect(relativeError(concatenated(parts, axis: 1), expected) < 1e-5)
    }

    @Test func nonsenseInAFolderIsRefused() throws {
        let mixer: SoftmaxAttention = SoftmaxAttention(dimensions: 16, heads: 2)
        #expect(throws: ConfigurationError("ranks [9, 1] for 2 heads of 8 channels")) {
            try FoldedKVAttention.empty(KVRanks(keys: [9, 1], values: [1, 1]), replacing: mixer)
        }
        #expect(throws: ConfigurationError.self) { try FoldedKVAttention.empty(KVRanks(keys: [1, 1], values: [1]), replacing: mixer) }
        #expect(throws: ConfigurationError.self) { try FoldedKVAttention.empty(KVRanks(keys: [0, 1], values: [1, 1]), replacing: mixer) }
        #expect(throws: ConfigurationError.self) {
            try FoldedKVAttention.empty(KVRanks(keys: [1], values: [1]), replacing: Linear(4, 4))
        }
    }
}
