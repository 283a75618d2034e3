import Foundation
import Torch

/// The learning rate over a run, as a factor of the optimizer's: a pure function of the step.
///
/// Steps count from 0 (the first update) to `total - 1` (the last); later steps keep the final factor. Warm-up of W steps rises in a line
/// from `1 / (W + 1)` at the first step to 1 at step W, so that no step is spent at rate 0.
public enum Schedule: Codable, Sendable, Equatable {
    case constant
    /// After the warm-up half a cosine wave, down to `finalFraction` at step `total` (Loshchilov & Hutter 2017, equation 5, without restarts).
    case warmUpCosine(warmUp: Int, finalFraction: Double = 0)
    /// After the warm-up a line, down to `finalFraction` at step `total`.
    case warmUpLinear(warmUp: Int, finalFraction: Double = 0)
    /// After the warm-up the full rate, and over the last `decay` steps a line down to `finalFraction` at step `total`.
    case warmUpStableDecay(warmUp: Int, decay: Int, finalFraction: Double = 0)
    /// Smith & Topin 2019, as torch's `OneCycleLR` with cosine annealing in two phases: from `1 / startDivisor` up to 1 at the fraction
    /// `riseFraction` of the run, then down to `1 / (startDivisor · endDivisor)` at the last step. Momentum is not cycled.
    case oneCycle(riseFraction: Double = 0.3, startDivisor: Double = 25, endDivisor: Double = 1e4)
    /// Rises in a line over the warm-up and then falls as `sqrt(warmUp / t)`, t the step from 1 (Vaswani et al. 2017, section 5.3).
    case inverseSquareRoot(warmUp: Int)

    /// The factor on the learning rate.
    /// - Parameters:
    ///   - step: updates done before this one, at least 0.
    ///   - total: updates of the whole run; ``constant`` and ``inverseSquareRoot(warmUp:)`` do not look at it.
    public func factor(step: Int, of total: Int) -> Double {
        precondition(step >= 0, "a schedule at step \(step)")
        switch self {
        case .constant:
            return 1
        case .warmUpCosine(let warmUp, let finalFraction):
            return Self.rising(step, warmUp) ?? Self.cosine(from: 1, to: finalFraction, Self.progress(step, from: warmUp, to: total))
        case .warmUpLinear(let warmUp, let finalFraction):
            return Self.rising(step, warmUp) ?? 1 + (finalFraction - 1) * Self.progress(step, from: warmUp, to: total)
        case .warmUpStableDecay(let warmUp, let decay, let finalFraction):
            return Self.rising(step, warmUp)
                ?? (step < total - decay ? 1 : 1 + (finalFraction - 1) * Self.progress(step, from: total - decay, to: total))
        case .oneCycle(let riseFraction, let startDivisor, let endDivisor):
            let start: Double = 1 / startDivisor
            let peak: Double = riseFraction * Double(total) - 1
            let last: Double = Double(total - 1)
            if Double(step) <= peak { return Self.cosine(from: start, to: 1, Double(step) / peak) }
            return Self.cosine(from: 1, to: start / endDivisor, min(1, (Double(step) - peak) / (last - peak)))
        case .inverseSquareRoot(let warmUp):
            let count: Double = Double(step + 1)
            return min(count / Double(warmUp), (Double(warmUp) / count).squareRoot())
        }
    }

    /// Checks the settings against the length of a run.
    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public func validate(total: Int) throws {
        let requirement: Requirement = Requirement("schedule")
        switch self {
        case .constant:
            break
        case .warmUpCosine(let warmUp, let finalFraction), .warmUpLinear(let warmUp, let finalFraction):
            try requirement.check((0..<max(total, 1)).contains(warmUp), "warmUp", warmUp, "has to lie in 0 ..< \(total), the run's steps")
            try requirement.fraction(finalFraction, "finalFraction")
        case .warmUpStableDecay(let warmUp, let decay, let finalFraction):
            try requirement.check((0..<max(total, 1)).contains(warmUp), "warmUp", warmUp, "has to lie in 0 ..< \(total), the run's steps")
            try requirement.check(
                (0...max(total - warmUp, 0)).contains(decay), "decay", decay,
                "has to lie in 0 ... \(total - warmUp), the steps after the warm-up")
            try requirement.fraction(finalFraction, "finalFraction")
        case .oneCycle(let riseFraction, let startDivisor, let endDivisor):
            try requirement.check(
                riseFraction * Double(total) > 1 && riseFraction < 1, "riseFraction", riseFraction,
                "has to be below 1 and give the rise more than one of the run's \(total) steps")
            try requirement.check(startDivisor >= 1 && startDivisor.isFinite, "startDivisor", startDivisor, "has to be at least 1")
            try requirement.check(endDivisor >= 1 && endDivisor.isFinite, "endDivisor", endDivisor, "has to be at least 1")
        case .inverseSquareRoot(let warmUp):
            try requirement.positive(warmUp, "warmUp")
        }
    }

    /// The warm-up's factor, nil after it.
    private static func rising(_ step: Int, _ warmUp: Int) -> Double? {
        step < warmUp ? Double(step + 1) / Double(warmUp + 1) : nil
    }

    /// How far the step is on its way, in `0 ... 1`.
    private static func progress(_ step: Int, from start: Int, to end: Int) -> Double {
        end <= start ? 1 : min(1, Double(step - start) / Double(end - start))
    }

    private static func cosine(from start: Double, to end: Double, _ progress: Double) -> Double {
        end + (start - end) * (1 + cos(.pi * progress)) / 2
    }
}
