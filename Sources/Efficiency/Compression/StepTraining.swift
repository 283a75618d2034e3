import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// How a compression step trains a language model: AdamW with a twentieth of warm-up and a cosine to a tenth.
struct StepTraining {
    var steps: Int
    var learningRate: Double
    var weightDecay: Double = 0

    /// Trains the parameters that are not frozen.
    /// - Parameters:
    ///   - model: in place.
    ///   - text: what it is trained on.
    ///   - context: seed and progress.
    ///   - loss: a scalar.
    func run(
        _ model: any CausalLanguageModel, on text: TextWindows, _ context: CompressionContext, loss: @escaping (TokenBatch) -> Tensor
    ) throws {
        try context.checkCancellation()
        let trainer: TrainerConfiguration = try TrainerConfiguration(
            steps: steps, schedule: .warmUpCosine(warmUp: steps / 20, finalFraction: 0.1), checkpointMinutes: nil, seed: context.seed)
        let optimizer: AdamW = try AdamW(
            groups: .decayingMatricesOnly(model.namedParameters().filter { $0.tensor.requiresGrad }),
            configuration: AdamWConfiguration(learningRate: learningRate, beta1: 0.9, beta2: 0.95, weightDecay: weightDecay))
        let result: TrainingResult = try Trainer(
            model: model, optimizer: optimizer, source: text, configuration: trainer, progress: .quiet, loss: loss
        ).run()
        let last: ArraySlice<Double> = result.losses.suffix(max(1, steps / 10))
        context.progress(
            "trained for \(steps) steps: loss \(String(format: "%.4f", last.reduce(0, +) / Double(max(last.count, 1)))) at the end")
    }
}
