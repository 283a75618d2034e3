import Foundation
import NN
import SequenceModels
import Torch
import Training

/// What the ranks of the L-GreCo experiment train: data, model, loss and score.
struct GradientTask: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case images = "MNIST"
        case text = "language model"

        var qualityName: String { self == .images ? "accuracy" : "minus the loss" }

        /// What compression may cost: 0.7 points of accuracy, or 0.05 nats.
        var tolerance: Double { self == .images ? 0.007 : 0.05 }
    }

    let kind: Kind
    let rows: Int
    let learningRate: Double
    private let setting: LGreCoSetting
    private let images: (training: LabelledImages, test: LabelledImages)?
    private let corpus: CharacterCorpus?

    init(_ kind: Kind, _ setting: LGreCoSetting) throws {
        self.kind = kind
        self.setting = setting
        switch kind {
        case .images:
            let folder: String = try DataDirectory.standard.locate("mnist")
            images = (try MNIST.load(.train, folder: folder), try MNIST.load(.test, folder: folder))
            corpus = nil
            (rows, learningRate) = (setting.imageRows, 1e-3)
        case .text:
            images = nil
            corpus = try CharacterCorpus(context: setting.context, limit: setting.validationTokens)
            (rows, learningRate) = (setting.textRows, 3e-3)
        }
    }

    /// The examples of a batch: numbers of images, or text.
    enum Batch: DivisibleBatch {
        case images([Int])
        case text(TokenBatch)

        var rows: Int {
            switch self {
            case .images(let numbers): numbers.count
            case .text(let batch): batch.rows
            }
        }

        func part(_ index: Int, of count: Int) -> Batch {
            switch self {
            case .images(let numbers):
                let size: Int = numbers.count / count
                return .images(Array(numbers[index * size..<(index + 1) * size]))
            case .text(let batch): return .text(batch.part(index, of: count))
            }
        }
    }

    /// The whole batches of a run.
    func batches(seed: UInt64) -> GeneratedBatches<Batch> {
        let rows: Int = rows
        if let corpus {
            let windows: TextWindows = TextWindows(corpus.training, context: setting.context, rows: rows, seed: seed)
            return GeneratedBatches(itemsPerBatch: windows.itemsPerBatch, itemName: "tokens") { .text(windows.batch($0)) }
        }
        let most: Int = min(setting.trainingImages, images!.training.count)
        return GeneratedBatches(itemsPerBatch: rows, itemName: "images") { step in
            var generator: SplitMix64 = SplitMix64(seed: seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(step))
            return .images((0..<rows).map { _ in Int(generator.next(below: UInt64(most))) })
        }
    }

    /// A model from its seed, on one thread at a time: initialisers draw from the random stream of the process.
    func model(seed: UInt64) throws -> GradientModel {
        Self.making.lock()
        defer { Self.making.unlock() }
        seedEverything(seed)
        guard let corpus else { return .images(DigitNetwork(channels: setting.channels, hidden: setting.hidden)) }
        let shape: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: corpus.vocabularySize, dimensions: setting.dimensions, layers: setting.layers, heads: 4,
            maximumContext: setting.context)
        return .text(PlainTransformer(shape))
    }

    private static let making: NSLock = NSLock()

    func loss(_ model: GradientModel, _ batch: Batch) -> Tensor {
        switch (model, batch) {
        case (.images(let network), .images(let numbers)):
            let (pixels, labels): (Tensor, Tensor) = Self.tensors(images!.training, numbers)
            return crossEntropy(network(pixels), labels)
        case (.text(let network), .text(let tokens)): return network.loss(tokens)
        default: preconditionFailure("a batch of another task")
        }
    }

    /// Accuracy on test images, or minus the validation loss.
    func quality(_ model: GradientModel) -> Double {
        switch model {
        case .images(let network):
            let test: LabelledImages = images!.test
            let numbers: [Int] = Array(0..<min(setting.testImages, test.count))
            let right: Int = noGrad {
                stride(from: 0, to: numbers.count, by: 500).reduce(0) { sum, start in
                    let (pixels, labels): (Tensor, Tensor) = Self.tensors(test, Array(numbers[start..<min(start + 500, numbers.count)]))
                    return sum + Int((network(pixels).argMax(axis: 1) .== labels).sum().item(Int64.self))
                }
            }
            return Double(right) / Double(numbers.count)
        case .text(let network):
            return -network.score(TextWindows(corpus!.validation, context: setting.context, rows: 32, seed: 0)).loss
        }
    }

    private static func tensors(_ images: LabelledImages, _ numbers: [Int]) -> (pixels: Tensor, labels: Tensor) {
        let size: Int = images.imageSize
        let bytes: [UInt8] = numbers.flatMap { images.pixels[$0 * size..<($0 + 1) * size] }
        let pixels: Tensor =
            Tensor(bytes, [numbers.count, images.channels, images.height, images.width], device: .cpu).asType(.float32) / 255
        return (pixels, Tensor(numbers.map { Int64(images.labels[$0]) }, device: .cpu))
    }
}

/// The model of a task.
enum GradientModel {
    case images(DigitNetwork)
    case text(PlainTransformer)

    var module: Module {
        switch self {
        case .images(let network): network
        case .text(let network): network
        }
    }
}

/// Two convolutions and two dense layers, of which the first has almost all parameters.
final class DigitNetwork: Module {
    let first: Conv2d
    let second: Conv2d
    let hidden: Linear
    let output: Linear

    init(channels: Int, hidden: Int) {
        first = Conv2d(1, channels, kernelSize: 3, padding: 1)
        second = Conv2d(channels, 2 * channels, kernelSize: 3, padding: 1)
        self.hidden = Linear(2 * channels * 49, hidden)
        output = Linear(hidden, 10)
        super.init()
    }

    /// `[B, 1, 28, 28]` to logits `[B, 10]`.
    func callAsFunction(_ images: Tensor) -> Tensor {
        let small: Tensor = first(images).relu().maxPool2d(size: 2)
        let smaller: Tensor = second(small).relu().maxPool2d(size: 2)
        return output(hidden(smaller.flattened(from: 1)).relu())
    }
}
