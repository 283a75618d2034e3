import Efficiency
import SequenceModels
import Training

/// Hash tables in the place of all fully connected layers, on characters (arXiv 2411.12992).
public struct MemoryFormerExperiment: Experiment {
    public static let slug: String = "memoryformer"
    public static let summary: String =
        "Characters of tinyshakespeare: MemoryFormer (lookups for all fully connected layers) beside a dense transformer of its width, a dense one of its multiply-accumulates, itself with frozen random tables, and itself with the layers taken out."

    private static let loss: String = "validation loss (nats per character)"
    private static let cost: String = "layers' multiply-accumulates a token"
    private static let parameters: String = "parameters"
    private static let seconds: String = "training time (s)"
    private static let entropy: String = "lowest entropy of a layer's reads over its bits"
    private static let steps: String = "step by step against whole text (largest difference, float64)"
    private static let lookup: String = "lookup against explicit sum (relative)"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("the layers of MemoryFormer cost at most 8 % of the dense layers' multiply-accumulates") {
                $0["MemoryFormer", cost] <= 0.08 * $0["dense", cost]
            },
            Gate("in float64 a text read token by token gives the logits of the whole text to 1e-6") { $0["MemoryFormer", steps] <= 1e-6 },
            Gate("a lookup is the sum of its weighted rows to 1e-5") { $0["MemoryFormer", lookup] <= 1e-5 },
        ],
        claims: [
            Claim("loss at most 0.25 nats above the dense transformer's (0.25 minus the excess)", atLeast: 0) {
                0.25 - ($0["MemoryFormer", loss] - $0["dense", loss])
            },
            Claim("loss with frozen random tables minus MemoryFormer's", atLeast: 0.25) {
                $0["frozen tables", loss] - $0["MemoryFormer", loss]
            },
            Claim("loss without layers minus MemoryFormer's", atLeast: 0.25) { $0["no layers", loss] - $0["MemoryFormer", loss] },
            Claim("every layer's reads have half the entropy of its bits", atLeast: 0.5) { $0["MemoryFormer", entropy] },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: MemoryFormerSetting = MemoryFormerSetting(scale)
        let corpus: CharacterCorpus = try CharacterCorpus(context: setting.context, limit: setting.validationLimit)
        for seed in context.seeds {
            try run(MemoryFormerTrial(setting, corpus, seed: seed, context: context), &measurements)
        }
        return measurements
    }

    private func run(_ trial: MemoryFormerTrial, _ measurements: inout Measurements) throws {
        let dense = try trial.dense("dense")
        record(dense, trial, &measurements)
        let memory = try trial.memoryFormer("MemoryFormer")
        record(memory, trial, &measurements)
        measurements.record("MemoryFormer", Self.entropy, seed: trial.seed, trial.lowestEntropy(memory.model))
        measurements.record("MemoryFormer", Self.steps, seed: trial.seed, try trial.stepDisagreement(memory.model))
        measurements.record("MemoryFormer", Self.lookup, seed: trial.seed, trial.lookupDisagreement(memory.model))
        // Reported without a criterion: the weight that the paper's text has, and a dense transformer that costs as much.
        let paper = try trial.memoryFormer("paper's weighting", weighting: .probability)
        record(paper, trial, &measurements)
        measurements.record("paper's weighting", Self.entropy, seed: trial.seed, trial.lowestEntropy(paper.model))
        let width: Int = trial.setting.narrowWidth(costShare: Double(memory.cost) / Double(dense.cost))
        let narrow = try trial.dense("dense of equal cost", dimensions: width)
        record(narrow, trial, &measurements)
        record(try trial.memoryFormer("frozen tables", frozenTables: true), trial, &measurements)
        record(try trial.withoutLayers("no layers"), trial, &measurements)
        let others = try trial.setting.otherBits.map { try trial.memoryFormer("MemoryFormer, \($0) bits", bits: $0) }
        for other in others { record(other, trial, &measurements) }
        record("dense", [narrow, dense].map { ($0.cost, $0.loss) }, trial, &measurements)
        record("MemoryFormer", ([memory] + others).map { ($0.cost, $0.loss) }, trial, &measurements)
    }

    private func record<Model>(
        _ outcome: MemoryFormerTrial.Outcome<Model>, _ trial: MemoryFormerTrial, _ measurements: inout Measurements
    ) {
        let name: String = outcome.curve.method
        measurements.record(curve: outcome.curve)
        measurements.record(name, Self.loss, seed: trial.seed, outcome.loss)
        measurements.record(name, Self.cost, seed: trial.seed, Double(outcome.cost))
        measurements.record(name, Self.parameters, seed: trial.seed, Double(outcome.model.parameterCount))
        measurements.record(name, Self.seconds, seed: trial.seed, outcome.seconds)
    }

    /// Loss against cost.
    private func record(
        _ name: String, _ points: [(cost: Int, loss: Double)], _ trial: MemoryFormerTrial, _ measurements: inout Measurements
    ) {
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: Self.loss, axis: Self.cost, seed: trial.seed, x: points.map { Double($0.cost) },
                y: points.map(\.loss)))
    }
}
