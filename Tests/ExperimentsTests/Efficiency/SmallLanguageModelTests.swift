import Foundation
import SequenceModels
import Testing
import TestSupport
import Torch
import Training

@testable import Experiments

@Suite(.ownRandomNumbers) struct SmallLanguageModelTests {
    /// The cache folder is the process's, so what an earlier run left there is removed first.
    @Test func aTrainedModelIsReadFromTheCacheTheNextTime() throws {
        var recipe: SmallLanguageModel = SmallLanguageModel(.smoke)
        recipe.learningRate = 2.5e-3
        let text: [Int] = (0..<600).map { $0 % 7 }
        let tokens: PackedTokens = PackedTokens(text, vocabularySize: 7)
        let corpus: CharacterCorpus = CharacterCorpus(training: tokens, validation: tokens, vocabularySize: 7)
        let context: ExperimentContext = ExperimentContext(seeds: [31])
        try? FileManager.default.removeItem(at: recipe.cacheFile(seed: 31))
        let trained: PlainTransformer = try recipe.trained(on: corpus, seed: 31, context: context)
        let untrained: PlainTransformer = try recipe.untrained(vocabularySize: 7, seed: 31)
        // A cancelled run trains nothing: the second model can only be the first one's file.
        let cancelled: ExperimentContext = ExperimentContext(seeds: [31], isCancelled: { true })
        let cached: PlainTransformer = try recipe.trained(on: corpus, seed: 31, context: cancelled)
        for ((name, expected), (_, found)) in zip(trained.stateTensors(), cached.stateTensors()) {
            #expect((expected - found).abs().max().item(Double.self) == 0, "\(name)")
        }
        #expect((trained.embedding.weight - untrained.embedding.weight).abs().max().item(Double.self) > 0)
        try FileManager.default.removeItem(at: recipe.cacheFile(seed: 31))
    }
}
