import NN
import Optim
import Torch
import Training

/// Labelled sequences of equal length.
struct LabelledSequences {
    /// `[S, T, D]`
    let inputs: Tensor
    /// `[S]`, int64.
    let labels: Tensor

    var count: Int { inputs.dim(0) }

    /// `samples` holds one sequence of single values for each label.
    init(samples: [[Float]], labels: [Int]) {
        precondition(samples.count == labels.count && !samples.isEmpty, "one label for each of at least one sequence")
        inputs = Tensor(samples.flatMap { $0 }, [samples.count, samples[0].count, 1])
        self.labels = Tensor(labels)
    }

    init(inputs: Tensor, labels: Tensor) {
        self.inputs = inputs
        self.labels = labels
    }

    func rows(_ chosen: [Int]) -> LabelledSequences {
        let indices: Tensor = Tensor(chosen)
        return LabelledSequences(
            inputs: inputs.indexSelect(axis: 0, indices: indices), labels: labels.indexSelect(axis: 0, indices: indices))
    }

    /// Every second step of each sequence.
    func halved() -> LabelledSequences {
        let length: Int = inputs.dim(1) / 2
        let pairs: Tensor = inputs.narrowed(axis: 1, start: 0, length: 2 * length).reshaped(count, length, 2, inputs.dim(2))
        return LabelledSequences(inputs: pairs.selected(axis: 2, index: 0), labels: labels)
    }
}

/// One sequence classifier of a comparison and how it is trained: AdamW (0.9, 0.95, decay 0.01), 5 % warm-up, cosine to a tenth,
/// clipping at 1 (specification of the sequence models, section 0).
struct SequenceClassification {
    let name: String
    let model: Module
    /// `[B, T, D]` to logits `[B, classes]`.
    let logits: (Tensor) -> Tensor

    /// Settings that the methods of a comparison share.
    struct Training {
        var steps: Int
        var rows: Int
        var learningRate: Double
    }

    /// Trains in shuffled passes.
    /// - Returns: the loss of every step.
    func train(_ data: LabelledSequences, _ training: Training, seed: UInt64, context: ExperimentContext) throws -> [Double] {
        context.progress("\(name), seed \(seed): \(training.steps) steps")
        let groups: [ParameterGroup] = .stateSpace(model)
        let parameters: [Tensor] = groups.flatMap(\.parameters)
        let optimizer: AdamW = try AdamW(
            groups: groups,
            configuration: AdamWConfiguration(learningRate: training.learningRate, beta1: 0.9, beta2: 0.95, weightDecay: 0.01))
        let schedule: Schedule = .warmUpCosine(warmUp: training.steps / 20, finalFraction: 0.1)
        var order: ShuffledRows = ShuffledRows(count: data.count, rows: training.rows, seed: seed)
        model.train()
        var losses: [Double] = []
        for step in 0..<training.steps {
            try context.checkCancellation()
            let batch: LabelledSequences = data.rows(order.next())
            let (loss, found): (Tensor, [Tensor]) = valueAndGrad(of: parameters) { crossEntropy(logits(batch.inputs), batch.labels) }
            optimizer.step(clipped(found, toGlobalNorm: 1).gradients, learningRateFactor: schedule.factor(step: step, of: training.steps))
            losses.append(loss.item())
        }
        return losses
    }

    /// Share of sequences whose largest logit is at their label.
    func accuracy(_ data: LabelledSequences, rows: Int) -> Double {
        model.train(false)
        let correct: [Double] = noGrad {
            stride(from: 0, to: data.count, by: rows).map { start in
                let batch: LabelledSequences = data.rows(Array(start..<min(start + rows, data.count)))
                return (logits(batch.inputs).argMax(axis: 1) .== batch.labels).sum().item()
            }
        }
        return correct.reduce(0, +) / Double(data.count)
    }
}

/// Rows of a data set in shuffled passes; a pass drops what does not fill a batch.
private struct ShuffledRows {
    private let rows: Int
    private var pass: [Int]
    private var position: Int = 0
    private var generator: SplitMix64

    init(count: Int, rows: Int, seed: UInt64) {
        self.rows = min(rows, count)
        generator = SplitMix64(seed: seed)
        pass = Array(0..<count).shuffled(using: &generator)
    }

    mutating func next() -> [Int] {
        if position + rows > pass.count {
            pass.shuffle(using: &generator)
            position = 0
        }
        defer { position += rows }
        return Array(pass[position..<position + rows])
    }
}
