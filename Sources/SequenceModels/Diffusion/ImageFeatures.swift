import NN
import Optim
import Torch
import Training

/// A small convolutional classifier of images whose last hidden layer, 64 numbers, is what ``frechetDistance(_:_:)`` compares images by.
public final class ImageFeatures: Module {
    /// Numbers that describe an image.
    public static let dimensions: Int = 64
    public let convolutions: [Conv2d]
    public let hidden: Linear
    public let head: Linear
    private let pool: MaxPool2d = MaxPool2d(2)

    /// - Parameters:
    ///   - channels: of an image.
    ///   - imageSize: rows and columns, a multiple of 4. Traps otherwise.
    ///   - classes: number of logits.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(channels: Int, imageSize: Int, classes: Int, generator: RandomGenerator? = nil) {
        precondition(imageSize > 0 && imageSize % 4 == 0, "ImageFeatures: images of \(imageSize) pixels; it has to be a multiple of 4")
        convolutions = [
            Conv2d(channels, 16, kernelSize: 3, padding: 1, generator: generator),
            Conv2d(16, 32, kernelSize: 3, padding: 1, generator: generator),
        ]
        hidden = Linear(32 * (imageSize / 4) * (imageSize / 4), Self.dimensions, generator: generator)
        head = Linear(Self.dimensions, classes, generator: generator)
        super.init()
    }

    /// Images `[B, C, H, W]` to features `[B, 64]`.
    public func features(_ images: Tensor) -> Tensor {
        hidden(convolutions.reduce(images) { pool($1($0).relu()) }.flattened(from: 1)).relu()
    }

    /// Images `[B, C, H, W]` to logits `[B, classes]`.
    public func callAsFunction(_ images: Tensor) -> Tensor { head(features(images)) }

    /// Features `[N, 64]` of many images `[N, C, H, W]`, a few at a time and without a gradient.
    public func allFeatures(_ images: Tensor, rows: Int = 250) -> Tensor {
        noGrad { concatenated(images.split(size: rows).map { features($0) }) }
    }

    /// Trains the classifier, always from the same start, so that distances are comparable from run to run.
    /// - Parameters:
    ///   - train: images as ``SequenceDataset/diffusionImages(_:side:limit:)`` makes them.
    ///   - test: measures the accuracy.
    ///   - epochs: passes over `train`.
    ///   - progress: how progress is shown.
    public static func trained(
        on train: SequenceDataset, test: SequenceDataset, epochs: Int = 8, progress: ProgressStyle = .automatic()
    ) throws -> (network: ImageFeatures, accuracy: Double) {
        let side: Int = Int(Double(train.length).squareRoot().rounded())
        let network: ImageFeatures = ImageFeatures(
            channels: train.channels, imageSize: side, classes: train.classes.count, generator: RandomGenerator(seed: 0))
        let rows: Int = min(64, train.count)
        let steps: Int = max(1, epochs * (train.count / rows))
        let training: ClassifierTraining = ClassifierTraining(
            optimizer: .adamw(try AdamWConfiguration(learningRate: 2e-3)),
            trainer: try TrainerConfiguration(
                steps: steps, schedule: .warmUpCosine(warmUp: steps / 20, finalFraction: 0.1), checkpointMinutes: nil),
            rows: rows)
        let forward: (Tensor) -> Tensor = { pixels in
            network(pixels.mT.reshaped(pixels.dim(0), pixels.dim(2), side, side))
        }
        try training.run(network, forward: forward, train: train, test: nil, outlet: TrainingOutlet(progress: progress))
        return (network, ClassifierScore(test, rows: 250, forward: forward).accuracy)
    }
}
