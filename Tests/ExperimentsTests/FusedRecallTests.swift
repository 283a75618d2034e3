import Experiments
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@Suite(.ownRandomNumbers) struct FusedRecallTests {
    @Test func everyKeyIsAskedForOnceAndItsValueIsWanted() {
        let task: FusedRecall = FusedRecall(pairs: 6)
        var generator: SplitMix64 = SplitMix64(seed: 3)
        let batch: TokenBatch = task.batch(rows: 4, using: &generator)
        #expect(batch.length == 12 && task.length == 12)
        for row in 0..<4 {
            let tokens: [Int] = batch.tokens[row * 12..<(row + 1) * 12].map(Int.init)
            let targets: [Int32] = Array(batch.targets[row * 12..<(row + 1) * 12])
            var written: [Int: Int] = [:]
            for token in tokens.prefix(6) { written[token / 65] = token % 65 }
            #expect(written.count == 6 && written.values.allSatisfy { $0 < 64 })
            #expect(targets.prefix(6).allSatisfy { $0 == TokenBatch.ignored })
            #expect(Set(tokens.suffix(6).map { $0 / 65 }) == Set(written.keys))
            for place in 6..<12 {
                #expect(tokens[place] % 65 == 64)
                #expect(targets[place] == Int32(64 + (written[tokens[place] / 65] ?? -1)))
            }
        }
    }

    @Test func aPairIsTheSumOfItsEmbeddings() throws {
        let configuration: LanguageModelConfiguration = try LanguageModelConfiguration(
            vocabularySize: FusedRecall.vocabularySize, dimensions: 16, layers: 1, mixer: MixerConfiguration(.deltanet, heads: 2))
        let model: LanguageModel = try LanguageModel(configuration)
        let found: Tensor = FusedRecall.logits(model, pairs: Tensor([3 * 65 + 7, 5 * 65 + 64], [1, 2], device: model.device))
        func embedded(_ tokens: [Int]) -> Tensor { model.embedding(Tensor(tokens, [1, 2], device: model.device)) }
        let expected: Tensor = model(embedded: embedded([3, 5]) + embedded([64 + 7, 128]))
        #expect((found - expected).abs().max().item(Double.self) == 0)
    }
}
