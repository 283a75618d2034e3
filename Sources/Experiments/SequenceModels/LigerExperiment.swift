import Foundation
import NN
import SequenceModels
import Torch
import Training

/// A trained softmax transformer turned into gated recurrences and tuned by low-rank adapters (arXiv 2503.01496).
public struct LigerExperiment: Experiment {
    public static let slug: String = "liger"
    public static let summary: String =
        "A softmax transformer on characters, linearised and tuned with adapters for a tenth of its steps: Liger beside itself without the window, without a gate, from random weights, and a two-stage conversion; memory of generation."

    private static let loss: String = "validation loss (nats per character)"
    private static let zeroShot: String = "zero-shot loss (nats per character)"
    private static let recovery: String = "recovery"
    private static let shared: String = "the teacher's parameters and no others (1 = yes)"
    private static let parameters: String = "parameters before adapters"
    private static let fraction: String = "trained fraction"
    private static let exactness: String = "window alone against teacher (largest difference)"
    private static let agreement: String = "chunkwise against recurrent (relative)"
    private static let merging: String = "merged against unmerged (relative)"
    private static let memory: String = "bytes of state at T"
    private static let longMemory: String = "bytes of state at 4T"

    public static let criteria: Criteria = Criteria(
        gates: [
            Gate("before adapters the student has the teacher's parameters, by name and storage, and no others") {
                $0["Liger-GLA", shared] == 1 && $0["Liger-GLA", parameters] == $0["teacher", parameters]
            },
            Gate("with the window alone, as long as the text, the student gives the teacher's logits") { $0["teacher", exactness] == 0 },
            Gate("the tuned student's chunkwise and recurrent logits agree to 2e-3") { $0["Liger-GLA", agreement] <= 2e-3 },
            Gate("merged and unmerged adapters give the same logits to 1e-4") { $0["Liger-GLA", merging] <= 1e-4 },
            Gate("generation: the student's state is as large at 4T as at T, the teacher's four times as large") {
                $0["Liger-GLA", longMemory] == $0["Liger-GLA", memory] && $0["teacher", longMemory] == 4 * $0["teacher", memory]
            },
        ],
        claims: [
            Claim("Liger-GLA recovers the teacher", atLeast: 0.93) { $0["Liger-GLA", recovery] },
            Claim("loss without the window minus Liger-GLA's", atLeast: 0.20) { $0["no window", loss] - $0["Liger-GLA", loss] },
            Claim("loss without a gate minus Liger-GLA's", atLeast: 0.05) { $0["no gate", loss] - $0["Liger-GLA", loss] },
            Claim("loss from random weights minus Liger-GLA's", atLeast: 0.20) { $0["from scratch", loss] - $0["Liger-GLA", loss] },
            Claim("trained fraction at most 5 % (0.05 minus it)", atLeast: 0) { 0.05 - $0["Liger-GLA", fraction] },
        ])

    public init() {}

    public func run(_ scale: Scale, context: ExperimentContext) async throws -> Measurements {
        var measurements: Measurements = Measurements()
        let setting: LigerSetting = LigerSetting(scale)
        let corpus: CharacterCorpus = try CharacterCorpus(setting.data, context: setting.length, limit: setting.validationLimit)
        for seed in context.seeds {
            let trial: LigerTrial = try LigerTrial(setting, corpus, seed, context, &measurements)
            try record(trial, &measurements)
        }
        return measurements
    }

    private func record(_ trial: LigerTrial, _ measurements: inout Measurements) throws {
        let seed: UInt64 = trial.seed
        measurements.record("teacher", Self.loss, seed: seed, trial.teacherLoss)
        measurements.record("teacher", Self.recovery, seed: seed, 1)
        measurements.record("teacher", Self.parameters, seed: seed, Double(trial.teacher.parameterCount))
        measurements.record("teacher", Self.exactness, seed: seed, try trial.differenceOfWindowAlone())
        record(memoryOf: trial.teacher, "teacher", trial, &measurements)

        let window: Int = trial.setting.window
        try tuned("Liger-GLA", LigerConfiguration(gate: .gla, window: window), trial, &measurements)
        try tuned("Liger-HGRN2", LigerConfiguration(gate: .hgrn2, window: window), trial, &measurements)
        try tuned("Liger-GSA", LigerConfiguration(gate: .gsa(slots: trial.setting.slots), window: window), trial, &measurements)
        try tuned("no gate", LigerConfiguration(gate: .none, window: window), trial, &measurements)
        try tuned("no window", LigerConfiguration(gate: .gla, window: window, mix: 0), trial, &measurements)
        // Reported without a criterion: a trained gate may well beat the keys' where there is no window.
        try tuned("no window, trained gate", LigerConfiguration(gate: .learned, window: window, mix: 0), trial, &measurements)
        record("two stages (LoLCATs, reduced)", loss: try trial.twoStages(&measurements), trial, &measurements)
        record("from scratch", loss: try trial.fromScratch(&measurements), trial, &measurements)
    }

    private func tuned(
        _ name: String, _ configuration: LigerConfiguration, _ trial: LigerTrial, _ measurements: inout Measurements
    ) throws {
        let seed: UInt64 = trial.seed
        seedEverything(seed)
        let student: LigerLM = try linearize(
            trial.teacher, into: configuration.gate, window: configuration.window, mix: configuration.mix)
        measurements.record(name, Self.zeroShot, seed: seed, trial.loss(of: student))
        if name == "Liger-GLA" {
            measurements.record(name, Self.shared, seed: seed, trial.sharesParameters(with: student) ? 1 : 0)
            measurements.record(name, Self.parameters, seed: seed, Double(student.parameterCount))
            record(memoryOf: student, name, trial, &measurements)
        }
        try trial.tune(student, name, &measurements)
        record(name, loss: trial.loss(of: student), trial, &measurements)
        guard name == "Liger-GLA" else { return }
        let trained: Int = student.trainableParameters().reduce(0) { $0 + $1.count }
        measurements.record(name, Self.fraction, seed: seed, Double(trained) / Double(student.parameterCount))
        measurements.record(name, Self.agreement, seed: seed, student.formDisagreement(on: trial.sample))
        measurements.record(name, Self.merging, seed: seed, trial.differenceOfMerging(student))
    }

    private func record(_ name: String, loss: Double, _ trial: LigerTrial, _ measurements: inout Measurements) {
        measurements.record(name, Self.loss, seed: trial.seed, loss)
        let guessing: Double = log(Double(trial.teacher.vocabularySize))
        measurements.record(name, Self.recovery, seed: trial.seed, (guessing - loss) / (guessing - trial.teacherLoss))
    }

    private func record(memoryOf model: LlamaModel, _ name: String, _ trial: LigerTrial, _ measurements: inout Measurements) {
        let lengths: [Int] = [1, 2, 4].map { $0 * trial.setting.length }
        let bytes: [Double] = lengths.map { Double(trial.stateBytes(of: model, length: $0)) }
        measurements.record(name, Self.memory, seed: trial.seed, bytes[0])
        measurements.record(name, Self.longMemory, seed: trial.seed, bytes[2])
        measurements.record(
            curve: Measurements.Curve(
                method: name, metric: "bytes of state", axis: "tokens", seed: trial.seed, x: lengths.map { Double($0) }, y: bytes))
    }
}
