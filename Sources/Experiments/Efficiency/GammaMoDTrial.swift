import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// The sizes of the γ-MoD experiment at a scale.
struct GammaMoDSetting {
    var dimensions: Int = 64
    var layers: Int = 8
    var heads: Int = 4
    var rows: Int = 64
    var digits: (training: Int, held: Int) = (8000, 2000)
    var scenes: (training: Int, held: Int) = (12_000, 2000)
    var steps: Int = 900
    var fineTuning: Int = 300
    /// Layers that become mixtures of depths.
    var converted: Int = 6
    /// Scenes that ranks are estimated on.
    var rankSamples: Int = 64

    init(_ scale: Scale) {
        switch scale {
        case .smoke:
            (dimensions, layers, heads, rows, converted, rankSamples) = (16, 4, 2, 8, 3, 8)
            digits = (training: 200, held: 50)
            scenes = (training: 60, held: 24)
            (steps, fineTuning) = (3, 2)
        case .small:
            // Half of the specification's batch: six arms of it take eleven minutes on one core.
            rows = 32
        case .full: (dimensions, layers, heads, converted, steps, fineTuning) = (256, 16, 8, 13, 20_000, 5000)
        }
    }
}

/// What an arm came to.
struct GammaMoDOutcome {
    /// Share of right answers.
    let accuracy: Double
    /// Of the converted layers as they decide in evaluation.
    let statistics: RoutingStatistics
    /// Of the same with as many tokens as in training.
    let trainedChoice: RoutingStatistics
    /// Share of patches passed by, of the empty ones and of those with ink.
    let skipped: (blank: Double, inked: Double)
}

/// A dense decoder, trained once for a seed, and its conversions.
struct GammaMoDTrial {
    let setting: GammaMoDSetting
    let seed: UInt64
    let ranks: [Double]
    private let dense: [String: Tensor]
    private let training: DigitScenes
    private let held: DigitScenes
    private let context: ExperimentContext

    init(
        _ setting: GammaMoDSetting, _ images: LabelledImages, _ seed: UInt64, _ context: ExperimentContext,
        _ measurements: inout Measurements
    ) throws {
        (self.setting, self.seed, self.context) = (setting, seed, context)
        let all: Int = setting.digits.training + setting.digits.held
        training = DigitScenes(images, 0..<setting.digits.training, count: setting.scenes.training, seed: seed)
        held = DigitScenes(images, setting.digits.training..<all, count: setting.scenes.held, seed: 1_000_003)
        let model: MultimodalDecoder = try Self.model(setting, seed)
        try Self.train(
            model, "dense", steps: setting.steps, learningRate: 1e-3, training, setting, seed, context, &measurements)
        dense = Dictionary(uniqueKeysWithValues: model.stateTensors())
        let samples: SceneBatch = training.batch(Array(training.scenes.prefix(setting.rankSamples)))
        ranks = ARank.compute(model, samples: [(samples.patches, samples.tokens)])
    }

    private static func model(_ setting: GammaMoDSetting, _ seed: UInt64) throws -> MultimodalDecoder {
        seedEverything(seed)
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: DigitScenes.vocabularySize, dimensions: setting.dimensions, layers: setting.layers, heads: setting.heads,
            maximumContext: 72)
        return MultimodalDecoder(PlainTransformer(configuration), patchDimensions: 49)
    }

    private static func train(
        _ model: MultimodalDecoder, _ name: String, steps: Int, learningRate: Double, _ scenes: DigitScenes, _ setting: GammaMoDSetting,
        _ seed: UInt64, _ context: ExperimentContext, _ measurements: inout Measurements
    ) throws {
        try context.checkCancellation()
        context.progress("\(name), seed \(seed): \(steps) steps")
        let settings: TrialTraining = TrialTraining(steps: steps, learningRate: learningRate, seed: seed)
        let curve: Measurements.Curve = try settings.optimize(
            model, named: name, on: scenes.batches(rows: setting.rows, seed: seed &+ UInt64(steps))
        ) { batch in
            crossEntropy(answers(model, batch), batch.wanted).adding(model.takeAuxiliaryLoss())
        }
        measurements.record(curve: curve)
        model.train(false)
    }

    /// Logits of the answers `[B, V]`, which follow the last token of the question.
    private static func answers(_ model: MultimodalDecoder, _ batch: SceneBatch) -> Tensor {
        let hidden: Tensor = model.hidden(patches: batch.patches, tokens: batch.tokens)
        return model.head(hidden.selected(axis: 1, index: hidden.dim(1) - 1))
    }

    /// A copy of the dense model, trained on; converted first where there is a plan.
    func fineTuned(
        _ name: String, _ plan: MoDPlan?, protectsText: Bool = true, sharedRouter: Bool = true, _ measurements: inout Measurements
    ) throws -> MultimodalDecoder {
        let model: MultimodalDecoder = try Self.model(setting, seed)
        try model.load(dense)
        if let plan {
            let routing: DepthRouting = try DepthRouting(imageTokens: DigitScenes.patches, protectsText: protectsText)
            try GammaMoD.convert(model, plan: plan, routing: routing, sharedRouter: sharedRouter)
        }
        try Self.train(
            model, name, steps: setting.fineTuning, learningRate: 3e-4, training, setting, seed, context, &measurements)
        let samples: SceneBatch = training.batch(Array(training.scenes.prefix(4 * setting.rows)))
        if plan != nil { GammaMoD.calibrateThreshold(of: model, samples: [(samples.patches, samples.tokens)]) }
        return model
    }

    /// Answers to the held questions.
    func evaluated(_ model: MultimodalDecoder) -> GammaMoDOutcome {
        var (statistics, trainedChoice): (RoutingStatistics, RoutingStatistics) = (RoutingStatistics(), RoutingStatistics())
        var right: Int = 0
        var counts: PatchCounts = PatchCounts()
        let length: Int = DigitScenes.patches + DigitScenes.questionLength
        noGrad {
            for batch in held.all(rows: 250) {
                let found: Tensor = Self.answers(model, batch).argMax(axis: -1)
                right += (found .== batch.wanted).asType(.int64).sum().item(Int.self)
                statistics.add(model, rows: batch.rows, length: length)
                counts.add(model, batch)
                model.train()
                _ = model.hidden(patches: batch.patches, tokens: batch.tokens)
                model.train(false)
                _ = model.takeAuxiliaryLoss()
                trainedChoice.add(model, rows: batch.rows, length: length)
            }
        }
        return GammaMoDOutcome(
            accuracy: Double(right) / Double(held.scenes.count), statistics: statistics, trainedChoice: trainedChoice,
            skipped: counts.skipped)
    }

    /// Multiply-accumulates of a question apart from the blocks: the patches' projection and one answer.
    var fixedCost: Double {
        Double(DigitScenes.patches * 49 * setting.dimensions + setting.dimensions * DigitScenes.vocabularySize)
    }

    /// Largest difference between the last answer step by step, with a cache, and at once.
    func differenceOfDecoding(_ model: MultimodalDecoder) -> Double {
        let batch: SceneBatch = held.batch(Array(held.scenes.prefix(4)))
        return noGrad {
            let whole: Tensor = model(patches: batch.patches, tokens: batch.tokens)
            var state: LanguageModelState? = model.initialState(batch: batch.rows)
            let tokens: [Tensor] = batch.tokens.split(size: 1, axis: 1)
            var pieces: [Tensor] = [model(patches: batch.patches, tokens: tokens[0], state: &state)]
            for token in tokens.dropFirst() { pieces.append(model(patches: nil, tokens: token, state: &state)) }
            return ((concatenated(pieces, axis: 1) - whole).abs().max() / whole.abs().max()).item(Double.self)
        }
    }
}

/// Patches by what is on them and whether the mixtures of depths passed them by.
private struct PatchCounts {
    private var blank: Double = 0
    private var blankSkipped: Double = 0
    private var inked: Double = 0
    private var inkedSkipped: Double = 0

    mutating func add(_ model: MultimodalDecoder, _ batch: SceneBatch) {
        let empty: Tensor = (batch.patches.max(axis: -1) .== 0).asType(.float64)
        for layer in model.depthLayers {
            guard let kept = layer.kept else { continue }
            let skipped: Tensor = 1.0 - kept.narrowed(axis: 1, start: 0, length: DigitScenes.patches).asType(.float64)
            let (all, both): (Double, Double) = (empty.sum().item(), (empty * skipped).sum().item())
            blank += all
            blankSkipped += both
            inked += Double(empty.count) - all
            inkedSkipped += skipped.sum().item(Double.self) - both
        }
    }

    var skipped: (blank: Double, inked: Double) { (blankSkipped / blank, inkedSkipped / inked) }
}
