import Efficiency
import NN
import Optim
import SequenceModels
import Torch
import Training

/// Language modelling on characters in three functions.
enum LanguageModelingPipeline {
    static func collate(_ rows: [[Int32]]) -> Tensor { Tensor(rows.flatMap(\.self), [rows.count, rows[0].count], dtype: .int64) }

    static func loss(_ model: PlainTransformer, _ rows: Tensor, _ training: Bool, _ random: RandomGenerator) -> Tensor {
        let length: Int = rows.dim(1) - 1
        let logits: Tensor = model(rows.narrowed(axis: 1, start: 0, length: length))
        return crossEntropy(logits.flattened(from: 0, to: 1), rows.narrowed(axis: 1, start: 1, length: length).flattened())
    }

    /// The share of characters that are the likeliest.
    static func predict(_ model: PlainTransformer, _ rows: Tensor, _ random: RandomGenerator) -> [Double] {
        let length: Int = rows.dim(1) - 1
        let likeliest: Tensor = model(rows.narrowed(axis: 1, start: 0, length: length)).argMax(axis: -1)
        let hits: Tensor = likeliest .== rows.narrowed(axis: 1, start: 1, length: length)
        return hits.asType(.float32).mean(axis: 1).array(Float.self).map(Double.init)
    }

    static func model(vocabulary: Int, length: Int, seed: UInt64) throws -> PlainTransformer {
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: vocabulary, dimensions: 64, layers: 2, heads: 4, maximumContext: length)
        let model: PlainTransformer = PlainTransformer(configuration)
        model.initializeNormal(generator: RandomGenerator(seed: seed, device: .cpu))
        return model
    }

    /// Of the rows of `length + 1` characters the last 32 are held out.
    static func run(_ deployer: Deployer, _ rows: [[Int32]], vocabulary: Int, batch: Int, steps: Int) throws -> PipelineOutcome {
        let model: PlainTransformer = try model(vocabulary: vocabulary, length: rows[0].count - 1, seed: deployer.seed)
        let optimizer: AdamW = try AdamW(
            groups: .decayingMatricesOnly(model.namedParameters()), configuration: AdamWConfiguration(learningRate: 3e-3))
        let trainer: DistributedTrainer<PlainTransformer, [Int32], Tensor> = DistributedTrainer(
            deployer, model: model, optimizer: optimizer, schedule: .warmUpCosine(warmUp: 1), collate: collate, loss: loss)
        let losses: [Double] = try trainer.fit(
            Array(rows.dropLast(32)), epochs: steps, perDevice: batch / deployer.mesh.dp, steps: steps)
        let hits: [Double] = try Predictor(deployer, model: model, collate: collate, predict: predict)(Array(rows.suffix(32)), perDevice: 5)
        return PipelineOutcome(losses: losses, score: hits.reduce(0, +) / Double(hits.count))
    }
}
