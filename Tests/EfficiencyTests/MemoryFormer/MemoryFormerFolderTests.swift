import Foundation
import NN
import Optim
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct MemoryFormerFolderTests {
    private static let text: String = String(repeating: "to be or not to be, that is the question. ", count: 20)

    private static func training(steps: Int, vocabularySize: Int) throws -> MemoryFormerTraining {
        MemoryFormerTraining(
            model: try MemoryFormerConfiguration(
                vocabularySize: vocabularySize, dimensions: 16, layers: 1, heads: 2, bits: 4, extraBits: 1),
            optimizer: .adamw(try AdamWConfiguration(learningRate: 3e-3, beta2: 0.95, weightDecay: 0.1)),
            trainer: try TrainerConfiguration(steps: steps, checkpointEvery: 5), context: 16, rows: 4)
    }

    @Test func aTrainedModelIsReadAgainAndGenerates() throws {
        try TestPaths.withTemporaryFolder { url in
            let file: URL = url.appendingPathComponent("text.txt")
            try Self.text.write(to: file, atomically: true, encoding: .utf8)
            let corpus: TextCorpus = try TextCorpus(contentsOf: [file])
            let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: Self.text)
            let training: MemoryFormerTraining = try Self.training(steps: 10, vocabularySize: tokenizer.vocabularySize)
            let folder: MemoryFormerFolder = MemoryFormerFolder(url)
            try folder.describe(training.model, tokenizer)
            let (model, result, score) = try training.run(
                try LanguageModelTraining.Corpus(corpus, tokenizer: tokenizer, context: 16),
                outlet: TrainingOutlet(folder: url, progress: .quiet))
            #expect(result.losses[9] < result.losses[0] && score.loss.isFinite)
            // Before the model is written, the newest checkpoint serves.
            let tokens: Tensor = .randomIntegers([1, 8], high: tokenizer.vocabularySize)
            let expected: Tensor = noGrad { model(tokens) }
            #expect(noGrad { try! folder.load().model(tokens) }.isEqual(to: expected))
            try folder.save(model, tokenizer)
            try FileManager.default.removeItem(at: url.appendingPathComponent("checkpoints"))
            let loaded: PretrainedModel = try CompressedModel.languageModel(from: url)
            #expect(loaded.model is MemoryFormer)
            #expect(noGrad { loaded.model(tokens) }.isEqual(to: expected))
        }
    }

    @Test func brokenFoldersAreRefusedInOneLine() throws {
        try TestPaths.withTemporaryFolder { url in
            let configuration: MemoryFormerConfiguration = try Self.training(steps: 1, vocabularySize: 5).model
            let folder: MemoryFormerFolder = MemoryFormerFolder(url)
            try folder.save(MemoryFormer(configuration), CharacterTokenizer(corpus: "abcd"))
            let file: URL = url.appendingPathComponent("config.json")
            let document: String = try String(contentsOf: file, encoding: .utf8)
            func problem(_ old: String, _ new: String) throws -> String {
                try document.replacingOccurrences(of: old, with: new).write(to: file, atomically: true, encoding: .utf8)
                do {
                    _ = try folder.load()
                    return ""
                } catch { return "\(error)" }
            }
            #expect(try problem("\"bits\" : 4", "\"bits\" : 5").hasSuffix("dimensions is 16; bits, 5, has to divide it"))
            #expect(try problem("\"layers\" : 1", "\"layers\" : 4000").contains("the checkpoint beside it has"))
            #expect(try problem("\"layers\" : 1,", "").hasSuffix("is not a MemoryFormer's configuration: layers is missing"))
            #expect(try problem("\"extraBits\" : 1", "\"extraBits\" : 0").contains("does not fit the model"))
            #expect(try problem("linnet_memoryformer", "llama").hasSuffix("model_type is llama; it has to be linnet_memoryformer"))
            #expect(try problem("", "").isEmpty)
        }
    }
}
