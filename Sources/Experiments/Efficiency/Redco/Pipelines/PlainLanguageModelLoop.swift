import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// The program of ``LanguageModelingPipeline`` without a toolkit: one loop that calls the ranks itself. It is what the lines of the pipeline are
/// compared with, and computes the same.
enum PlainLanguageModelLoop {
    static func run(_ group: ProcessGroup, seed: UInt64, _ rows: [[Int32]], vocabulary: Int, batch: Int, steps: Int) throws
        -> PipelineOutcome
    {
        let length: Int = rows[0].count - 1
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: vocabulary, dimensions: 64, layers: 2, heads: 4, maximumContext: length)
        let model: PlainTransformer = PlainTransformer(configuration)
        model.initializeNormal(generator: RandomGenerator(seed: seed, device: .cpu))
        let parameters: [Tensor] = model.parameters()
        // Every rank starts from the weights of the first.
        for parameter in parameters { try noGrad { try group.broadcast(parameter.detached(), from: 0) } }
        let optimizer: AdamW = try AdamW(
            groups: .decayingMatricesOnly(model.namedParameters()), configuration: AdamWConfiguration(learningRate: 3e-3))
        let schedule: Schedule = .warmUpCosine(warmUp: 1)
        let training: [[Int32]] = Array(rows.dropLast(32))
        let perRank: Int = batch / group.worldSize
        guard perRank * group.worldSize == batch, training.count >= batch else {
            throw ConfigurationError("a batch of \(batch) of \(training.count) rows over \(group.worldSize) ranks")
        }
        let total: Int = min(steps, steps * (training.count / batch))
        let order: ShuffledIndices = ShuffledIndices(count: training.count, seed: seed)
        var losses: [Double] = []
        model.train()
        for step in 0..<total {
            // This rank's rows of the step's batch.
            let chosen: [Int] = Array(try order.batch(step, of: batch))
            let own: [[Int32]] = chosen[group.rank * perRank..<(group.rank + 1) * perRank].map { training[$0] }
            let tokens: Tensor = Tensor(own.flatMap(\.self), [own.count, length + 1], dtype: .int64)
            let found: (value: Tensor, gradients: [Tensor]) = try withTorchErrors {
                valueAndGrad(of: optimizer.parameters) {
                    let logits: Tensor = model(tokens.narrowed(axis: 1, start: 0, length: length))
                    return crossEntropy(logits.flattened(from: 0, to: 1), tokens.narrowed(axis: 1, start: 1, length: length).flattened())
                }
            }
            // The mean of loss and gradients over the ranks, in one message.
            let flat: Tensor = noGrad {
                concatenated(found.gradients.map { $0.detached().flattened() } + [found.value.detached().reshaped(1)])
            }
            try group.allReduce(flat, .sum)
            let (gradients, loss): ([Tensor], Double) = noGrad {
                let mean: Tensor = flat / Double(group.worldSize)
                let pieces: [Tensor] = mean.split(sizes: found.gradients.map(\.count) + [1])
                return (zip(pieces, found.gradients).map { $0.reshaped($1.shape) }, pieces[found.gradients.count].item(Double.self))
            }
            guard loss.isFinite else { throw ConfigurationError("the loss of step \(step) is \(loss)") }
            optimizer.step(gradients, learningRateFactor: schedule.factor(step: step, of: total))
            losses.append(loss)
        }
        // The ranks must still hold the same weights.
        let sum: Tensor = noGrad { concatenated(parameters.map { $0.detached().asType(.float64).flattened() }).sum().reshaped(1) }
        let (highest, lowest): (Tensor, Tensor) = (sum.cloned(), sum.cloned())
        try group.allReduce(highest, .maximum)
        try group.allReduce(lowest, .minimum)
        guard highest.isEqual(to: lowest) else { throw ConfigurationError("the ranks no longer hold the same weights") }
        return PipelineOutcome(losses: losses, score: try accuracy(model, Array(rows.suffix(32)), length, group))
    }

    /// The share of characters that are the likeliest; rows are filled up so that every rank has as many batches, and counted once.
    private static func accuracy(_ model: PlainTransformer, _ rows: [[Int32]], _ length: Int, _ group: ProcessGroup) throws -> Double {
        let size: Int = 5
        let once: Int = size * group.worldSize
        let filled: Int = (rows.count + once - 1) / once * once
        model.train(false)
        var hits: Double = 0
        for start in stride(from: group.rank * size, to: filled, by: once) {
            let places: [Int] = Array(start..<start + size)
            let batch: [[Int32]] = places.map { rows[$0 % rows.count] }
            let tokens: Tensor = Tensor(batch.flatMap(\.self), [size, length + 1], dtype: .int64)
            let right: [Float] = try withTorchErrors {
                noGrad {
                    let likeliest: Tensor = model(tokens.narrowed(axis: 1, start: 0, length: length)).argMax(axis: -1)
                    let found: Tensor = likeliest .== tokens.narrowed(axis: 1, start: 1, length: length)
                    return found.asType(.float32).mean(axis: 1).array(Float.self)
                }
            }
            for (place, value) in zip(places, right) where place < rows.count { hits += Double(value) }
        }
        let shared: Tensor = Tensor([hits], [1], dtype: .float64, device: .cpu)
        try group.allReduce(shared, .sum)
        return shared.item(Double.self) / Double(rows.count)
    }
}
