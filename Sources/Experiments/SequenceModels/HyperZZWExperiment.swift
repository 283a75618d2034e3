import NN
import Optim
import SequenceModels
import Torch
import Training

/// Whether context-dependent hyper-kernels classify images without residual connections or attention, and what each part contributes
/// (arXiv 2401.17948).
///
/// At small scale the images are averaged down to 8 × 8, since a step at 16 × 16 takes three times as long and the runs would not fit into minutes
/// on two cores; the run without the slow networks' loss and that with Kar3 belong to the other scales.
public struct HyperZZWExperiment: Experiment {
    public static let slug: String = "hyperzzw"
    public static let summary: String =
        "Terminator on MNIST, CIFAR-10 and permuted pixels, beside a plain CNN of equal depth and itself without global products, with a context-free kernel and without the slow networks' loss."

    static let full: String = "Terminator"
    static let plain: String = "plain CNN"
    static let local: String = "no global products"
    static let contextFree: String = "context-free kernel"
    static let noSlowLoss: String = "no slow loss"
    static let kar: String = "Terminator, Kar3"

    private static let slowShare: String = "slow networks' share of the parameters"
    private static let offset: String = "largest mean of a block's features over their deviation"
    private static let slowStart: String = "slow loss before training"
    private static let slowEnd: String = "slow loss after training"

    static func accuracy(_ task: ImageTask) -> String { "\(task.rawValue) accuracy" }
    private static func parameters(_ task: ImageTask) -> String { "\(task.rawValue) parameters" }
    static func firstAccuracy(_ task: ImageTask) -> String { "\(task.rawValue) accuracy after one epoch" }

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the mean of a block's features is at most 0.05 of their deviation") { $0[full, offset] <= 0.05 },
            Gate("the variants have the Terminator's parameters, the plain CNN as many to 5 %") { seed in
                [(local, ImageTask.cifar10), (contextFree, .permuted)].allSatisfy {
                    seed[$0, parameters($1)] == seed[full, parameters($1)]
                } && abs(seed[plain, parameters(.mnist)] / seed[full, parameters(.mnist)] - 1) <= 0.05
            },
        ],
        claims: [
            Claim("MNIST: accuracy", atLeast: 0.95) { $0[full, accuracy(.mnist)] },
            Claim("CIFAR-10: accuracy above that without global products", atLeast: 0.01) {
                $0[full, accuracy(.cifar10)] - $0[local, accuracy(.cifar10)]
            },
            Claim("MNIST: accuracy after one epoch above the plain CNN's", atLeast: 0) {
                $0[full, firstAccuracy(.mnist)] - $0[plain, firstAccuracy(.mnist)]
            },
            Claim("MNIST: the slow loss falls (factor)", atLeast: 5) { $0[full, slowStart] / $0[full, slowEnd] },
            Claim("permuted MNIST: accuracy above that of a context-free kernel", atLeast: 0.02) {
                $0[full, accuracy(.permuted)] - $0[contextFree, accuracy(.permuted)]
            },
        ])

    private let data: DataDirectory

    public init() { self.init(data: .standard) }

    init(data: DataDirectory) { self.data = data }

    /// How much of the data is used and how long it is trained on.
    struct Settings {
        var trainCount: Int
        var testCount: Int
        var epochs: Int
        var rows: Int
        var hidden: Int
        var side: Int

        static func of(_ scale: Scale, _ task: ImageTask) -> Settings {
            switch scale {
            case .smoke: Settings(trainCount: 24, testCount: 16, epochs: 2, rows: 12, hidden: 4, side: 8)
            case .small:
                Settings(
                    trainCount: task == .mnist ? 8000 : task == .cifar10 ? 4000 : 3000, testCount: 2000, epochs: 4, rows: 64, hidden: 16,
                    side: 8)
            case .full: Settings(trainCount: 60000, testCount: 10000, epochs: 100, rows: 64, hidden: 64, side: task == .cifar10 ? 32 : 28)
            }
        }
    }

    /// The methods that each task compares.
    private static func methods(_ task: ImageTask, _ scale: Scale) -> [String] {
        switch task {
        case .mnist: [full, plain] + (scale == .small ? [] : [noSlowLoss, kar])
        case .cifar10: [full, local] + (scale == .small ? [] : [plain, contextFree])
        case .permuted: [full, contextFree]
        }
    }

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        for task in ImageTask.allCases {
            let settings: Settings = .of(scale, task)
            let (train, test): (SequenceDataset, SequenceDataset) = try task.load(data, settings)
            for seed in context.seeds {
                for method in Self.methods(task, scale) {
                    try compare(method, task, train, test, settings, seed, scale, context, &measurements)
                }
            }
        }
        return measurements
    }

    private func compare(
        _ method: String, _ task: ImageTask, _ train: SequenceDataset, _ test: SequenceDataset, _ settings: Settings, _ seed: UInt64,
        _ scale: Scale, _ context: ExperimentContext, _ measurements: inout Measurements
    ) throws {
        try context.checkCancellation()
        context.progress("\(method) on \(task.rawValue), seed \(seed)")
        seedEverything(seed)
        let network: ImageNetwork = try ImageNetwork(method, channels: train.channels, settings, scale)
        measurements.record(method, Self.parameters(task), seed: seed, Double(network.model.parameterCount))
        let example: Tensor = squareImages(test.batch(0..<min(64, test.count)).tensors().inputs)
        let model: Terminator? = network.model as? Terminator
        let watched: Bool = method == Self.full && task == .mnist
        if watched, let model {
            measurements.record(
                method, Self.slowShare, seed: seed, Double(model.slowParameterCount) / Double(model.parameterCount))
            measurements.record(method, Self.slowStart, seed: seed, noGrad { model(example).slowLoss }.item())
        }
        let result: TrainingResult = try network.train(train, test, settings, seed: seed)
        measurements.record(
            curve: Measurements.Curve(method: "\(method) (\(task.rawValue))", losses: result.losses, seed: seed))
        measurements.record(method, Self.firstAccuracy(task), seed: seed, result.validations.first?.metrics["accuracy"] ?? .nan)
        measurements.record(method, Self.accuracy(task), seed: seed, result.validations.last?.metrics["accuracy"] ?? .nan)
        if watched, let model {
            measurements.record(method, Self.slowEnd, seed: seed, noGrad { model(example).slowLoss }.item())
            measurements.record(method, Self.offset, seed: seed, Self.largestOffset(model, example))
        }
    }

    /// Largest absolute mean of what a block's activation is applied to, over its standard deviation.
    private static func largestOffset(_ model: Terminator, _ images: Tensor) -> Double {
        noGrad {
            model.features(images).features.map { ($0.mean().abs() / $0.standardDeviation()).item(Double.self) }.max() ?? .nan
        }
    }
}

/// The data sets of the comparison, as sequences of pixels.
enum ImageTask: String, CaseIterable {
    case mnist = "MNIST"
    case cifar10 = "CIFAR-10"
    case permuted = "permuted MNIST"

    func load(_ data: DataDirectory, _ settings: HyperZZWExperiment.Settings) throws -> (train: SequenceDataset, test: SequenceDataset) {
        let parts: [LabelledImages]
        let (mean, deviation): (Float, Float)
        switch self {
        case .cifar10:
            let folder: String = try CIFAR10.locate(in: data)
            parts = [try CIFAR10.load(.train, folder: folder), try CIFAR10.load(.test, folder: folder)]
            (mean, deviation) = (0.473, 0.251)
        case .mnist, .permuted:
            let folder: String = try data.locate("mnist")
            parts = [try MNIST.load(.train, folder: folder), try MNIST.load(.test, folder: folder)]
            (mean, deviation) = (0.1307, 0.3081)
        }
        let sets: [SequenceDataset] = zip(parts, [settings.trainCount, settings.testCount]).map {
            let pixels: SequenceDataset = .images($0, side: settings.side, limit: $1).standardized(mean: mean, deviation: deviation)
            return self == .permuted ? pixels.reading(times: Self.permutation(settings.side * settings.side)) : pixels
        }
        return (sets[0], sets[1])
    }

    /// The same order of the pixels in every run.
    private static func permutation(_ count: Int) -> [Int] {
        var order: ShuffledIndices = ShuffledIndices(count: count, seed: 92)
        return Array(order.nextBatch(count))
    }
}

/// One method with what it is trained by.
private struct ImageNetwork {
    let model: Module
    private let logits: (Tensor) -> Tensor
    private let loss: (Tensor, Tensor) -> Tensor
    private let optimizer: OptimizerConfiguration

    init(_ method: String, channels: Int, _ settings: HyperZZWExperiment.Settings, _ scale: Scale) throws {
        let terminator: Terminator = try Self.terminator(method, channels: channels, settings, scale)
        optimizer =
            method == HyperZZWExperiment.kar
            ? .kar(try .kar3(learningRate: 4e-4))
            : .adamw(try AdamWConfiguration(learningRate: 2e-3, beta1: 0.9, beta2: 0.95, weightDecay: 0.01))
        if method == HyperZZWExperiment.plain {
            let depth: Int = terminator.blocks.count
            let trial: ClassifierTrial = .matching(terminator.parameterCount, widths: 2...80) {
                let plain: PlainImageClassifier = PlainImageClassifier(channels, classes: 10, channels: $0, depth: depth)
                return ClassifierTrial(name: method, model: plain) { plain(squareImages($0)) }
            }
            (model, logits) = (trial.model, trial.logits)
            loss = { crossEntropy(trial.logits($0), $1, labelSmoothing: TerminatorLoss().labelSmoothing) }
        } else {
            let weights: TerminatorLoss = TerminatorLoss(slowWeight: method == HyperZZWExperiment.noSlowLoss ? 0 : 1)
            model = terminator
            logits = { terminator(squareImages($0)).logits }
            loss = { terminator.loss(squareImages($0), $1, weights) }
        }
    }

    private static func terminator(
        _ method: String, channels: Int, _ settings: HyperZZWExperiment.Settings, _ scale: Scale
    ) throws -> Terminator {
        let interaction: SFNEConfiguration.GlobalInteraction =
            method == HyperZZWExperiment.local ? .none : method == HyperZZWExperiment.contextFree ? .contextFree : .contextual
        let block: SFNEConfiguration = SFNEConfiguration(
            side: settings.side, globalHidden: settings.hidden, localHidden: scale == .full ? 32 : settings.hidden,
            globalInteraction: interaction)
        if scale == .full {
            return Terminator(
                try TerminatorConfiguration(inputChannels: channels, classes: 10, stemChannels: channels == 3 ? nil : 3, block: block))
        }
        return Terminator(try .compact(inputChannels: channels, classes: 10, block: block))
    }

    /// Trains with a validation after every epoch.
    func train(_ train: SequenceDataset, _ test: SequenceDataset, _ settings: HyperZZWExperiment.Settings, seed: UInt64) throws
        -> TrainingResult
    {
        let epoch: Int = max(1, train.count / settings.rows)
        let steps: Int = settings.epochs * epoch
        let training: ClassifierTraining = ClassifierTraining(
            optimizer: optimizer,
            trainer: try TrainerConfiguration(
                steps: steps, schedule: .warmUpCosine(warmUp: steps / 20, finalFraction: 0.1), validateEvery: epoch,
                checkpointMinutes: nil, seed: seed),
            rows: settings.rows)
        return try training.run(model, forward: logits, train: train, test: test, loss: loss)
    }
}
