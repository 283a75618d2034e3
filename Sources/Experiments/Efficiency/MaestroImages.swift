import Efficiency
import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// MNIST digits and the networks that part C of the Maestro experiment trains on them.
struct MaestroImages {
    let seed: UInt64
    private let train: SequenceDataset
    private let test: SequenceDataset
    private let epochs: Int
    private let rows: Int
    private let context: ExperimentContext

    private static let learningRate: Double = 0.05

    init(_ scale: Scale, seed: UInt64, context: ExperimentContext) throws {
        self.seed = seed
        self.context = context
        let digits: LabelledImages = try MNIST.load(.train, folder: try DataDirectory.standard.locate("mnist"))
        let counts: (train: Int, test: Int) = scale == .smoke ? (64, 32) : scale == .small ? (8000, 2000) : (50_000, 10_000)
        train = Self.dataset(digits, 0..<counts.train)
        test = Self.dataset(digits, counts.train..<counts.train + counts.test)
        (epochs, rows) = scale == .smoke ? (1, 32) : (12, 64)
    }

    private static func dataset(_ digits: LabelledImages, _ indices: Range<Int>) -> SequenceDataset {
        SequenceDataset(
            values: indices.flatMap { digits.image($0) }, labels: indices.map { Int32(digits.labels[$0]) }, length: digits.imageSize,
            channels: 1, classes: (0..<10).map(String.init))
    }

    /// The LeNet of Maestro's code (after LeCun et al., 1998): two convolutions of 5 × 5 and three linear layers, with rectifiers and maxima.
    static func leNet(seed: UInt64) -> Sequential {
        let generator: RandomGenerator = RandomGenerator(seed: seed)
        return Sequential(
            FunctionLayer { $0.reshaped($0.dim(0), 1, 28, 28) },
            Conv2d(1, 6, kernelSize: 5, generator: generator), ActivationLayer(.relu), MaxPool2d(2),
            Conv2d(6, 16, kernelSize: 5, generator: generator), ActivationLayer(.relu), MaxPool2d(2),
            FunctionLayer { $0.flattened(from: 1) },
            Linear(256, 120, generator: generator), ActivationLayer(.relu),
            Linear(120, 84, generator: generator), ActivationLayer(.relu), Linear(84, 10, generator: generator))
    }

    /// LeNet with every layer but the last as factors: its rank is the number of classes, of which none can be spared.
    func factorised() -> Sequential {
        let model: Sequential = Self.leNet(seed: seed)
        Maestro.decompose(model, skipLast: true)
        return model
    }

    // MARK: Training

    /// Trains by cross-entropy alone.
    func train(_ model: Sequential, _ name: String) throws -> Measurements.Curve {
        try optimize(model, name) { inputs, labels in crossEntropy(model(inputs), labels) }
    }

    /// Trains with ordered dropout, lasso and progressive shrinking after each pass over the data.
    func trainOrdered(_ model: Sequential, _ name: String, lassoWeight: Double) throws -> Measurements.Curve {
        let objective: MaestroObjective = try MaestroObjective(lassoWeight: lassoWeight)
        let stepsPerEpoch: Int = train.count / rows
        var sampler: OrderedDropoutSampler = OrderedDropoutSampler(for: model, seed: seed)
        var step: Int = 0
        let curve: Measurements.Curve = try optimize(model, name) { inputs, labels in
            if step > 0, step % stepsPerEpoch == 0 {
                Maestro.shrink(model)
                sampler = OrderedDropoutSampler(for: model, seed: seed &+ UInt64(step))
            }
            step += 1
            return objective(model, width: sampler.next(), targets: labels) { model(inputs) }
        }
        Maestro.shrink(model)
        return curve
    }

    private func optimize(
        _ model: Sequential, _ name: String, loss: @escaping (_ inputs: Tensor, _ labels: Tensor) -> Tensor
    ) throws -> Measurements.Curve {
        try context.checkCancellation()
        let steps: Int = epochs * (train.count / rows)
        context.progress("\(name), seed \(seed): \(steps) steps")
        let optimizer: SGD = try SGD(
            parameters: model.trainableParameters(), configuration: SGDConfiguration(learningRate: Self.learningRate, momentum: 0.9))
        let trainer: TrainerConfiguration = try TrainerConfiguration(
            steps: steps, schedule: .warmUpCosine(warmUp: steps / 20, finalFraction: 0.1), checkpointMinutes: nil, seed: seed)
        let result: TrainingResult = try Trainer(
            model: model, optimizer: optimizer, source: ShuffledExamples(train, rows: rows, seed: seed), configuration: trainer,
            progress: .automatic()
        ) { batch in
            let (inputs, labels) = batch.tensors()
            return loss(inputs, labels)
        }.run()
        return Measurements.Curve(method: name, losses: result.losses, seed: seed)
    }

    // MARK: Measuring

    /// Percent of the held-out digits that are recognised.
    func accuracy(_ model: Sequential, width: OrderedWidth? = nil) -> Double {
        model.train(false)
        return 100 * ClassifierScore(test, rows: 250) { model($0, width: width) }.accuracy
    }

    /// Milliseconds of one pass over 250 digits, the fastest of five: a shared machine only ever makes it slower.
    func milliseconds(_ model: Sequential) -> Double {
        model.train(false)
        let inputs: Tensor = test.batch(0..<min(250, test.count)).tensors().inputs
        let clock: ContinuousClock = ContinuousClock()
        return (0..<5).map { _ in clock.measure { noGrad { _ = model(inputs) } } / .milliseconds(1) }.min() ?? .nan
    }

    /// The most important components of a trained model within a budget, as a model of its own.
    func extracted(_ model: Sequential, macBudget: Int) -> Sequential {
        Maestro.extract(model, macBudget: macBudget, into: Self.leNet(seed: seed))
    }

    /// Largest difference between two models' logits on a few digits.
    func difference(_ model: Sequential, _ other: Sequential) -> Double {
        let inputs: Tensor = test.batch(0..<16).tensors().inputs
        return noGrad { (model(inputs) - other(inputs)).abs().max().item(Double.self) }
    }

    /// Largest difference between the logits of the masked model and of the pruned one.
    func differenceOfPruning(_ model: Sequential) -> Double {
        difference(model, extracted(model, macBudget: Maestro.multiplyAccumulates(model)))
    }
}
