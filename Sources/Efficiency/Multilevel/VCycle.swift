import NN
import SequenceModels
import Torch

/// The V-cycle of a transformer's training (arXiv 2404.07999, algorithm 1): train briefly, coalesce, train the small model, take it apart, interpolate
/// with what was there, and train on. Optimizers start anew in every phase.
public struct VCycle {
    /// What is joined between a level and the next smaller one.
    public struct Descent {
        public var width: WidthMaps?
        public var depth: DepthMap?

        public init(width: WidthMaps? = nil, depth: DepthMap? = nil) {
            self.width = width
            self.depth = depth
        }
    }

    /// One stretch of training at one level.
    public struct Phase: Sendable, Equatable {
        public enum Kind: String, Sendable { case initial, smallest, refinement, final }

        public let kind: Kind
        /// From 1, the largest.
        public let level: Int
        public let steps: Int
        public let learningRate: Double
    }

    /// Steps of the phases; a phase of 0 steps is left out.
    public struct Steps: Sendable, Equatable {
        /// At every level but the smallest, on the way down.
        public var initial: Int
        public var smallest: Int
        /// At the levels between, on the way up.
        public var refinement: Int
        /// At the largest level, at the end.
        public var final: Int

        public init(initial: Int, smallest: Int, refinement: Int? = nil, final: Int) {
            precondition(initial >= 0 && smallest >= 0 && final >= 0, "VCycle: a negative number of steps")
            self.initial = initial
            self.smallest = smallest
            self.refinement = refinement ?? initial
            self.final = final
        }
    }

    /// From each level to the next smaller: one fewer than there are levels.
    public let levels: [Descent]
    public let steps: Steps
    /// The share of the small model in the interpolation.
    public let alpha: Double
    /// The learning rate of each level, largest model first.
    public let rates: [Double]

    /// Traps for a rate too many or too few, or an alpha outside 0 … 1.
    public init(levels: [Descent], steps: Steps, alpha: Double = 0.5, rates: [Double]) {
        precondition(rates.count == levels.count + 1, "VCycle: \(rates.count) rates for \(levels.count + 1) levels")
        precondition((0...1).contains(alpha), "VCycle: alpha is \(alpha); it has to lie in 0 ... 1")
        self.levels = levels
        self.steps = steps
        self.alpha = alpha
        self.rates = rates
    }

    /// Runs the cycle; the model given is the one that is trained in the end.
    /// - Parameters:
    ///   - model: the largest.
    ///   - body: trains a model for a phase's steps, with an optimizer of its own.
    public func train(_ model: PlainTransformer, _ body: (PlainTransformer, Phase) throws -> Void) throws {
        try descend(model, level: 1, body)
        try phase(.final, 1, steps.final, model, body)
    }

    private func descend(_ model: PlainTransformer, level: Int, _ body: (PlainTransformer, Phase) throws -> Void) throws {
        if level > levels.count { return try phase(.smallest, level, steps.smallest, model, body) }
        try phase(.initial, level, steps.initial, model, body)
        let maps: Descent = levels[level - 1]
        let small: PlainTransformer = try Multilevel.coalesce(model, width: maps.width, depth: maps.depth)
        try descend(small, level: level + 1, body)
        if level < levels.count { try phase(.refinement, level + 1, steps.refinement, small, body) }
        let update: PlainTransformer = try Multilevel.decoalesce(small, width: maps.width, depth: maps.depth)
        Multilevel.interpolate(base: model, update: update, alpha: alpha)
    }

    private func phase(
        _ kind: Phase.Kind, _ level: Int, _ steps: Int, _ model: PlainTransformer, _ body: (PlainTransformer, Phase) throws -> Void
    ) throws {
        if steps > 0 { try body(model, Phase(kind: kind, level: level, steps: steps, learningRate: rates[level - 1])) }
    }
}

/// Floating-point operations of a training against the losses that it reached, for comparing recipes whose steps cost differently.
public struct FLOPsToTarget: Sendable, Equatable {
    public struct Point: Sendable, Equatable {
        public let flops: Double
        public let loss: Double
    }

    /// Operations so far.
    public private(set) var flops: Double = 0
    public private(set) var points: [Point] = []

    public init() {}

    /// Counts training of a model: two operations for each multiply-accumulate, and twice the forward pass' for the backward.
    /// - Parameters:
    ///   - model: a model of this step's size.
    ///   - tokens: in a batch.
    ///   - context: tokens in a row of it.
    ///   - steps: of such batches.
    public mutating func count(_ model: PlainTransformer, tokens: Int, context: Int, steps: Int = 1) {
        flops += Double(steps) * Self.trainingFLOPs(of: model, tokens: tokens, context: context)
    }

    /// Notes a validation loss at the present count.
    public mutating func record(loss: Double) { points.append(Point(flops: flops, loss: loss)) }

    /// The operations at which the loss first was the target's or below, in a line between two records; nil where it never was.
    public func flops(toReach target: Double) -> Double? {
        guard let index = points.firstIndex(where: { $0.loss <= target }) else { return nil }
        let reached: Point = points[index]
        guard index > 0 else { return reached.flops }
        let before: Point = points[index - 1]
        return before.flops + (reached.flops - before.flops) * (before.loss - target) / (before.loss - reached.loss)
    }

    /// Operations of one training step: the matrices' and the causal attention's.
    static func trainingFLOPs(of model: PlainTransformer, tokens: Int, context: Int) -> Double {
        let c: PlainTransformerConfiguration = model.configuration
        let attention: Double =
            Double(c.layers * CostModel.causalAttention(length: context, dimensions: c.dimensions)) / Double(context)
        return 6 * Double(tokens) * (Double(CostModel(of: model).linearMultiplyAccumulates) + attention)
    }
}
