import Foundation
import NN
import SequenceModels
import Torch
import Training

/// `maestro` in a recipe: decomposes the matrices inside the blocks, trains them with ordered dropout and the group lasso on the text that is given,
/// lets components die, and keeps the most important ones within a budget. See ``Maestro``.
public struct MaestroStep: CompressionStep {
    public static let name: String = "maestro"

    /// Multiply-accumulates of the matrices that are left, as a share of the dense ones'.
    public var budget: Double = 0.5
    public var steps: Int = 300
    public var learningRate: Double = 3e-4
    /// Weight of the hierarchical group lasso.
    public var lasso: Double = 1e-6
    /// Steps between two looks at which components have died.
    public var shrinkEvery: Int = 50
    /// Importance, as a share of a matrix' first component's, below which a component has died.
    public var threshold: Double = 1e-3

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case budget, steps, lasso, threshold
        case learningRate = "learning-rate"
        case shrinkEvery = "shrink-every"
    }

    /// - Throws: `ConfigurationError` naming the setting that is out of its range.
    public init(
        budget: Double = 0.5, steps: Int = 300, learningRate: Double = 3e-4, lasso: Double = 1e-6, shrinkEvery: Int = 50,
        threshold: Double = 1e-3
    ) throws {
        (self.budget, self.steps, self.learningRate, self.lasso) = (budget, steps, learningRate, lasso)
        (self.shrinkEvery, self.threshold) = (shrinkEvery, threshold)
        try validate()
    }

    public init(from decoder: any Decoder) throws {
        let fields: ConfigurationFields<CodingKeys> = try ConfigurationFields(decoder, of: Self.name)
        try fields.read(.budget, into: &budget)
        try fields.read(.steps, into: &steps)
        try fields.read(.learningRate, into: &learningRate)
        try fields.read(.lasso, into: &lasso)
        try fields.read(.shrinkEvery, into: &shrinkEvery)
        try fields.read(.threshold, into: &threshold)
        try validate()
    }

    private func validate() throws {
        try checkShare(budget, "budget")
        try checkShare(threshold, "threshold")
        for (name, value) in [("steps", steps), ("shrink-every", shrinkEvery)] where value < 1 {
            throw ConfigurationError("\(name) is \(value); it has to be at least 1")
        }
        try checkPositive(learningRate, "learning-rate")
        _ = try MaestroObjective(lassoWeight: lasso)
    }

    public var summary: String { "\(budget) of the multiply-accumulates, \(steps) steps, lasso \(lasso)" }

    /// The ranks that the decomposition would get without any training.
    public func plan(_ subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        _ = try languageModel(of: subject)
        let layers: [String: any LinearMap] = try subject.requiredDenseMatrices(for: Self.name)
        let parts: [(path: String, layer: MaestroLayer)] = subject.model.denseMatrices.map { ($0.path, MaestroLinear($0.layer)) }
        let ranks: [String: Int] = Maestro.ranks(parts, macBudget: macBudget(layers))
        return parts.compactMap { path, part in
            layers[path].map { Self.choice(path, $0, part, rank: ranks[path] ?? part.fullRank, isEstimate: true) }
        }
    }

    public func check(_ subject: CompressedModel, _ context: CompressionContext) throws {
        _ = try languageModel(of: subject)
        _ = try context.requiredCalibration(for: Self.name)
    }

    public func apply(to subject: CompressedModel, _ context: CompressionContext) throws -> [LayerChoice] {
        let model: any LayeredLanguageModel = try languageModel(of: subject)
        let text: TextWindows = try context.requiredCalibration(for: Self.name)
        let layers: [String: any LinearMap] = try subject.requiredDenseMatrices(for: Self.name)
        Maestro.decompose(model)
        model.unfreeze()
        try train(model, on: text, context)
        Maestro.shrink(model, threshold: .relative(threshold))
        let parts: [(path: String, layer: MaestroLayer)] = Maestro.layers(of: model)
        for (path, rank) in Maestro.ranks(model, macBudget: macBudget(layers)) { parts.first { $0.path == path }?.layer.activeRank = rank }
        let choices: [LayerChoice] = parts.compactMap { path, part in
            layers[path].map { Self.choice(path, $0, part, rank: part.activeRank, isEstimate: false) }
        }
        Maestro.prune(model)
        return choices
    }

    private func train(_ model: any LayeredLanguageModel, on text: TextWindows, _ context: CompressionContext) throws {
        let objective: MaestroObjective = try MaestroObjective(lassoWeight: lasso)
        var sampler: OrderedDropoutSampler = OrderedDropoutSampler(for: model, seed: context.seed)
        var step: Int = 0
        try StepTraining(steps: steps, learningRate: learningRate).run(model, on: text, context) { batch in
            if step > 0, step % shrinkEvery == 0 {
                let ranks: [String: Int] = Maestro.shrink(model, threshold: .relative(threshold))
                context.progress("step \(step): \(ranks.values.reduce(0, +)) components are alive")
                sampler = OrderedDropoutSampler(for: model, seed: context.seed &+ UInt64(step))
            }
            step += 1
            let (tokens, targets) = batch.tensors(device: model.device)
            return objective(model, width: sampler.next(), targets: targets.flattened()) { model(tokens).flattened(from: 0, to: 1) }
        }
    }

    private func macBudget(_ layers: [String: any LinearMap]) -> Int {
        Int(budget * Double(layers.values.reduce(0) { $0 + $1.inputDimensions * $1.outputDimensions }))
    }

    private func languageModel(of subject: CompressedModel) throws -> any LayeredLanguageModel {
        guard let model = subject.languageModel else { throw ConfigurationError("maestro trains language models only, not encoders") }
        return model
    }

    private static func choice(
        _ path: String, _ dense: any LinearMap, _ part: MaestroLayer, rank: Int, isEstimate: Bool
    ) -> LayerChoice {
        let isDense: Bool = part.isDenseSmaller(rank: rank)
        let text: String = isDense ? "dense" : "rank \(rank) of \(part.fullRank)"
        return LayerChoice(
            path: path, choice: isEstimate ? "about \(text), before training" : text, bytesBefore: dense.byteCount,
            bytesAfter: LowRankLinear.bytes(of: dense, keeping: part.multiplyAccumulates(rank: rank)))
    }
}
