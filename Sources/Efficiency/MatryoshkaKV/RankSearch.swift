import SequenceModels
import Torch

/// The ranks of every budget between none cut off and the least, as a search has found them one after another.
public struct KVRankPath: Codable, Sendable, Equatable {
    /// One head's keys or values that lose some channels.
    public struct Move: Codable, Sendable, Equatable {
        public let layer: Int
        public let head: Int
        /// Of the values; else of the keys.
        public let isValue: Bool
        /// By how much the error grew, in the search's measure.
        public let cost: Double
    }

    /// Nothing cut off.
    public let start: KVRankPlan
    public fileprivate(set) var moves: [Move] = []

    /// The first plan on the path that keeps no more than this share of the cache; the last one where none does.
    public func plan(budget: Double) -> KVRankPlan {
        var plan: KVRankPlan = start
        for move in moves {
            // Budgets are multiples of a rank in float64; a last digit does not cost a step.
            if plan.budget <= budget + 1e-9 { break }
            plan.cut(move.layer, move.head, isValue: move.isValue)
        }
        return plan
    }
}

extension KVRankPlan {
    func rank(_ layer: Int, _ head: Int, isValue: Bool) -> Int { isValue ? layers[layer].values[head] : layers[layer].keys[head] }

    mutating func cut(_ layer: Int, _ head: Int, isValue: Bool) {
        if isValue { layers[layer].values[head] -= step } else { layers[layer].keys[head] -= step }
    }
}

/// The search for the ranks of every layer and head: whatever costs least loses channels next.
public enum RankSearch {
    /// What a cut is judged by.
    public enum Measure: String, Codable, Sendable, CaseIterable {
        /// Kullback-Leibler divergence of the next token's distribution from that of the uncompressed model: one pass through the whole model for each
        /// judgement.
        case exact
        /// Squared distance of the layer's output from that of the uncompressed attention, both at the uncompressed model's inputs: one pass through the
        /// layer.
        case fast
    }

    /// The plan of one budget; see ``path(_:calibration:to:measure:)``.
    /// - Throws: `ConfigurationError` as that does.
    public static func greedy(
        _ model: any CausalLanguageModel, calibration: Tensor, budget: Double, measure: Measure = .exact
    ) throws -> KVRankPlan {
        try path(model, calibration: calibration, to: budget, measure: measure).plan(budget: budget)
    }

    /// Cuts an eighth of a head's channels at a time, from all ranks full down to a budget. Costs of earlier rounds serve as estimates: the smallest are
    /// computed anew until one stays the smallest, and all of them whenever a tenth of the cache has been cut.
    /// - Parameters:
    ///   - model: with projections attached; its ranks are what they were afterwards.
    ///   - calibration: tokens `[B, T]` (int64) that errors are measured on.
    ///   - budget: least share of the cache, at least 1/8.
    ///   - measure: of the error.
    /// - Throws: `ConfigurationError` for a model without projections, or a budget that no ranks reach.
    public static func path(
        _ model: any CausalLanguageModel, calibration: Tensor, to budget: Double, measure: Measure = .exact
    ) throws -> KVRankPath {
        let full: KVRankPlan = model.fullKVRanks
        guard !full.layers.isEmpty else { throw ConfigurationError("the model has no projections of keys and values to cut") }
        let leastRank: Int = full.headDimensions - (full.headDimensions - 1) / full.step * full.step
        let least: Double = Double(leastRank) / Double(full.headDimensions)
        guard budget <= 1, budget >= least else {
            throw ConfigurationError("a budget of \(budget) cannot be met; it has to lie in \(least) ... 1")
        }
        let before: [KVRanks?] = model.matryoshkaLayers.map(\.ranks)
        let wasTraining: Bool = model.isTraining
        model.train(false)
        defer {
            for (layer, ranks) in zip(model.matryoshkaLayers, before) { layer.ranks = ranks }
            model.train(wasTraining)
        }
        return noGrad { search(from: full, to: budget, errors(measure, model, calibration)) }
    }

    private static func errors(_ measure: Measure, _ model: any CausalLanguageModel, _ calibration: Tensor) -> any RankErrors {
        switch measure {
        case .exact: ModelErrors(model, calibration)
        case .fast: LayerErrors(model, calibration)
        }
    }

    private static func search(from full: KVRankPlan, to budget: Double, _ errors: any RankErrors) -> KVRankPath {
        var path: KVRankPath = KVRankPath(start: full)
        var plan: KVRankPlan = full
        var queue: [Cut] = full.layers.enumerated().flatMap { layer, ranks in
            ranks.keys.indices.flatMap { head in [false, true].map { Cut(layer: layer, head: head, isValue: $0) } }
        }
        let refresh: Int = max(1, full.total / (10 * full.step))
        while plan.budget > budget + 1e-9 {
            let everything: Bool = path.moves.count % refresh == 0
            queue.removeAll { plan.rank($0.layer, $0.head, isValue: $0.isValue) <= plan.step }
            for index in queue.indices {
                queue[index].isFresh = everything
                if everything { queue[index].cost = errors.increase(plan, queue[index]) }
            }
            guard let next = cheapest(&queue, plan, errors) else { break }
            plan.cut(next.layer, next.head, isValue: next.isValue)
            path.moves.append(KVRankPath.Move(layer: next.layer, head: next.head, isValue: next.isValue, cost: next.cost))
            errors.accept(plan, changed: next.layer)
        }
        return path
    }

    /// The cut that costs least, from costs of this round alone.
    private static func cheapest(_ queue: inout [Cut], _ plan: KVRankPlan, _ errors: any RankErrors) -> Cut? {
        while let index = queue.indices.min(by: { queue[$0].cost < queue[$1].cost }) {
            if queue[index].isFresh { return queue[index] }
            queue[index].cost = errors.increase(plan, queue[index])
            queue[index].isFresh = true
        }
        return nil
    }
}

/// A cut that may come next, with its cost as it was when it was last computed.
private struct Cut {
    let layer: Int
    let head: Int
    let isValue: Bool
    var cost: Double = 0
    var isFresh: Bool = false
}

/// How much a cut adds to the error of a plan.
private protocol RankErrors: AnyObject {
    func increase(_ plan: KVRankPlan, _ cut: Cut) -> Double
    /// Goes on from this plan, which differs from the last one in a layer.
    func accept(_ plan: KVRankPlan, changed layer: Int)
}

/// Errors of the whole model's predictions.
private final class ModelErrors: RankErrors {
    private let model: any CausalLanguageModel
    private let tokens: Tensor
    private let teacher: Tensor
    private var current: Double = 0

    init(_ model: any CausalLanguageModel, _ tokens: Tensor) {
        (self.model, self.tokens) = (model, tokens)
        model.setKVRanks(nil)
        teacher = model(tokens).logSoftmax().flattened(from: 0, to: 1)
    }

    private func error(_ plan: KVRankPlan) -> Double {
        model.setKVRanks(plan)
        let student: Tensor = model(tokens).logSoftmax().flattened(from: 0, to: 1)
        return klDivergence(student, teacher, logTarget: true, reduction: .sum).item(Double.self) / Double(tokens.count)
    }

    func increase(_ plan: KVRankPlan, _ cut: Cut) -> Double {
        var changed: KVRankPlan = plan
        changed.cut(cut.layer, cut.head, isValue: cut.isValue)
        return error(changed) - current
    }

    func accept(_ plan: KVRankPlan, changed layer: Int) { current = error(plan) }
}

/// Errors of each layer's output at the inputs that it has in the uncompressed model.
private final class LayerErrors: RankErrors {
    private let layers: [MatryoshkaKVAttention]
    private var inputs: [Tensor] = []
    private var outputs: [Tensor] = []
    private var current: [Double]

    init(_ model: any CausalLanguageModel, _ tokens: Tensor) {
        model.setKVRanks(nil)
        layers = model.matryoshkaLayers
        var seen: [Tensor] = []
        model.observing(model.mixers(MatryoshkaKVAttention.self)) { _, x in
            seen.append(x)
        } during: {
            _ = model(tokens)
        }
        inputs = seen
        outputs = zip(layers, inputs).map { $0($1) }
        current = layers.map { _ in 0 }
    }

    private func error(_ layer: Int, _ ranks: KVRanks) -> Double {
        layers[layer].ranks = ranks
        return meanSquaredError(layers[layer](inputs[layer]), outputs[layer]).item(Double.self)
    }

    func increase(_ plan: KVRankPlan, _ cut: Cut) -> Double {
        var changed: KVRankPlan = plan
        changed.cut(cut.layer, cut.head, isValue: cut.isValue)
        return error(cut.layer, changed.layers[cut.layer]) - current[cut.layer]
    }

    func accept(_ plan: KVRankPlan, changed layer: Int) { current[layer] = error(layer, plan.layers[layer]) }
}
