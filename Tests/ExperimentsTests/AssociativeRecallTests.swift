import Experiments
import TestSupport
import Testing
import Training

@Suite(.ownRandomNumbers) struct AssociativeRecallTests {
    @Test func theLatestValueIsWanted() {
        let task: AssociativeRecall = AssociativeRecall(keys: 8, writes: 2)
        #expect(task.length == 48)
        var generator: SplitMix64 = SplitMix64(seed: 3)
        let batch: TokenBatch = task.batch(rows: 5, using: &generator)
        #expect(batch.length == 48)
        for row in 0..<5 {
            let tokens: [Int32] = Array(batch.tokens[row * 48..<(row + 1) * 48])
            let targets: [Int32] = Array(batch.targets[row * 48..<(row + 1) * 48])
            var latest: [Int32: Int32] = [:]
            for place in stride(from: 0, to: 32, by: 2) { latest[tokens[place]] = tokens[place + 1] }
            #expect(latest.count == 8)
            #expect(targets.prefix(32).allSatisfy { $0 == TokenBatch.ignored })
            for place in stride(from: 32, to: 48, by: 2) {
                #expect(targets[place] == latest[tokens[place]] && tokens[place + 1] == targets[place])
                #expect(targets[place + 1] == TokenBatch.ignored)
            }
            #expect(Set(stride(from: 32, to: 48, by: 2).map { tokens[$0] }).count == 8)
        }
    }

    @Test func stepsAreReproducibleAndHeldOutSequencesAreOthers() throws {
        let task: AssociativeRecall = AssociativeRecall(keys: 4)
        let source: GeneratedBatches<TokenBatch> = task.source(rows: 64, seed: 1)
        #expect(try source.batch(7) == source.batch(7))
        #expect(try source.batch(7) != source.batch(8))
        #expect(try source.batch(0) != task.heldOut(sequences: 64)[0])
    }
}
