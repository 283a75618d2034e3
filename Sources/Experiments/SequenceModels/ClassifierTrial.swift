import NN
import Optim
import SequenceModels
import Torch
import Training

/// One classifier of a comparison, trained as every experiment of the family trains: AdamW (0.9, 0.95, decay 0.01), 5 % warm-up, cosine to a
/// tenth, clipping at 1 (specification of the sequence models, section 0).
struct ClassifierTrial {
    let name: String
    let model: Module
    /// `[B, T, channels]` to logits `[B, classes]`.
    let logits: (Tensor) -> Tensor

    /// Settings that the methods of a comparison share.
    struct Settings {
        var steps: Int
        var rows: Int
        var learningRate: Double

        /// Passes over a data set, at least one step.
        static func epochs(_ count: Int, over data: SequenceDataset, rows: Int, learningRate: Double) -> Settings {
            Settings(steps: max(1, count * (data.count / rows)), rows: rows, learningRate: learningRate)
        }

        func optimizer() throws -> OptimizerConfiguration {
            .adamw(try AdamWConfiguration(learningRate: learningRate, beta1: 0.9, beta2: 0.95, weightDecay: 0.01))
        }

        func trainer(seed: UInt64) throws -> TrainerConfiguration {
            try TrainerConfiguration(
                steps: steps, schedule: .warmUpCosine(warmUp: steps / 20, finalFraction: 0.1), checkpointMinutes: nil, seed: seed)
        }
    }

    /// Trains in shuffled passes, without checkpoints.
    /// - Returns: the training loss.
    func train(_ data: SequenceDataset, _ settings: Settings, seed: UInt64, context: ExperimentContext) throws -> Measurements.Curve {
        try context.checkCancellation()
        context.progress("\(name), seed \(seed): \(settings.steps) steps")
        let training: ClassifierTraining = ClassifierTraining(
            optimizer: try settings.optimizer(), trainer: try settings.trainer(seed: seed), rows: min(settings.rows, data.count))
        let result: TrainingResult = try training.run(model, forward: logits, train: data, test: nil)
        return Measurements.Curve(method: name, losses: result.losses, seed: seed)
    }

    /// Share of sequences whose largest logit is at their label.
    func accuracy(_ data: SequenceDataset, rows: Int) -> Double {
        model.train(false)
        return ClassifierScore(data, rows: rows, forward: logits).accuracy
    }

    /// The width in `widths` whose model comes closest to `count` parameters.
    static func matching(_ count: Int, widths: some Collection<Int>, _ make: (Int) -> ClassifierTrial) -> ClassifierTrial {
        let sizes: [(width: Int, distance: Int)] = widths.map { ($0, abs(make($0).model.parameterCount - count)) }
        guard let best = sizes.min(by: { $0.distance < $1.distance }) else { preconditionFailure("no widths to choose from") }
        return make(best.width)
    }
}

extension Measurements.Curve {
    /// Training losses thinned to about 50 points, each the mean of the steps around it.
    init(method: String, metric: String = "training loss (nats)", losses: [Double], seed: UInt64) {
        let width: Int = max(1, losses.count / 50)
        let starts: [Int] = Array(stride(from: 0, to: losses.count, by: width))
        let means: [Double] = starts.map { start in
            let window: ArraySlice<Double> = losses[start..<min(start + width, losses.count)]
            return window.reduce(0, +) / Double(window.count)
        }
        self.init(
            method: method, metric: metric, axis: "step", seed: seed, x: starts.map { Double($0 + width / 2) }, y: means)
    }
}
