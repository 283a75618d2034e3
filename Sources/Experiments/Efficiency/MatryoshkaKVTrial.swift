import Efficiency
import Foundation
import NN
import SequenceModels
import Torch
import Training

/// The sizes of the experiment on compressed caches at a scale.
struct MatryoshkaKVSetting {
    var recipe: SmallLanguageModel
    /// Batches whose keys and values give the principal axes.
    var calibrationBatches: Int = 200
    var distillationSteps: Int = 300
    var warmUp: Int = 100
    /// Sequences that the search measures errors on.
    var searchRows: Int = 8
    /// Most validation tokens; nil is all.
    var validationLimit: Int? = 33_000

    init(_ scale: Scale) {
        recipe = SmallLanguageModel(scale)
        recipe.rotary = true
        switch scale {
        case .smoke:
            (calibrationBatches, distillationSteps, warmUp, searchRows, validationLimit) = (2, 3, 1, 2, 1000)
            (recipe.dimensions, recipe.heads) = (16, 2)
        case .small:
            (recipe.dimensions, recipe.layers, recipe.heads, recipe.steps) = (128, 4, 4, 1000)
        case .full:
            (recipe.context, validationLimit) = (1024, nil)
        }
    }
}

/// The trained model of a seed and what is done to its cache.
struct MatryoshkaKVTrial {
    let setting: MatryoshkaKVSetting
    let seed: UInt64
    let denseLoss: Double
    /// Tokens `[rows, T]` of the training text that the search measures errors on.
    let calibration: Tensor
    private let base: PlainTransformer
    private let corpus: CharacterCorpus
    private let source: TextWindows
    private let held: TextWindows
    private let context: ExperimentContext

    init(_ setting: MatryoshkaKVSetting, _ corpus: CharacterCorpus, _ seed: UInt64, _ context: ExperimentContext) throws {
        (self.setting, self.corpus, self.seed, self.context) = (setting, corpus, seed, context)
        base = try setting.recipe.trained(on: corpus, seed: seed, context: context)
        // Other windows than those that the model was trained on come by another seed.
        source = TextWindows(corpus.training, context: setting.recipe.context, rows: 16, seed: seed + 1000)
        held = TextWindows(corpus.validation, context: setting.recipe.context, rows: 32, seed: 0)
        let search: TextWindows = TextWindows(
            corpus.training, context: setting.recipe.context, rows: setting.searchRows, seed: seed + 2000)
        calibration = search.batch(0).tensors(device: base.device).tokens
        denseLoss = base.score(held).loss
    }

    /// A copy of the model with its principal axes.
    func principalAxes() throws -> PlainTransformer {
        try context.checkCancellation()
        let model: PlainTransformer = try setting.recipe.untrained(vocabularySize: corpus.vocabularySize, seed: seed)
        try model.load(Dictionary(uniqueKeysWithValues: base.stateTensors()))
        model.train(false)
        let batches: [Tensor] = (0..<setting.calibrationBatches).map { source.batch($0).tensors(device: model.device).tokens }
        model.attachKVProjections(try KVProjection.pca(model, calibration: batches))
        return model
    }

    /// The same with trained projections.
    func distilled(
        _ name: String, _ sampling: MatryoshkaKVTraining.Sampling, _ measurements: inout Measurements
    ) throws -> PlainTransformer {
        let model: PlainTransformer = try principalAxes()
        context.progress("\(name), seed \(seed): \(setting.distillationSteps) steps")
        let training: MatryoshkaKVTraining = try MatryoshkaKVTraining(
            steps: setting.distillationSteps, warmUp: setting.warmUp, sampling: sampling, seed: seed)
        let result: TrainingResult = try MatryoshkaKVTrainer(model, training).run(on: source, validation: held)
        measurements.record(curve: Measurements.Curve(method: name, losses: result.losses, seed: seed))
        if let half = result.validations.last?.metrics["loss"] {
            measurements.record(name, "validation loss at half the channels (nats per character)", seed: seed, half)
        }
        model.train(false)
        return model
    }

    // MARK: Losses

    /// Increase of the validation loss at one rank for all heads, for each budget.
    func losses(_ model: PlainTransformer, _ budgets: [Double]) -> [Double] {
        budgets.map { loss(model, .uniform(budget: $0, like: model.fullKVRanks)) }
    }

    func loss(_ model: PlainTransformer, _ plan: KVRankPlan) -> Double {
        model.setKVRanks(plan)
        defer { model.setKVRanks(nil) }
        return model.score(held).loss - denseLoss
    }

    // MARK: Identities

    /// Largest entry of QᵀQ − I over all bases.
    func orthogonality(of model: PlainTransformer) -> Double {
        let bases: [Tensor] = model.matryoshkaLayers.flatMap { [$0.projection.key.matrix(), $0.projection.value.matrix()] }
        return noGrad {
            bases.map { basis in
                (basis.mT.matmul(basis) - Tensor.eye(basis.dim(-1), device: basis.device)).abs().max().item(Double.self)
            }.max() ?? .nan
        }
    }

    /// Largest changes of a basis' parameters and of any weight outside the projections.
    func changes(from before: PlainTransformer, to after: PlainTransformer) -> (bases: Double, others: Double) {
        let old: [String: Tensor] = Dictionary(uniqueKeysWithValues: before.stateTensors())
        var (bases, others): (Double, Double) = (0, 0)
        for (name, tensor) in after.stateTensors() {
            let change: Double = noGrad { old[name].map { ($0 - tensor).abs().max().item(Double.self) } ?? .nan }
            if name.hasSuffix(".skew") {
                bases = max(bases, change)
            } else if !name.contains("kv_projection.") {
                others = max(others, change)
            }
        }
        return (bases, others)
    }

    func distanceOfFullRanks(_ model: PlainTransformer) -> Double {
        let plain: Tensor = logits(model, nil)
        return distance(logits(model, model.fullKVRanks), plain)
    }

    func distanceOfDecoding(_ model: PlainTransformer, _ plan: KVRankPlan) -> Double {
        let whole: Tensor = logits(model, plan)
        model.setKVRanks(plan)
        defer { model.setKVRanks(nil) }
        var state: LanguageModelState = model.initialState(batch: calibration.dim(0))
        let steps: [Tensor] = noGrad { calibration.unbound(axis: 1).map { model.step($0, state: &state) } }
        return distance(stacked(steps, axis: 1), whole)
    }

    /// Replaces the model's attentions by their folded forms.
    func distanceOfFolding(_ model: PlainTransformer, _ plan: KVRankPlan) -> Double {
        let unfolded: Tensor = logits(model, plan)
        model.setKVRanks(plan)
        model.foldKVProjections()
        return distance(noGrad { model(calibration) }, unfolded)
    }

    /// Bytes of the state after a text, as a share of those without compression.
    func cacheShare(_ model: PlainTransformer, _ plan: KVRankPlan) -> Double {
        func bytes(_ plan: KVRankPlan?) -> Int {
            model.setKVRanks(plan)
            var state: LanguageModelState? = model.initialState(batch: calibration.dim(0))
            noGrad { _ = model(calibration, mask: nil, state: &state, mode: nil) }
            return state?.layers.reduce(0) { $0 + $1.byteCount } ?? 0
        }
        defer { model.setKVRanks(nil) }
        return Double(bytes(plan)) / Double(bytes(nil))
    }

    private func logits(_ model: PlainTransformer, _ plan: KVRankPlan?) -> Tensor {
        model.setKVRanks(plan)
        defer { model.setKVRanks(nil) }
        return noGrad { model(calibration) }
    }

    /// Largest difference, relative to the largest entry.
    private func distance(_ found: Tensor, _ expected: Tensor) -> Double {
        ((found - expected).abs().max() / expected.abs().max()).item(Double.self)
    }
}
