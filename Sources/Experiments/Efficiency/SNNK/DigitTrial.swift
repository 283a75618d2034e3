import Efficiency
import NN
import Optim
import Torch
import Training

/// A perceptron on MNIST beside itself with layers bundled, all trained alike from first weights.
struct DigitTrial {
    let setting: SNNKSetting
    let seed: UInt64
    private let train: (images: Tensor, labels: Tensor)
    private let test: (images: Tensor, labels: Tensor)

    private static let rows: Int = 64

    init(_ setting: SNNKSetting, seed: UInt64) throws {
        self.setting = setting
        self.seed = seed
        let folder: String = try DataDirectory.standard.locate("mnist")
        train = Self.tensors(try MNIST.load(.train, folder: folder), limit: setting.digits)
        test = Self.tensors(try MNIST.load(.test, folder: folder), limit: setting.testDigits)
    }

    private static func tensors(_ images: LabelledImages, limit: Int) -> (images: Tensor, labels: Tensor) {
        let count: Int = min(limit, images.count)
        let pixels: Tensor = Tensor(Array(images.pixels.prefix(count * images.imageSize)), [count, images.imageSize])
        return (pixels.asType(.float32) / 255, Tensor(Array(images.labels.prefix(count)), dtype: .int64))
    }

    /// An accuracy, and the trained parameters of the part that is compared.
    struct Outcome {
        let accuracy: Double
        let parameters: Int
        let curve: Measurements.Curve
    }

    /// The widths of the perceptron that is bundled.
    private var widths: [Int] { [train.images.dim(1), setting.digitWidth, setting.digitWidth, 10] }

    private func perceptron(_ widths: [Int]) -> MLP {
        seedEverything(seed)
        return MLP(widths)
    }

    /// Dense; the part compared are all layers but the output.
    func dense(_ name: String, context: ExperimentContext) throws -> Outcome { try dense(name, widths, context) }

    /// Dense with hidden layers so narrow that they have about as many parameters as a bundle of the hidden layers.
    func narrow(_ name: String, context: ExperimentContext) throws -> Outcome {
        let wanted: Int = setting.digitWidth * setting.digitCount
        let inputs: Int = train.images.dim(1)
        let width: Int = (1...setting.digitWidth).last { $0 * (inputs + 1) + $0 * ($0 + 1) <= wanted } ?? 1
        return try dense(name, [inputs, width, width, 10], context)
    }

    private func dense(_ name: String, _ widths: [Int], _ context: ExperimentContext) throws -> Outcome {
        let network: MLP = perceptron(widths)
        let hidden: Int = network.layers.dropLast().reduce(0) { $0 + $1.parameterCount }
        return try trained(network, name, parameters: hidden, context) { network($0) }
    }

    /// Both hidden layers as one matrix over nested features of the pixels.
    func bundledHidden(_ name: String, count: Int, context: ExperimentContext) throws -> Outcome {
        let network: Sequential = Bundling.bundle(perceptron(widths), range: 0..<2, count: count)
        return try trained(network, name, parameters: network[0].parameterCount, context) { network($0) }
    }

    /// The second hidden layer and the output as one matrix over features of the first one, which is trained as it was.
    func bundledTail(_ name: String, context: ExperimentContext) throws -> Outcome {
        let network: Sequential = Bundling.bundle(perceptron(widths), range: 1..<3, count: setting.digitCount)
        let bundle: Int = network.children.last?.module.parameterCount ?? 0
        return try trained(network, name, parameters: bundle, context) { network($0) }
    }

    private func trained(
        _ network: Module, _ name: String, parameters: Int, _ context: ExperimentContext, logits: (Tensor) -> Tensor
    ) throws -> Outcome {
        try context.checkCancellation()
        let steps: Int = setting.digitEpochs * (train.labels.count / Self.rows)
        context.progress("\(name), seed \(seed): \(steps) steps")
        let order: ShuffledIndices = ShuffledIndices(count: train.labels.count, seed: seed)
        let source: GeneratedBatches<[Int]> = GeneratedBatches(itemsPerBatch: Self.rows, itemName: "images") {
            Array(try order.batch($0, of: Self.rows))
        }
        let training: TrialTraining = TrialTraining(steps: steps, learningRate: 1e-3, seed: seed)
        let curve: Measurements.Curve = try training.optimize(network, named: name, on: source) { batch in
            let rows: Tensor = Tensor(batch)
            return crossEntropy(
                logits(train.images.indexSelect(axis: 0, indices: rows)), train.labels.indexSelect(axis: 0, indices: rows))
        }
        let accuracy: Double = noGrad {
            (logits(test.images).argMax(axis: 1) .== test.labels).asType(.float64).mean().item(Double.self)
        }
        return Outcome(accuracy: accuracy, parameters: parameters, curve: curve)
    }
}
