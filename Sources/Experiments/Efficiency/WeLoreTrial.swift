import Efficiency
import Foundation
import NN
import Optim
import SequenceModels
import Torch
import Training

/// The sizes of the WeLore experiment at a scale.
struct WeLoreSetting {
    var base: SmallLanguageModel
    var tuningSteps: Int = 200
    var tuningRate: Double = 1e-3
    /// Most validation tokens.
    var validationLimit: Int?
    /// Steps of GaLore's training at which gradients are looked at.
    var probeSteps: [Int]
    var updateGap: Int = 200

    /// Effective rank reductions that are compared.
    static let reductions: [Double] = [0.5, 0.7, 0.8, 0.9]

    init(_ scale: Scale) {
        base = SmallLanguageModel(scale)
        // Decay is what makes low rank emerge: with 0.01 it hardly does.
        base.weightDecay = scale == .full ? 0.1 : 0.4
        switch scale {
        case .smoke: (tuningSteps, validationLimit, probeSteps) = (3, 500, [0, 1, 2])
        case .small: (validationLimit, probeSteps) = (33_000, Array(stride(from: 0, to: 1200, by: 150)))
        case .full: (tuningSteps, validationLimit, probeSteps) = (2000, nil, Array(stride(from: 0, to: 20_000, by: 1000)))
        }
    }
}

/// A trained model of one seed, and what is done to its ranks.
struct WeLoreTrial {
    let setting: WeLoreSetting
    let seed: UInt64
    let base: PlainTransformer
    let baseLoss: Double
    let spectra: [LayerSpectrum]
    private let corpus: CharacterCorpus
    private let source: TextWindows
    private let held: TextWindows
    private let context: ExperimentContext

    init(_ setting: WeLoreSetting, _ corpus: CharacterCorpus, _ seed: UInt64, _ context: ExperimentContext) throws {
        self.setting = setting
        self.seed = seed
        self.corpus = corpus
        self.context = context
        source = setting.base.windows(corpus.training, seed: seed)
        held = setting.base.windows(corpus.validation, seed: 0)
        base = try setting.base.trained(on: corpus, seed: seed, context: context)
        baseLoss = base.score(held).loss
        spectra = WeLore.singularSpectra(base)
    }

    func loss(of model: PlainTransformer) -> Double { model.score(held).loss }

    /// The trained model with tensors of its own.
    private func copy() throws -> PlainTransformer {
        let copy: PlainTransformer = PlainTransformer(base.configuration)
        try copy.load(Dictionary(uniqueKeysWithValues: base.stateTensors()))
        copy.train(false)
        return copy
    }

    func compressed(_ plan: RankPlan, as form: WeLore.Form) throws -> PlainTransformer {
        let model: PlainTransformer = try copy()
        WeLore.apply(plan, to: model, as: form)
        return model
    }

    /// How much worse the model is with these ranks, in nats.
    func increase(_ plan: RankPlan) throws -> Double {
        try context.checkCancellation()
        return loss(of: try compressed(plan, as: .merged)) - baseLoss
    }

    /// Largest difference between the logits of factors and of their product, relative to the largest logit.
    func differenceOfForms(_ plan: RankPlan) throws -> Double {
        let tokens: Tensor = source.batch(0).tensors(device: base.device).tokens
        let (factored, merged): (PlainTransformer, PlainTransformer) = (
            try compressed(plan, as: .factors), try compressed(plan, as: .merged)
        )
        return noGrad {
            let wanted: Tensor = merged(tokens)
            return ((factored(tokens) - wanted).abs().max() / wanted.abs().max()).item(Double.self)
        }
    }

    /// Milliseconds of one pass over a batch, the fastest of five: a shared machine only ever makes it slower.
    func milliseconds(of model: PlainTransformer) -> Double {
        let tokens: Tensor = source.batch(0).tensors(device: model.device).tokens
        let clock: ContinuousClock = ContinuousClock()
        return (0..<5).map { _ in clock.measure { noGrad { _ = model(tokens) } } / .milliseconds(1) }.min() ?? .nan
    }

    // MARK: Fine-tuning

    /// What is trained of a compressed model.
    enum Tuned: String, CaseIterable {
        case factors = "low-rank layers only"
        case dense = "as many weights of the other layers"
        case everything = "everything"
    }

    struct Tuning {
        let loss: Double
        let trained: Int
        /// Dense matrices of blocks whose values are not bit for bit what they were.
        let changedMatrices: Int
        let curve: Measurements.Curve
    }

    /// Compresses and trains on with the data of the first training.
    func tune(_ what: Tuned, _ plan: RankPlan) throws -> Tuning {
        try context.checkCancellation()
        context.progress("\(what.rawValue), seed \(seed): \(setting.tuningSteps) steps")
        let model: PlainTransformer = try compressed(plan, as: .factors)
        model.unfreeze()
        switch what {
        case .factors: WeLore.freezeForFinetuning(model)
        case .dense: freezeButDense(model, plan)
        case .everything: break
        }
        let dense: [(path: String, layer: any LinearMap)] = model.blockLinearMaps.filter { $0.layer is Linear }
        let before: [Tensor] = dense.map { $0.layer.denseWeight().detached().cloned() }
        let training: TrialTraining = TrialTraining(steps: setting.tuningSteps, learningRate: setting.tuningRate, seed: seed &+ 1)
        let curve: Measurements.Curve = try training.optimize(
            model, named: what.rawValue, on: setting.base.windows(corpus.training, seed: seed &+ 1)
        ) { model.loss($0) }
        return Tuning(
            loss: loss(of: model), trained: model.trainableParameters().reduce(0) { $0 + $1.count },
            changedMatrices: zip(dense, before).count { !$0.layer.denseWeight().isEqual(to: $1) }, curve: curve)
    }

    /// Trains dense matrices of the blocks, drawn at random, until they have as many elements as the factors, and the norms.
    private func freezeButDense(_ model: PlainTransformer, _ plan: RankPlan) {
        WeLore.freezeForFinetuning(model)
        let low: [RankPlan.Layer] = plan.layers.filter(\.isLowRank)
        for layer in low { model.freeze { $0.hasPrefix("\(layer.path).") } }
        var wanted: Int = low.reduce(0) { $0 + $1.keptCount }
        var generator: SplitMix64 = SplitMix64(seed: seed)
        for layer in plan.layers.filter({ !$0.isLowRank }).shuffled(using: &generator) where layer.denseCount / 2 <= wanted {
            model.unfreeze { $0.hasPrefix("\(layer.path).") }
            wanted -= layer.denseCount
        }
    }

    // MARK: GaLore

    struct GaLoreResult {
        let loss: Double
        /// Bytes of the moments of the projected matrices, and what AdamW's would be.
        let momentBytes: Int
        let denseMomentBytes: Int
        let probe: GradientSubspaceProbe
        let plan: RankPlan
        let curve: Measurements.Curve
    }

    /// Trains the recipe from the same start with GaLore at a quarter of the rank, and looks at its gradients on the way.
    func galore() throws -> GaLoreResult {
        try context.checkCancellation()
        context.progress("GaLore, seed \(seed): \(setting.base.steps) steps")
        let model: PlainTransformer = try setting.base.untrained(vocabularySize: corpus.vocabularySize, seed: seed)
        let matrices: Set<String> = Set(model.blockLinearMaps.map { "\($0.path).weight" })
        let optimizer: GaLoreAdamW = try galoreOptimizer(of: model, matrices)
        let probe: GradientSubspaceProbe = GradientSubspaceProbe(rank: 8)
        let wanted: Set<Int> = Set(setting.probeSteps)
        var step: Int = 0
        let trainer: TrainerConfiguration = try TrainerConfiguration(
            steps: setting.base.steps, schedule: .warmUpCosine(warmUp: setting.base.warmUp, finalFraction: 0.1), checkpointMinutes: nil,
            seed: seed)
        let result: TrainingResult = try Trainer(
            model: model, optimizer: optimizer, source: source, configuration: trainer, progress: .automatic()
        ) { batch in
            if wanted.contains(step) { probe.record(model, step: step) { model.loss(batch) } }
            step += 1
            return model.loss(batch)
        }.run()
        let moments: [String: Tensor] = optimizer.stateTensors().filter { name, _ in
            matrices.contains { name == "\($0).exp_avg" || name == "\($0).exp_avg_sq" }
        }
        return GaLoreResult(
            loss: loss(of: model), momentBytes: moments.values.reduce(0) { $0 + $1.byteCount },
            denseMomentBytes: 2 * model.blockLinearMaps.reduce(0) { $0 + $1.layer.denseWeight().byteCount }, probe: probe,
            plan: try WeLore.plan(WeLore.singularSpectra(model), targetERR: 0.5),
            curve: Measurements.Curve(method: "GaLore", losses: result.losses, seed: seed))
    }

    /// GaLore for the blocks' matrices; AdamW at the rate of the first training for everything else. The decay of a step, rate times decay, is
    /// that of the first training everywhere.
    private func galoreOptimizer(of model: PlainTransformer, _ matrices: Set<String>) throws -> GaLoreAdamW {
        let configuration: GaLoreConfiguration = try GaLoreConfiguration(
            rank: setting.base.dimensions / 4, updateGap: setting.updateGap, exclude: ["embedding", "positions", "head"])
        let parameters: [(name: String, tensor: Tensor)] = model.namedParameters()
        func group(_ rate: Double, _ decay: Double, _ chosen: (String, Tensor) -> Bool) -> ParameterGroup {
            let members: [(name: String, tensor: Tensor)] = parameters.filter { chosen($0.name, $0.tensor) }
            return ParameterGroup(
                parameters: members.map(\.tensor), names: members.map(\.name), learningRate: rate, weightDecay: decay)
        }
        let decayPerStep: Double = setting.base.learningRate * setting.base.weightDecay
        return try GaLoreAdamW(
            groups: [
                group(configuration.learningRate, decayPerStep / configuration.learningRate) { name, _ in matrices.contains(name) },
                group(setting.base.learningRate, setting.base.weightDecay) { name, tensor in
                    !matrices.contains(name) && tensor.ndim >= 2
                },
                group(setting.base.learningRate, 0) { _, tensor in tensor.ndim < 2 },
            ], configuration: configuration)
    }
}
