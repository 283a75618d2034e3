import Foundation
import NN
import SequenceModels
import Torch
import Training

/// The sizes of the Liger experiment at a scale.
struct LigerSetting {
    var data: String = "tinyshakespeare"
    var dimensions: Int
    var heads: Int = 4
    var layers: Int
    var length: Int
    var rows: Int = 8
    var window: Int = 32
    var slots: Int
    /// Steps of the teacher; a student is tuned for a tenth of them.
    var steps: Int
    /// Most validation tokens; nil is all.
    var validationLimit: Int?

    var tuningSteps: Int { max(steps / 10, 2) }

    init(_ scale: Scale) {
        switch scale {
        case .smoke:
            (dimensions, layers, length, slots, steps, validationLimit) = (32, 2, 32, 4, 4, 1000)
            (rows, window) = (4, 8)
        case .small:
            (dimensions, layers, length, slots, steps, validationLimit) = (96, 4, 128, 16, 800, 40_000)
        case .full:
            data = "wikitext-2"
            (dimensions, layers, length, slots, steps, validationLimit) = (512, 8, 256, 64, 15_000, nil)
            (rows, heads) = (16, 8)
        }
    }
}

/// A teacher, trained once for a seed, and what its students are put through.
struct LigerTrial {
    let setting: LigerSetting
    let seed: UInt64
    let teacher: LlamaModel
    let teacherLoss: Double
    /// A batch to compare forms on.
    let sample: TokenBatch
    private let source: TextWindows
    private let held: TextWindows
    private let context: ExperimentContext

    /// The learning rate of everything, tuned once in the specification.
    private static let learningRate: Double = 3e-3

    init(
        _ setting: LigerSetting, _ corpus: CharacterCorpus, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws {
        self.setting = setting
        self.seed = seed
        self.context = context
        source = TextWindows(corpus.training, context: setting.length, rows: setting.rows, seed: seed)
        held = TextWindows(corpus.validation, context: setting.length, rows: 16, seed: 0)
        sample = source.batch(0)
        let softmax: LanguageModelTrial = LanguageModelTrial(
            name: "teacher",
            configuration: try LanguageModelConfiguration(
                vocabularySize: corpus.vocabularySize, dimensions: setting.dimensions, layers: setting.layers,
                mixer: MixerConfiguration(.softmax, heads: setting.heads)))
        let (model, curve) = try softmax.train(
            on: source, steps: setting.steps, learningRate: Self.learningRate, seed: seed, context: context)
        measurements.record(curve: curve)
        teacher = try LlamaModel(model, context: setting.length)
        teacherLoss = teacher.score(held).loss
    }

    func loss(of model: LlamaModel) -> Double { model.score(held).loss }

    // MARK: Training

    /// Trains adapters on the projections of queries, keys and values, and a gate of its own if the student has one.
    func tune(_ student: LlamaModel, _ name: String, _ measurements: inout Measurements) throws {
        LigerTraining.adapt(student, try LoRAConfiguration(rank: 8, alpha: 8))
        try train(student, name, &measurements) { student.loss($0) }
    }

    /// Feature maps by attention transfer, then adapters, half of the steps each.
    func twoStages(_ measurements: inout Measurements) throws -> Double {
        seedEverything(seed)
        let student: LlamaModel = try withLearnedFeatures(teacher, window: setting.window)
        student.freeze { !$0.contains(".feature_map_") }
        let half: Int = setting.tuningSteps / 2
        try train(student, "two stages: transfer", steps: half, &measurements) { batch in
            attentionTransferLoss(from: teacher, to: student, tokens: batch.tensors(device: teacher.device).tokens)
        }
        LigerTraining.adapt(student, try LoRAConfiguration(rank: 8, alpha: 8))
        try train(student, "two stages: adapters", steps: setting.tuningSteps - half, &measurements) { student.loss($0) }
        return loss(of: student)
    }

    /// Liger-GLA from random weights, all of them trained as long as the adapters are.
    func fromScratch(_ measurements: inout Measurements) throws -> Double {
        seedEverything(seed)
        let student: LigerLM = LigerLM(teacher.configuration, try LigerConfiguration(window: setting.window))
        try train(student, "from scratch", &measurements) { student.loss($0) }
        return loss(of: student)
    }

    private func train(
        _ student: LlamaModel, _ name: String, steps: Int? = nil, _ measurements: inout Measurements, loss: (TokenBatch) -> Tensor
    ) throws {
        try context.checkCancellation()
        let steps: Int = steps ?? setting.tuningSteps
        context.progress("\(name), seed \(seed): \(steps) steps")
        measurements.record(
            curve: try TrialTraining(steps: steps, learningRate: Self.learningRate, seed: seed)
                .optimize(student, named: name, on: source, loss: loss))
    }

    // MARK: Identities

    /// Whether a model has the very tensors of the teacher under the same names, and no others.
    func sharesParameters(with student: LlamaModel) -> Bool {
        let (own, others): ([(name: String, tensor: Tensor)], [(name: String, tensor: Tensor)]) = (
            teacher.namedParameters(), student.namedParameters()
        )
        return own.map(\.name) == others.map(\.name) && zip(own, others).allSatisfy { $0.tensor === $1.tensor }
    }

    /// Largest difference between the teacher's logits and those of a student with the window alone, as long as the text.
    func differenceOfWindowAlone() throws -> Double {
        let student: LigerLM = try linearize(teacher, into: .gla, window: setting.length, mix: 1)
        let tokens: Tensor = sample.tensors(device: teacher.device).tokens
        return noGrad { (student(tokens) - teacher(tokens)).abs().max().item(Double.self) }
    }

    /// Largest difference that merging the adapters makes to the logits, relative to the largest logit.
    func differenceOfMerging(_ student: LlamaModel) -> Double {
        let tokens: Tensor = sample.tensors(device: student.device).tokens
        let separate: Tensor = noGrad { student(tokens) }
        student.mergeLoRA()
        defer { student.unmergeLoRA() }
        return noGrad { ((student(tokens) - separate).abs().max() / separate.abs().max()).item(Double.self) }
    }

    /// Bytes of the state after reading this many tokens one piece after another, as generation does.
    func stateBytes(of model: LlamaModel, length: Int) -> Int {
        var state: LanguageModelState? = model.initialState(batch: 1)
        let piece: Tensor = Tensor(Array(sample.tokens.prefix(setting.length)), [1, setting.length], dtype: .int64, device: model.device)
        noGrad {
            for _ in 0..<length / setting.length { _ = model(piece, mask: nil, state: &state, mode: nil) }
        }
        return state?.layers.reduce(0) { $0 + $1.byteCount } ?? 0
    }
}
