import Foundation
import SequenceModels
import Synchronization
import TestSupport
import Testing
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

    private final class Count: Sendable {
        let value: Mutex<Int> = Mutex(0)
    }

    /// Experiments side by side: the one that comes second finds the first one's model, and does not train its own.
    @Test func onlyOneOfSeveralTrains() async throws {
        var recipe: SmallLanguageModel = SmallLanguageModel(.smoke)
        recipe.learningRate = 2.6e-3
        let tokens: PackedTokens = PackedTokens((0..<600).map { $0 % 7 }, vocabularySize: 7)
        let corpus: CharacterCorpus = CharacterCorpus(training: tokens, validation: tokens, vocabularySize: 7)
        try? FileManager.default.removeItem(at: recipe.cacheFile(seed: 32))
        let trained: Count = Count()
        let chosen: SmallLanguageModel = recipe
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    let context: ExperimentContext = ExperimentContext(seeds: [32], progress: { _ in trained.value.withLock { $0 += 1 } })
                    _ = try chosen.trained(on: corpus, seed: 32, context: context)
                }
            }
            try await group.waitForAll()
        }
        #expect(trained.value.withLock { $0 } == 1)
        try FileManager.default.removeItem(at: recipe.cacheFile(seed: 32))
    }
}
