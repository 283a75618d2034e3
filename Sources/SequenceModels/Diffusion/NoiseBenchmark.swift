import NN
import Torch
import Training

/// Held-out images with steps and noise that are drawn once, so that models are compared on the same questions.
public struct NoiseBenchmark {
    public let images: SequenceDataset
    private let diffusion: GaussianDiffusion
    private let rows: Int
    private let seed: UInt64

    /// - Parameters:
    ///   - images: as ``SequenceDataset/diffusionImages(_:side:limit:)`` makes them.
    ///   - diffusion: adds the noise.
    ///   - rows: images that are read at once; steps and noise depend on it.
    ///   - seed: of steps and noise.
    public init(_ images: SequenceDataset, diffusion: GaussianDiffusion, rows: Int = 128, seed: UInt64 = 0) {
        self.images = images
        self.diffusion = diffusion
        self.rows = rows
        self.seed = seed
    }

    /// Mean squared error of the predicted noise; 1 is what predicting none gives.
    public func noiseError(of model: DiT) -> Double {
        mean(of: model) { input, prediction in meanSquaredError(prediction.noise, input.noise) }
    }

    /// Mean squared difference between two models' v.
    public func varianceError(of model: DiT, against teacher: DiT) -> Double {
        mean(of: model) { input, prediction in
            meanSquaredError(prediction.variance, teacher(input.noisy, steps: input.steps, labels: input.labels).variance)
        }
    }

    /// The inputs, batch by batch.
    public func inputs(device: Device) -> [NoisedInput] {
        images.batches(rows: rows).enumerated().map { index, batch in
            NoisedInput(NoisedBatch(examples: batch, seed: seed &+ UInt64(index)), diffusion: diffusion, device: device)
        }
    }

    private func mean(of model: DiT, _ error: (NoisedInput, NoisePrediction) -> Tensor) -> Double {
        let wasTraining: Bool = model.isTraining
        model.train(false)
        defer { model.train(wasTraining) }
        return noGrad {
            let total: Double = inputs(device: model.device).reduce(0) { sum, input in
                let prediction: NoisePrediction = model(input.noisy, steps: input.steps, labels: input.labels)
                return sum + error(input, prediction).item(Double.self) * Double(input.clean.dim(0))
            }
            return total / Double(images.count)
        }
    }
}
