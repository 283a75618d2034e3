import NN
import Optim
import SequenceModels
import Torch
import Training

/// The digits that the diffusion models of ``LiTExperiment`` learn, what they are asked, and the features that samples are compared by.
struct DiffusionData {
    let train: SequenceDataset
    let held: NoiseBenchmark
    let features: ImageFeatures
    let featureAccuracy: Double

    init(_ setting: LiTExperiment.Setting) throws {
        let folder: String = try DataDirectory.standard.locate("mnist")
        let test: SequenceDataset = .diffusionImages(
            try MNIST.load(.test, folder: folder), side: setting.imageSize, limit: setting.heldImages)
        train = .diffusionImages(try MNIST.load(.train, folder: folder), side: setting.imageSize, limit: setting.images)
        held = NoiseBenchmark(test, diffusion: GaussianDiffusion())
        (features, featureAccuracy) = try ImageFeatures.trained(
            on: train, test: test, epochs: setting.featureEpochs, progress: .quiet)
    }
}

/// Trains and measures the diffusion models of one seed, all on the same batches with the same noise.
struct DiffusionBench {
    let setting: LiTExperiment.Setting
    let data: DiffusionData
    let seed: UInt64
    let context: ExperimentContext
    private(set) var measurements: Measurements = Measurements()

    init(setting: LiTExperiment.Setting, data: DiffusionData, seed: UInt64, context: ExperimentContext) {
        self.setting = setting
        self.data = data
        self.seed = seed
        self.context = context
    }

    /// Whether this is the seed whose samples are drawn.
    var isFirst: Bool { context.isFirst(seed) }

    mutating func record(_ method: String, _ metric: String, _ value: Double) {
        measurements.record(method, metric, seed: seed, value)
    }

    /// Trains by AdamW without decay or schedule, as the paper does, clipped at 1.
    /// - Returns: the model with the moving average of its weights.
    mutating func train(
        _ name: String, _ shape: DiTConfiguration, steps: Int, teacher: DiT? = nil, inheritance: InheritanceExclusion? = nil,
        distillation: HybridDistillationLoss? = nil
    ) throws -> DiT {
        try context.checkCancellation()
        context.progress("\(name), seed \(seed): \(steps) steps")
        let training: DiffusionTraining = DiffusionTraining(
            model: shape, optimizer: .adamw(try AdamWConfiguration(learningRate: 3e-4, weightDecay: 0)),
            trainer: try TrainerConfiguration(steps: steps, averageDecay: 0.995, checkpointMinutes: nil, seed: seed), rows: setting.rows,
            inheritance: inheritance, distillation: distillation)
        let (model, result) = try training.run(train: data.train, held: nil, teacher: teacher)
        measurements.record(curve: Measurements.Curve(method: name, losses: result.losses, seed: seed))
        return model
    }

    /// Between as many samples, equally many of each class, and training images.
    func frechetDistance(of model: DiT) throws -> Double {
        try context.checkCancellation()
        context.progress("seed \(seed): \(setting.samples) samples of \(setting.sampleSteps) steps")
        let labels: [Int] = (0..<setting.samples).map { $0 % 10 }
        let samples: Tensor = model.sample(
            labels: labels, steps: setting.sampleSteps, generator: RandomGenerator(seed: seed),
            proceed: { _ in !context.isCancelled() })
        let real: Tensor = data.train.batch(0..<setting.samples).images().images
        return SequenceModels.frechetDistance(data.features.allFeatures(samples), data.features.allFeatures(real))
    }

    /// Shortest times in milliseconds of a layer's forward pass with each number of heads, measured in turn.
    static func latencies(_ setting: LiTExperiment.Setting, heads: [Int], repetitions: Int) -> [Double] {
        let side: Int = setting.imageSize / 2
        let x: Tensor = .normal([setting.rows, side * side, setting.dimensions], generator: RandomGenerator(seed: 0))
        let layers: [SimplifiedLinearAttention] = heads.map {
            SimplifiedLinearAttention(dimensions: setting.dimensions, heads: $0, grid: Pair(side), generator: RandomGenerator(seed: 0))
        }
        var shortest: [Double] = heads.map { _ in .infinity }
        let clock: ContinuousClock = ContinuousClock()
        for _ in 0..<repetitions {
            for (index, layer) in layers.enumerated() {
                let time: Duration = clock.measure { _ = noGrad { layer(x).sum().item(Float.self) } }
                shortest[index] = min(shortest[index], time / .milliseconds(1))
            }
        }
        return shortest
    }
}
