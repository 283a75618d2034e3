import Torch
import Training

/// Images for a step of training, with the seed of the noise that is added to them: all that is random about a step follows from it.
public struct NoisedBatch: Sendable {
    public let examples: LabelledBatch
    public let seed: UInt64
}

/// A dataset's images in shuffled batches. Two runs with the same seed see the same images with the same noise, whatever their models are.
public struct NoisedImages: BatchSource {
    private let examples: ShuffledExamples
    private let seed: UInt64

    /// - Parameters:
    ///   - dataset: images as ``SequenceDataset/diffusionImages(_:side:limit:)`` makes them.
    ///   - rows: images in a batch. Traps when there are fewer in the set.
    ///   - seed: of order and noise.
    public init(_ dataset: SequenceDataset, rows: Int, seed: UInt64) {
        examples = ShuffledExamples(dataset, rows: rows, seed: seed)
        self.seed = seed
    }

    public var itemsPerBatch: Int { examples.itemsPerBatch }
    public var itemName: String { "images" }

    public func batch(_ step: Int) throws -> NoisedBatch {
        var generator: SplitMix64 = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(step))
        return NoisedBatch(examples: try examples.batch(step), seed: generator.next())
    }
}

/// Everything that a model is asked in one step: noisy images, their steps and labels, and what the answer should be.
public struct NoisedInput {
    public let clean: Tensor
    public let noise: Tensor
    public let noisy: Tensor
    /// `[B]`, drawn uniformly from 0 ..< T.
    public let steps: Tensor
    public let labels: Tensor

    /// - Parameters:
    ///   - batch: images and the seed of steps and noise.
    ///   - diffusion: adds the noise.
    ///   - device: of the tensors.
    ///   - transform: applied to the labels with the batch's stream of random numbers, to drop some.
    public init(
        _ batch: NoisedBatch, diffusion: GaussianDiffusion, device: Device = .default,
        labels transform: (Tensor, RandomGenerator) -> Tensor = { labels, _ in labels }
    ) {
        let (images, classes): (Tensor, Tensor) = batch.examples.images(device: device)
        let generator: RandomGenerator = RandomGenerator(seed: batch.seed, device: device)
        clean = images
        steps = .randomIntegers([images.dim(0)], high: diffusion.count, device: device, generator: generator)
        noise = .normal(images.shape, device: device, generator: generator)
        noisy = diffusion.qSample(images, steps: steps, noise: noise)
        labels = transform(classes, generator)
    }
}

extension LabelledBatch {
    /// Images `[B, C, side, side]`, from pixels in row-major order, and labels `[B]` (int64). Traps unless the images are square.
    public func images(device: Device = .default) -> (images: Tensor, labels: Tensor) {
        let (pixels, labels): (Tensor, Tensor) = tensors(device: device)
        let side: Int = Int(Double(length).squareRoot().rounded())
        precondition(side * side == length, "\(length) pixels are no square image")
        return (pixels.mT.reshaped(pixels.dim(0), channels, side, side), labels)
    }
}

extension SequenceDataset {
    /// Images for diffusion: shrunk by area to `side · side` pixels, in −1 ... 1; the first `limit` of them.
    public static func diffusionImages(_ images: LabelledImages, side: Int, limit: Int? = nil) -> SequenceDataset {
        SequenceDataset.images(images, side: side, limit: limit).standardized(mean: 0.5, deviation: 0.5)
    }
}
