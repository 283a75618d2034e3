import Foundation
import Optim
import TestSupport
import Torch

/// Parameters of several shapes with seeded elements, and gradients that depend on the parameters and the step.
struct ToyProblem {
    let parameters: [Tensor]
    static let names: [String] = ["weight", "bias", "kernel"]
    private static let shapes: [[Int]] = [[5, 4], [5], [2, 3, 4]]

    init(dtype: DType = .float64, seed: UInt64 = 7) {
        var generator: SeededGenerator = SeededGenerator(seed: seed)
        parameters = Self.shapes.map { shape in
            let elements: [Double] = (0..<shape.reduce(1, *)).map { _ in Double.random(in: -2...2, using: &generator) }
            return Tensor(elements, shape, dtype: dtype, device: .cpu)
        }
    }

    /// `sin(3 p + step)`: bounded, smooth and never all zero.
    func gradients(step: Int) -> [Tensor] { parameters.map { ($0 * 3 + Double(step)).sin() } }

    func train(_ optimizer: any Optimizer, steps: Range<Int>) {
        for step in steps { optimizer.step(gradients(step: step)) }
    }
}

/// One of each optimizer with its options switched on.
let everyOptimizer: [OptimizerConfiguration] = {
    let made: [OptimizerConfiguration]? = try? [
        .sgd(SGDConfiguration(momentum: 0.9, nesterov: true, weightDecay: 0.1)), .sgd(SGDConfiguration(momentum: 0.8, dampening: 0.2)),
        .sgd(SGDConfiguration()),
        .adam(AdamConfiguration(weightDecay: 0.1)), .adamw(AdamWConfiguration()), .adamw(AdamWConfiguration(amsgrad: true)),
        .adafactor(AdafactorConfiguration()), .adafactor(AdafactorConfiguration(beta1: 0.9, weightDecay: 0.1)),
        .lion(LionConfiguration(learningRate: 1e-2, weightDecay: 0.1)),
        .rmsprop(RMSpropConfiguration(momentum: 0.5, centered: true)), .adagrad(AdagradConfiguration(initialAccumulator: 0.1)),
        .kar(.kar2(learningRate: 1e-2)), .kar(KarConfiguration(learningRate: 1e-2, weightDecay: 0.1)),
        .galore(GaLoreConfiguration(weightDecay: 0.1, rank: 2, updateGap: 3)),
        .galore(GaLoreConfiguration(rank: 2, updateGap: 2, projection: .full, projector: .dct, residual: .scaled)),
        .dctAdamW(DCTAdamWConfiguration(learningRate: 1e-2, weightDecay: 0.1, rank: 2, errorFeedback: .full)),
        .dctAdamW(DCTAdamWConfiguration(learningRate: 1e-2, rank: 1, updateGap: 2, errorFeedback: .bits4, method: .makhoul)),
        .trion(TrionConfiguration(weightDecay: 0.1, rank: 2)),
        .lamb(LAMBConfiguration(learningRate: 1e-2, highestNorm: 10)),
        .lamb(LAMBConfiguration(biasCorrection: false, excludesVectors: false)),
        .lars(LARSConfiguration(weightDecay: 0.1)), .lars(LARSConfiguration(trustCoefficient: 0.02, excludesVectors: false)),
    ]
    return made ?? []
}()

/// All elements of all parameters.
func elements(_ tensors: [Tensor]) -> [Double] { tensors.flatMap { $0.array(Double.self) } }

/// The largest difference, infinite where the lengths differ or one is NaN.
func largestDifference(_ left: [Double], _ right: [Double]) -> Double {
    if left.count != right.count { return .infinity }
    let differences: [Double] = zip(left, right).map { abs($0 - $1) }
    return differences.contains { !$0.isFinite } ? .infinity : differences.max() ?? .infinity
}
