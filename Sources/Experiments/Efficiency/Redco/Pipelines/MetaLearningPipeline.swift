import Efficiency
import NN
import Optim
import Torch
import Training

/// Learning to learn new classes from few images (MAML, arXiv 1703.03400) in three functions: the loss after a step of gradient descent, whose own
/// gradient is of second order.
enum MetaLearningPipeline {
    /// Images of some classes, which are numbered anew in every task.
    struct Task: Sendable {
        let support: [[Float]]
        let supportLabels: [Int64]
        let query: [[Float]]
        let queryLabels: [Int64]
    }

    struct TaskTensors {
        let support: Tensor
        let supportLabels: Tensor
        let query: Tensor
        let queryLabels: Tensor
    }

    /// A network with one hidden layer that can be run with other weights than its own.
    final class Learner: Module {
        let weights: [Tensor]

        init(pixels: Int, seed: UInt64) {
            let random: RandomGenerator = RandomGenerator(seed: seed, device: .cpu)
            weights = [
                .normal([40, pixels], standardDeviation: 0.1, generator: random), .zeros([40]),
                .normal([ways, 40], standardDeviation: 0.1, generator: random), .zeros([ways]),
            ]
            super.init()
        }

        func callAsFunction(_ x: Tensor, _ weights: [Tensor]) -> Tensor {
            linear(linear(x, weight: weights[0], bias: weights[1]).relu(), weight: weights[2], bias: weights[3])
        }
    }

    private static let ways: Int = 5
    private static let shots: Int = 5
    private static let innerRate: Double = 0.4

    static func tasks(_ images: LabelledImages, count: Int, seed: UInt64) -> [Task] {
        let byClass: [[Int]] = (0..<10).map { digit in images.labels.indices.filter { Int(images.labels[$0]) == digit } }
        var random: SplitMix64 = SplitMix64(seed: seed)
        return (0..<count).map { _ in
            let classes: [Int] = Array((0..<10).shuffled(using: &random).prefix(ways))
            let chosen: [[Int]] = classes.map { Array(byClass[$0].shuffled(using: &random).prefix(2 * shots)) }
            let labels: [Int64] = (0..<ways).flatMap { Array(repeating: Int64($0), count: shots) }
            func pick(_ range: Range<Int>) -> [[Float]] { chosen.flatMap { $0[range].map { images.image($0, resizedTo: 14) } } }
            return Task(support: pick(0..<shots), supportLabels: labels, query: pick(shots..<2 * shots), queryLabels: labels)
        }
    }

    static func collate(_ tasks: [Task]) -> [TaskTensors] {
        func images(_ rows: [[Float]]) -> Tensor { Tensor(rows.flatMap(\.self), [rows.count, rows[0].count]) }
        return tasks.map {
            TaskTensors(
                support: images($0.support), supportLabels: Tensor($0.supportLabels, [$0.supportLabels.count], dtype: .int64),
                query: images($0.query), queryLabels: Tensor($0.queryLabels, [$0.queryLabels.count], dtype: .int64))
        }
    }

    /// The weights after a step on a task's support images; part of the graph, so that the step itself is differentiated.
    private static func adapted(_ model: Learner, _ task: TaskTensors) -> [Tensor] {
        let inner: (value: Tensor, gradients: [Tensor]) = valueAndGrad(of: model.weights, createGraph: true) {
            crossEntropy(model(task.support, model.weights), task.supportLabels)
        }
        return zip(model.weights, inner.gradients).map { $0 - innerRate * $1 }
    }

    static func loss(_ model: Learner, _ tasks: [TaskTensors], _ training: Bool, _ random: RandomGenerator) -> Tensor {
        stacked(tasks.map { crossEntropy(model($0.query, adapted(model, $0)), $0.queryLabels) }).mean()
    }

    /// The accuracy on a task's query images after the step.
    static func predict(_ model: Learner, _ tasks: [TaskTensors], _ random: RandomGenerator) -> [Double] {
        tasks.map { task in
            let hits: Tensor = model(task.query, adapted(model, task)).argMax(axis: 1) .== task.queryLabels
            return hits.asType(.float32).mean().item(Double.self)
        }
    }

    static func run(_ deployer: Deployer, training: [Task], testing: [Task], batch: Int, steps: Int) throws -> PipelineOutcome {
        let model: Learner = Learner(pixels: training[0].query[0].count, seed: deployer.seed)
        let optimizer: Adam = try Adam(parameters: model.parameters(), configuration: AdamConfiguration(learningRate: 3e-3))
        let trainer: DistributedTrainer<Learner, Task, [TaskTensors]> = DistributedTrainer(
            deployer, model: model, optimizer: optimizer, collate: collate, loss: loss)
        let losses: [Double] = try trainer.fit(training, epochs: steps, perDevice: batch / deployer.mesh.dp, steps: steps)
        let accuracies: [Double] = try Predictor(deployer, model: model, collate: collate, predict: predict)(testing, perDevice: 2)
        return PipelineOutcome(losses: losses, score: accuracies.reduce(0, +) / Double(accuracies.count))
    }
}
