import Efficiency
import NN
import Optim
import Torch
import Training

/// Federated averaging (arXiv 1602.05629): every copy is a client that takes steps of its own on its own examples, and what is averaged are the ways
/// that they went. Three functions, and a step of its own.
enum FederatedPipeline {
    private static let localSteps: Int = 4
    private static let localRate: Double = 0.2

    /// The weights before minus those after the client's steps, in the place of gradients: with rate 1 the clients' mean is the next model.
    static func step(_ model: MLP, _ batch: DigitBatch, _ random: RandomGenerator) throws -> (loss: Tensor, gradients: [Tensor?]) {
        let weights: [Tensor] = model.parameters()
        let before: [Tensor] = noGrad { weights.map { $0.detached().cloned() } }
        let client: SGD = try SGD(parameters: weights, configuration: SGDConfiguration(learningRate: localRate))
        let size: Int = batch.labels.dim(0) / localSteps
        var losses: [Tensor] = []
        for part in 0..<localSteps {
            let piece: DigitBatch = DigitBatch(
                images: batch.images.narrowed(axis: 0, start: part * size, length: size),
                labels: batch.labels.narrowed(axis: 0, start: part * size, length: size))
            let found: (value: Tensor, gradients: [Tensor]) = valueAndGrad(of: weights) { DigitBatch.loss(model, piece, true, random) }
            client.step(found.gradients)
            losses.append(found.value)
        }
        return noGrad {
            let way: [Tensor] = zip(before, weights).map { $0 - $1 }
            for (weight, start) in zip(weights, before) { weight.copy_(from: start) }
            return (stacked(losses).mean(), way)
        }
    }

    static func run(_ deployer: Deployer, _ digits: [LabelledDigit], testing: [LabelledDigit], rounds: Int) throws -> PipelineOutcome {
        let model: MLP = DigitBatch.model(seed: deployer.seed)
        let server: SGD = try SGD(parameters: model.parameters(), configuration: SGDConfiguration(learningRate: 1))
        let trainer: DistributedTrainer<MLP, LabelledDigit, DigitBatch> = DistributedTrainer(
            deployer, model: model, optimizer: server, step: step, collate: DigitBatch.collate, loss: DigitBatch.loss)
        let losses: [Double] = try trainer.fit(digits, epochs: rounds, perDevice: 8 * localSteps, steps: rounds)
        let found: [Int64] = try Predictor(
            deployer, model: model, collate: DigitBatch.collate, predict: DigitBatch.predict)(testing, perDevice: 32)
        return PipelineOutcome(losses: losses, score: Double(zip(found, testing).count { $0 == $1.label }) / Double(testing.count))
    }
}
