import Efficiency
import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// The sentiment of sentences (SST-2) in three functions: an encoder of hashed words with a linear head.
enum ClassificationPipeline {
    struct Sentence: Sendable {
        let words: [Int64]
        let label: Int64
    }

    struct Batch {
        let words: Tensor
        let mask: Tensor
        let labels: Tensor
    }

    final class Classifier: Module {
        @ModuleInfo var encoder: BertModel
        @ModuleInfo var head: any LinearMap

        init(seed: UInt64) throws {
            super.init()
            let configuration: BertConfiguration = try BertConfiguration(
                vocabularySize: buckets, dimensions: 32, hiddenDimensions: 64, layers: 1, heads: 4, maximumContext: longest)
            encoder = BertModel(configuration, hasPooler: false)
            head = Linear(32, 2)
            initializeNormal(generator: RandomGenerator(seed: seed, device: .cpu))
        }

        func callAsFunction(_ batch: Batch) -> Tensor { head(encoder(batch.words, mask: batch.mask).meanPooled) }
    }

    private static let buckets: Int = 4096
    private static let longest: Int = 32

    static func sentences(_ part: String, limit: Int) throws -> [Sentence] {
        let file: String = try DataDirectory.standard.locate("sst2") + "/\(part).tsv"
        let text: String = try String(contentsOf: URL(fileURLWithPath: file), encoding: .utf8)
        return text.split(separator: "\n").prefix(limit).compactMap { line in
            let fields: [Substring] = line.split(separator: "\t")
            guard fields.count == 2, let label = Int64(fields[1]) else { return nil }
            return Sentence(words: fields[0].split(separator: " ").prefix(longest).map(bucket), label: label)
        }
    }

    /// FNV-1a of a word, above 0, which is padding.
    private static func bucket(_ word: Substring) -> Int64 {
        let hash: UInt64 = word.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return 1 + Int64(hash % UInt64(buckets - 1))
    }

    static func collate(_ sentences: [Sentence]) -> Batch {
        let length: Int = sentences.map(\.words.count).max() ?? 1
        let padded: [Int64] = sentences.flatMap { $0.words + Array(repeating: 0, count: length - $0.words.count) }
        let words: Tensor = Tensor(padded, [sentences.count, length], dtype: .int64)
        return Batch(words: words, mask: words .!= 0, labels: Tensor(sentences.map(\.label), [sentences.count], dtype: .int64))
    }

    static func loss(_ model: Classifier, _ batch: Batch, _ training: Bool, _ random: RandomGenerator) -> Tensor {
        crossEntropy(model(batch), batch.labels)
    }

    static func predict(_ model: Classifier, _ batch: Batch, _ random: RandomGenerator) -> [Int] {
        model(batch).argMax(axis: 1).array(Int64.self).map(Int.init)
    }

    static func run(
        _ deployer: Deployer, training: [Sentence], testing: [Sentence], batch: Int, steps: Int
    ) throws -> PipelineOutcome {
        let model: Classifier = try Classifier(seed: deployer.seed)
        let optimizer: AdamW = try AdamW(parameters: model.parameters(), configuration: AdamWConfiguration(learningRate: 3e-3))
        let trainer: DistributedTrainer<Classifier, Sentence, Batch> = DistributedTrainer(
            deployer, model: model, optimizer: optimizer, schedule: .warmUpLinear(warmUp: 1), clipNorm: 1, collate: collate, loss: loss)
        let losses: [Double] = try trainer.fit(training, epochs: steps, perDevice: batch / deployer.mesh.dp, steps: steps)
        let found: [Int] = try Predictor(deployer, model: model, collate: collate, predict: predict)(testing, perDevice: 16)
        let right: Int = zip(found, testing).count { $0 == Int($1.label) }
        return PipelineOutcome(losses: losses, score: Double(right) / Double(testing.count))
    }
}
