import Efficiency
import NN
import Optim
import Torch
import Training

/// Stochastic gradient descent with differential privacy (arXiv 1607.00133): each example's gradient is clipped, and their sum is covered in noise.
/// Three functions, and a step of its own.
enum PrivatePipeline {
    private static let largestNorm: Double = 1
    /// Deviation of the noise on the sum over all copies, in units of the largest norm.
    private static let noise: Double = 0.5

    /// The mean of clipped gradients with this copy's share of the noise: over P copies the shares' variances add up.
    static func step(
        _ model: MLP, _ batch: DigitBatch, _ random: RandomGenerator, copies: Int
    ) -> (loss: Tensor, gradients: [Tensor?]) {
        let weights: [Tensor] = model.parameters()
        let count: Int = batch.labels.dim(0)
        var sums: [Tensor] = weights.map { $0.zerosLike() }
        var losses: [Tensor] = []
        for example in 0..<count {
            let one: DigitBatch = DigitBatch(
                images: batch.images.narrowed(axis: 0, start: example, length: 1),
                labels: batch.labels.narrowed(axis: 0, start: example, length: 1))
            let found: (value: Tensor, gradients: [Tensor]) = valueAndGrad(of: weights) { DigitBatch.loss(model, one, true, random) }
            let (gradients, _): ([Tensor?], Double) = clipped(found.gradients, toGlobalNorm: largestNorm)
            sums = zip(sums, gradients.compactMap { $0 }).map { $0 + $1 }
            losses.append(found.value)
        }
        let deviation: Double = noise * largestNorm / Double(copies).squareRoot()
        let noisy: [Tensor] = sums.map { sum in
            (sum + .normal(sum.shape, standardDeviation: deviation, device: sum.device, generator: random)) / Double(count)
        }
        return (stacked(losses).mean(), noisy)
    }

    static func run(
        _ deployer: Deployer, _ digits: [LabelledDigit], testing: [LabelledDigit], batch: Int, steps: Int
    ) throws -> PipelineOutcome {
        let model: MLP = DigitBatch.model(seed: deployer.seed)
        let optimizer: SGD = try SGD(parameters: model.parameters(), configuration: SGDConfiguration(learningRate: 0.5))
        let copies: Int = deployer.mesh.dp
        let trainer: DistributedTrainer<MLP, LabelledDigit, DigitBatch> = DistributedTrainer(
            deployer, model: model, optimizer: optimizer, step: { step($0, $1, $2, copies: copies) }, collate: DigitBatch.collate,
            loss: DigitBatch.loss)
        let losses: [Double] = try trainer.fit(digits, epochs: steps, perDevice: batch / copies, steps: steps)
        let found: [Int64] = try Predictor(
            deployer, model: model, collate: DigitBatch.collate, predict: DigitBatch.predict)(testing, perDevice: 32)
        return PipelineOutcome(losses: losses, score: Double(zip(found, testing).count { $0 == $1.label }) / Double(testing.count))
    }
}
