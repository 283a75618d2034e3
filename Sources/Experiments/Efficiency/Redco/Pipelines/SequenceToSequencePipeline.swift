import Efficiency
import NN
import Optim
import Torch
import Training

/// Sequence to sequence in three functions: digits written backwards, by an encoder-decoder with greedy decoding.
enum SequenceToSequencePipeline {
    struct Batch {
        /// `[B, length]`
        let source: Tensor
        /// `[B, length + 1]`, after the sign that begins a text.
        let target: Tensor
    }

    private static let length: Int = 6
    private static let begin: Int64 = 10

    static func examples(_ count: Int, seed: UInt64) -> [[Int64]] {
        var random: SplitMix64 = SplitMix64(seed: seed)
        return (0..<count).map { _ in (0..<length).map { _ in Int64(random.next(below: 10)) } }
    }

    static func collate(_ rows: [[Int64]]) -> Batch {
        Batch(
            source: Tensor(rows.flatMap(\.self), [rows.count, length], dtype: .int64),
            target: Tensor(rows.flatMap { [begin] + $0.reversed() }, [rows.count, length + 1], dtype: .int64))
    }

    static func loss(_ model: EncoderDecoder, _ batch: Batch, _ training: Bool, _ random: RandomGenerator) -> Tensor {
        let logits: Tensor = model(batch.source, batch.target.narrowed(axis: 1, start: 0, length: length))
        return crossEntropy(logits.flattened(from: 0, to: 1), batch.target.narrowed(axis: 1, start: 1, length: length).flattened())
    }

    /// The likeliest digit after those that were found, and so on.
    static func predict(_ model: EncoderDecoder, _ batch: Batch, _ random: RandomGenerator) -> [[Int64]] {
        var found: Tensor = batch.target.narrowed(axis: 1, start: 0, length: 1)
        for place in 0..<length {
            let next: Tensor = model(batch.source, found).selected(axis: 1, index: place).argMax(axis: 1, keepDims: true)
            found = concatenated([found, next], axis: 1)
        }
        return found.narrowed(axis: 1, start: 1, length: length).unbound(axis: 0).map { $0.array(Int64.self) }
    }

    static func run(_ deployer: Deployer, batch: Int, steps: Int) throws -> PipelineOutcome {
        let model: EncoderDecoder = EncoderDecoder(vocabulary: 11, dimensions: 32, layers: 1, heads: 4, context: length + 1)
        model.initializeNormal(standardDeviation: 0.1, generator: RandomGenerator(seed: deployer.seed, device: .cpu))
        let optimizer: AdamW = try AdamW(parameters: model.parameters(), configuration: AdamWConfiguration(learningRate: 3e-3))
        let trainer: DistributedTrainer<EncoderDecoder, [Int64], Batch> = DistributedTrainer(
            deployer, model: model, optimizer: optimizer, schedule: .warmUpCosine(warmUp: 1), clipNorm: 1, collate: collate, loss: loss)
        let losses: [Double] = try trainer.fit(
            examples(1024, seed: 1), epochs: steps, perDevice: batch / deployer.mesh.dp, steps: steps)
        let held: [[Int64]] = examples(50, seed: 2)
        let found: [[Int64]] = try Predictor(deployer, model: model, collate: collate, predict: predict)(held, perDevice: 8)
        let right: Int = zip(found, held).count { $0 == $1.reversed() }
        return PipelineOutcome(losses: losses, score: Double(right) / Double(held.count))
    }
}
