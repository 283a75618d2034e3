import NN
import Optim
import SequenceModels
import Torch
import Training

/// Triples (x, y, z) with z drawn from a known density given x and y: the bin of z is to be predicted from the bins of x and y
/// (arXiv 2410.22269, section 4).
struct DensityTask {
    enum Kind: String, CaseIterable {
        /// y ~ N(x, 0.01), z ~ N(y, 0.01).
        case gaussian
        /// z ~ N(x, 0.01) or N(y, 0.01), each with probability ½.
        case mixture = "gmm2"
        /// y ~ N(x, 0.01), z ~ ±Beta(100 |x|, 100 |y|).
        case beta
    }

    static let bins: Int = 50

    /// Bin centres of x and y as inputs, the bin of z as the label.
    let train: SequenceDataset
    let test: SequenceDataset
    /// The true probabilities of z's bins for each test example, `[N, bins]`, float64.
    let truth: Tensor

    /// Four fifths of `count` triples to train on.
    init(_ kind: Kind, count: Int, seed: UInt64) {
        let generator: RandomGenerator = RandomGenerator(seed: seed, device: .cpu)
        func uniform(_ low: Double, _ high: Double) -> Tensor {
            .uniform([count], low: low, high: high, dtype: .float64, device: .cpu, generator: generator)
        }
        func spread(_ mean: Tensor) -> Tensor { mean + .normal([count], dtype: .float64, device: .cpu, generator: generator) * 0.1 }
        let x: Tensor = uniform(-0.8, 0.8)
        let y: Tensor = kind == .mixture ? uniform(-0.8, 0.8) : spread(x)
        let isHeads: Tensor = uniform(0, 1) .< 0.5
        let z: Tensor
        switch kind {
        case .gaussian: z = spread(y)
        case .mixture: z = spread(which(isHeads, x, y))
        case .beta:
            let draws: [Tensor] = [x, y].map { Tensor.gamma($0.abs() * 100 + 1e-3, generator: generator) }
            z = which(isHeads, 1.0, -isHeads.onesLike().asType(.float64)) * draws[0] / (draws[0] + draws[1])
        }
        let held: Int = count / 5
        func part(_ start: Int, _ length: Int) -> SequenceDataset {
            Self.dataset([x, y, z].map { $0.narrowed(axis: 0, start: start, length: length) })
        }
        train = part(held, count - held)
        test = part(0, held)
        truth = Self.truth(kind, x.narrowed(axis: 0, start: 0, length: held), y.narrowed(axis: 0, start: 0, length: held))
    }

    private static func bin(_ values: Tensor) -> Tensor { ((values + 1) * (Double(bins) / 2)).floor().clamped(0, Double(bins - 1)) }

    private static func dataset(_ triple: [Tensor]) -> SequenceDataset {
        let centres: [Tensor] = triple.prefix(2).map { (bin($0) * 2 + 1) / Double(bins) - 1 }
        return SequenceDataset(
            values: stacked(centres, axis: -1).array(Float.self), labels: bin(triple[2]).array(Int32.self), length: 1, channels: 2,
            classes: (0..<bins).map(String.init))
    }

    /// The densities at the bins' centres, scaled to sum to 1.
    private static func truth(_ kind: Kind, _ x: Tensor, _ y: Tensor) -> Tensor {
        let centres: Tensor = FourierDensity.binCentres(bins, dtype: .float64, device: .cpu)
        func normal(_ mean: Tensor) -> Tensor { ((centres - mean.expandedDimensions(axis: -1)).square() * -50).softmax() }
        switch kind {
        case .gaussian: return normal(y)
        case .mixture: return (normal(x) + normal(y)) / 2
        case .beta:
            let positive: Tensor = centres.narrowed(axis: 0, start: bins / 2, length: bins / 2)
            let (a, b): (Tensor, Tensor) = (x.abs().expandedDimensions(axis: -1) * 100, y.abs().expandedDimensions(axis: -1) * 100)
            let half: Tensor = ((a - 1) * positive.log() + (b - 1) * (1 - positive).log()).softmax() / 2
            return concatenated([half.flipped(axes: [-1]), half], axis: -1)
        }
    }
}

/// Two hidden layers and one of the heads that are compared.
final class DensityModel: Module {
    enum Head {
        case linear
        case fourier(Int)
        case mixture
    }

    static let features: Int = 32
    let trunk: MLP
    let head: any UnaryLayer

    init(_ kind: Head) {
        trunk = MLP([2, 64, Self.features])
        switch kind {
        case .linear: head = Linear(Self.features, DensityTask.bins)
        case .fourier(let frequencies):
            head = FourierHead(dim: Self.features, bins: DensityTask.bins, frequencies: frequencies, gamma: 1e-6)
        case .mixture: head = GaussianMixtureHead(dim: Self.features, bins: DensityTask.bins, components: 2)
        }
        super.init()
    }

    /// What the head gets from `[B, 1, 2]`, `[B, features]`.
    func hidden(_ inputs: Tensor) -> Tensor { trunk(inputs.flattened(from: 1)).relu() }

    func callAsFunction(_ inputs: Tensor) -> Tensor { head(hidden(inputs)) }

    /// Trains by cross-entropy and the head's penalty.
    func train(_ data: SequenceDataset, epochs: Int, rows: Int, seed: UInt64) throws -> TrainingResult {
        let steps: Int = max(1, epochs * (data.count / rows))
        let training: ClassifierTraining = ClassifierTraining(
            optimizer: .adam(try AdamConfiguration(learningRate: 1e-3)),
            trainer: try TrainerConfiguration(steps: steps, clipNorm: nil, logEvery: 1000, checkpointMinutes: nil, seed: seed), rows: rows)
        return try training.run(self, forward: { self($0) }, train: data, test: nil)
    }

    /// Mean divergence of the predictions from the truth, KL(truth ‖ prediction) in nats, and the predictions' mean ``smoothness(_:)``.
    func score(_ task: DensityTask) -> (divergence: Double, smoothness: Double) {
        noGrad {
            let inputs: Tensor = task.test.batch(0..<task.test.count).tensors().inputs
            let logPrediction: Tensor = self(inputs).asType(.float64).logSoftmax()
            let truth: Tensor = task.truth.to(device: logPrediction.device)
            let terms: Tensor = truth * (truth.clamped(1e-300).log() - logPrediction)
            return (terms.sum(axis: -1).mean().item(), SequenceModels.smoothness(logPrediction.exp()).mean().item())
        }
    }
}
