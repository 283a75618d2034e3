import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// Large batches: layer-wise adaptation beside AdamW, LARS and SGD, each tuned once at a small batch (arXiv 1904.00962).
public struct LAMBExperiment: Experiment {
    public static let slug: String = "lamb"
    public static let summary: String =
        "LAMB, AdamW, LARS and SGD with momentum, each tuned at a small batch and scaled by the root of the batch: a small transformer on characters to 32 times the batch, and a small convolutional network on MNIST."

    static let methods: [String] = ["LAMB", "AdamW", "LARS", "SGD"]
    static let tuned: String = "characters: tuned rate at the small batch"
    static let small: String = "characters: loss at the small batch"
    static let large: String = "characters: loss at the large batch"
    static let smallAccuracy: String = "MNIST: accuracy at the small batch"
    static let largeAccuracy: String = "MNIST: accuracy at the large batch"
    static let tunedDigits: String = "MNIST: tuned rate at the small batch"
    static let equivalence: String = "one batch against accumulated parts (largest difference of the losses)"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("accumulating four parts of a batch gives the losses of the whole batch to 1e-4") { $0["LAMB", equivalence] <= 1e-4 }
        ],
        claims: [
            Claim("large batch: LARS's loss minus LAMB's", atLeast: 0.10) { $0["LARS", large] - $0["LAMB", large] },
            Claim("large batch: SGD's loss minus LAMB's", atLeast: 0.10) { $0["SGD", large] - $0["LAMB", large] },
            Claim("AdamW's loss of quality by the large batch minus LAMB's", atLeast: -0.02) {
                ($0["AdamW", large] - $0["AdamW", small]) - ($0["LAMB", large] - $0["LAMB", small])
            },
            Claim("MNIST, large batch: LAMB's accuracy", atLeast: 0.95) { $0["LAMB", largeAccuracy] },
            Claim("MNIST, large batch: LARS's accuracy above SGD's", atLeast: 0) { $0["LARS", largeAccuracy] - $0["SGD", largeAccuracy] },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: LargeBatchSetting = LargeBatchSetting(scale)
        let corpus: CharacterCorpus = try CharacterCorpus(context: setting.context, limit: setting.validationLimit)
        let digits: DigitTask = try DigitTask(setting)
        for seed in context.seeds {
            let text: LargeBatchTrial = LargeBatchTrial(setting, corpus, seed, context)
            measurements.record("LAMB", Self.equivalence, seed: seed, try text.differenceOfAccumulation())
            for method in Self.methods {
                try characters(method, text, &measurements)
                try images(method, digits, setting, seed, context, &measurements)
            }
        }
        return measurements
    }

    private func characters(_ method: String, _ trial: LargeBatchTrial, _ measurements: inout Measurements) throws {
        let setting: LargeBatchSetting = trial.setting
        var best: (rate: Double, loss: Double) = (.nan, .infinity)
        for rate in setting.rates(method) {
            let loss: Double = try trial.train(method, rate: rate, batch: setting.batches[0], samples: setting.tuningSamples).loss
            if loss < best.loss { best = (rate, loss) }
        }
        measurements.record(method, Self.tuned, seed: trial.seed, best.rate)
        // The paper's claim is on the two ends; what lies between is shown for the two that follow each other closely.
        let isFull: Bool = method == "LAMB" || method == "AdamW"
        let batches: [Int] = isFull ? setting.batches : [setting.batches[0], setting.batches[setting.batches.count - 1]]
        let losses: [Double] = try batches.map { batch in
            let result: (loss: Double, curve: Measurements.Curve) = try trial.train(
                method, rate: best.rate, batch: batch, samples: setting.samples)
            measurements.record(curve: result.curve)
            return result.loss
        }
        measurements.record(method, Self.small, seed: trial.seed, losses[0])
        measurements.record(method, Self.large, seed: trial.seed, losses[losses.count - 1])
        measurements.record(
            curve: Measurements.Curve(
                method: method, metric: "validation loss (nats per character)", axis: "sequences in a batch", seed: trial.seed,
                x: batches.map { Double($0) }, y: losses))
    }

    private func images(
        _ method: String, _ task: DigitTask, _ setting: LargeBatchSetting, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws {
        try context.checkCancellation()
        context.progress("\(method) on MNIST, seed \(seed)")
        var best: (rate: Double, accuracy: Double) = (.nan, -1)
        for rate in setting.rates(method) {
            let accuracy: Double = try task.train(method, rate: rate, batch: task.batches.small, epochs: task.tuningEpochs, seed: seed)
            if accuracy > best.accuracy { best = (rate, accuracy) }
        }
        measurements.record(method, Self.tunedDigits, seed: seed, best.rate)
        for (metric, batch) in [(Self.smallAccuracy, task.batches.small), (Self.largeAccuracy, task.batches.large)] {
            measurements.record(
                method, metric, seed: seed, try task.train(method, rate: best.rate, batch: batch, epochs: task.epochs, seed: seed))
        }
    }
}

/// The sizes of the experiment at a scale.
struct LargeBatchSetting {
    var dimensions: Int = 64
    var layers: Int = 4
    var context: Int = 32
    /// From the one that rates are tuned at to the largest.
    var batches: [Int] = [32, 128, 512, 1024]
    /// Sequences of a run, at every batch.
    var samples: Int = 48_000
    /// Sequences of a run that tunes the rate.
    var tuningSamples: Int = 6000
    var validationLimit: Int?
    /// Images of MNIST.
    var images: (train: Int, test: Int) = (10_000, 2000)
    var digitBatches: (small: Int, large: Int) = (64, 2048)
    var epochs: Int = 8
    var tuningEpochs: Int = 2
    /// Warm-up's share of the run at the small batch; it grows with the batch.
    let warmUpFraction: Double = 0.01
    let isSmoke: Bool

    init(_ scale: Scale) {
        isSmoke = scale == .smoke
        switch scale {
        case .smoke:
            (dimensions, layers, context, batches) = (16, 1, 8, [2, 8])
            (samples, tuningSamples, validationLimit, images) = (16, 8, 500, (64, 32))
            (digitBatches, epochs, tuningEpochs) = ((8, 32), 1, 1)
        case .small: validationLimit = 40_000
        case .full:
            (dimensions, layers, context, batches) = (512, 12, 128, [128, 512, 2048, 8192])
            (samples, tuningSamples, images) = (2_000_000, 200_000, (60_000, 10_000))
        }
    }

    /// Five rates, a factor of about three apart, about the middle that suits the method's step.
    func rates(_ method: String) -> [Double] {
        let middle: Double =
            switch method {
            case "LAMB": 0.01
            case "AdamW": 0.003
            case "LARS": 0.03
            default: 0.1
            }
        return isSmoke ? [middle] : [0.1, 0.3, 1, 3, 10].map { $0 * middle }
    }

    static func optimizer(_ method: String, rate: Double) throws -> OptimizerConfiguration {
        switch method {
        case "LAMB": .lamb(try LAMBConfiguration(learningRate: rate, weightDecay: 0.01))
        case "AdamW": .adamw(try AdamWConfiguration(learningRate: rate, weightDecay: 0.01))
        case "LARS": .lars(try LARSConfiguration(learningRate: rate, weightDecay: 0.01))
        default: .sgd(try SGDConfiguration(learningRate: rate, momentum: 0.9, weightDecay: 0.01))
        }
    }
}

/// The language model's part, for one seed.
struct LargeBatchTrial {
    let setting: LargeBatchSetting
    let seed: UInt64
    private let corpus: CharacterCorpus
    private let run: ExperimentContext

    init(_ setting: LargeBatchSetting, _ corpus: CharacterCorpus, _ seed: UInt64, _ run: ExperimentContext) {
        self.setting = setting
        self.corpus = corpus
        self.seed = seed
        self.run = run
    }

    private func model() throws -> PlainTransformer {
        PlainTransformer(
            try PlainTransformerConfiguration(
                vocabularySize: corpus.vocabularySize, dimensions: setting.dimensions, layers: setting.layers, heads: 4,
                maximumContext: setting.context))
    }

    private func windows(_ tokens: PackedTokens, rows: Int) -> TextWindows {
        TextWindows(tokens, context: setting.context, rows: rows, seed: seed)
    }

    /// Trains over `samples` sequences by the scaling rule from `rate` at the small batch.
    /// - Returns: the validation loss, and the losses while training.
    func train(_ method: String, rate: Double, batch: Int, samples: Int) throws -> (loss: Double, curve: Measurements.Curve) {
        let plan: LargeBatchSchedule = try LargeBatchSchedule(
            referenceRate: rate, referenceBatch: setting.batches[0], batch: batch, samples: samples,
            warmupFraction: setting.warmUpFraction)
        let training: TrialTraining = TrialTraining(
            steps: plan.steps, learningRate: plan.learningRate, seed: seed,
            optimizer: try LargeBatchSetting.optimizer(method, rate: plan.learningRate), schedule: plan.schedule)
        // A rate that is too high for a method diverges: the worst of losses, not the end of the experiment.
        do {
            let result: (model: PlainTransformer, curve: Measurements.Curve) = try training.train(
                "\(method), batch \(batch)", on: windows(corpus.training, rows: batch), context: run, make: model)
            return (result.model.score(windows(corpus.validation, rows: 32)).loss, result.curve)
        } catch let failure as TrainingFailure {
            if case .interrupted = failure { throw failure }
            let curve: Measurements.Curve = Measurements.Curve(method: "\(method), batch \(batch)", losses: [], seed: seed)
            return (log(Double(corpus.vocabularySize)), curve)
        }
    }

    /// Largest difference between the losses of five LAMB steps on whole batches and on batches accumulated from four parts.
    func differenceOfAccumulation() throws -> Double {
        let whole: [Double] = try losses(parts: 1), accumulated: [Double] = try losses(parts: 4)
        return zip(whole, accumulated).map { abs($0 - $1) }.max() ?? .nan
    }

    private func losses(parts: Int) throws -> [Double] {
        seedEverything(seed)
        let model: PlainTransformer = try model()
        let optimizer: LAMB = try LAMB(
            groups: .decayingMatricesOnly(model.namedParameters()), configuration: LAMBConfiguration(learningRate: 0.01))
        let rows: Int = 8, source: TextWindows = windows(corpus.training, rows: rows)
        return (0..<5).map { step in
            let pieces: [TokenBatch] = Self.pieces(of: source.batch(step), count: parts)
            let accumulator: GradientAccumulator = GradientAccumulator()
            let values: [Double] = pieces.map { piece in
                let (value, gradients) = valueAndGrad(of: optimizer.parameters) { model.loss(piece) }
                accumulator.add(gradients)
                return value.item(Double.self)
            }
            optimizer.step(accumulator.takeMean())
            return values.reduce(0, +) / Double(parts)
        }
    }

    private static func pieces(of batch: TokenBatch, count: Int) -> [TokenBatch] {
        let size: Int = batch.tokens.count / count
        return (0..<count).map { index in
            let range: Range<Int> = index * size..<(index + 1) * size
            return TokenBatch(tokens: Array(batch.tokens[range]), targets: Array(batch.targets[range]), rows: batch.rows / count)
        }
    }
}

/// Two convolutions and a linear layer on digits of 14 x 14 pixels.
final class SmallDigitNetwork: Module {
    @ModuleInfo var first: Conv2d
    @ModuleInfo var second: Conv2d
    @ModuleInfo var head: Linear

    override init() {
        super.init()
        first = Conv2d(1, 16, kernelSize: 3, stride: 2, padding: 1)
        second = Conv2d(16, 32, kernelSize: 3, stride: 2, padding: 1)
        head = Linear(32 * 4 * 4, 10)
    }

    /// `[B, 196, 1]` to `[B, 10]`.
    func callAsFunction(_ pixels: Tensor) -> Tensor { head(second(first(squareImages(pixels)).relu()).relu().flattened(from: 1)) }
}

/// The digits' part.
struct DigitTask {
    let batches: (small: Int, large: Int)
    let epochs: Int
    let tuningEpochs: Int
    private let training: SequenceDataset
    private let test: SequenceDataset
    private let warmUpFraction: Double

    init(_ setting: LargeBatchSetting) throws {
        let folder: String = try DataDirectory.standard.locate("mnist")
        training = .images(try MNIST.load(.train, folder: folder), side: 14, limit: setting.images.train)
        test = .images(try MNIST.load(.test, folder: folder), side: 14, limit: setting.images.test)
        (batches, epochs, tuningEpochs) = (setting.digitBatches, setting.epochs, setting.tuningEpochs)
        warmUpFraction = setting.warmUpFraction
    }

    /// The accuracy on the test part; that of guessing where the rate was too high.
    func train(_ method: String, rate: Double, batch: Int, epochs: Int, seed: UInt64) throws -> Double {
        let plan: LargeBatchSchedule = try LargeBatchSchedule(
            referenceRate: rate, referenceBatch: batches.small, batch: batch, samples: epochs * training.count,
            warmupFraction: warmUpFraction)
        seedEverything(seed)
        let network: SmallDigitNetwork = SmallDigitNetwork()
        let settings: ClassifierTraining = ClassifierTraining(
            optimizer: try LargeBatchSetting.optimizer(method, rate: plan.learningRate),
            trainer: try TrainerConfiguration(steps: plan.steps, schedule: plan.schedule, checkpointMinutes: nil, seed: seed), rows: batch)
        do {
            try settings.run(network, forward: { network($0) }, train: training, test: nil)
        } catch let failure as TrainingFailure {
            if case .interrupted = failure { throw failure }
            return 0.1
        }
        network.train(false)
        return ClassifierScore(test, rows: 500) { network($0) }.accuracy
    }
}
