import Foundation
import Torch

/// Learning rate, warm-up and steps for a batch size, from what was found right for another: the rate grows as the root of the batch, the warm-up's
/// share of the run as the batch (You et al. 2020, section 4: warm-up over equally many samples, then a line down to 0).
public struct LargeBatchSchedule: Sendable, Equatable {
    /// The highest rate.
    public let learningRate: Double
    /// Updates of the run.
    public let steps: Int
    /// Updates of the warm-up.
    public let warmUp: Int

    /// - Parameters:
    ///   - referenceRate: the rate at the reference batch.
    ///   - referenceBatch: samples in a batch there.
    ///   - batch: samples in a batch here.
    ///   - samples: of the whole run, at any batch size.
    ///   - warmupFraction: share of the steps that warm up at the reference batch; at most a half of them warm up anywhere.
    /// - Throws: `ConfigurationError` for a setting out of its range.
    public init(referenceRate: Double, referenceBatch: Int, batch: Int, samples: Int, warmupFraction: Double) throws {
        let requirement: Requirement = Requirement("large-batch schedule")
        try requirement.nonNegative(referenceRate, "referenceRate")
        try requirement.positive(referenceBatch, "referenceBatch")
        try requirement.positive(batch, "batch")
        try requirement.positive(samples, "samples")
        try requirement.fraction(warmupFraction, "warmupFraction")
        let ratio: Double = Double(batch) / Double(referenceBatch)
        learningRate = referenceRate * ratio.squareRoot()
        steps = max(1, samples / batch)
        warmUp = Int((min(0.5, warmupFraction * ratio) * Double(steps)).rounded())
    }

    /// The rate over the steps, as a factor of ``learningRate``.
    public var schedule: Schedule { .warmUpLinear(warmUp: min(warmUp, steps - 1)) }
}

/// Training in stages of different batches or lengths, each with a warm-up of its own: the paper's mixed-batch recipe warms up again where the
/// second stage begins.
public struct MixedBatchSchedule: Sendable, Equatable {
    public let stages: [LargeBatchSchedule]

    /// Traps without a stage.
    public init(stages: [LargeBatchSchedule]) {
        precondition(!stages.isEmpty, "MixedBatchSchedule: no stage")
        self.stages = stages
    }

    public var steps: Int { stages.reduce(0) { $0 + $1.steps } }

    /// The learning rate itself, since stages differ in their highest.
    /// - Parameter step: updates done before this one, in all stages; later ones than the last have the last stage's final rate.
    public func learningRate(step: Int) -> Double {
        var left: Int = step
        for stage in stages.dropLast() {
            if left < stage.steps { return stage.learningRate * stage.schedule.factor(step: left, of: stage.steps) }
            left -= stage.steps
        }
        let last: LargeBatchSchedule = stages[stages.count - 1]
        return last.learningRate * last.schedule.factor(step: left, of: last.steps)
    }
}
