import Foundation
import Torch

/// A Gaussian diffusion: T steps that turn an image into noise, `x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε`, and the reverse steps that a model of ε and
/// of their variance gives.
///
/// Sources: Ho et al., 2020 (arXiv 2006.11239), equations 4–12; Nichol and Dhariwal, 2021 (arXiv 2102.09672), section 3.
public struct GaussianDiffusion: Sendable {
    /// The linear schedule cannot be shorter: its last β would pass 1.
    public static let fewestSteps: Int = 21

    /// β_t, the share of noise that step t adds.
    public let betas: [Double]
    /// ᾱ_t, the product of 1 − β up to and with t.
    public let cumulativeAlphas: [Double]
    /// β̃_t, the variance of `x_{t−1}` given `x_t` and `x_0`.
    public let posteriorVariances: [Double]
    /// The step that the model was trained with for each step here; they differ in a respaced diffusion.
    public let modelSteps: [Int]
    /// Number of steps of the diffusion that the model was trained with.
    public let trainedSteps: Int

    /// Steps, T.
    public var count: Int { betas.count }

    /// The linear schedule from 1e-4 to 0.02, for T other than 1000 scaled so that as much noise is added in all.
    /// - Parameter steps: T. Traps below ``fewestSteps``.
    public init(steps: Int = 1000) {
        precondition(steps >= Self.fewestSteps, "a diffusion of \(steps) steps; the linear schedule needs at least \(Self.fewestSteps)")
        let (first, last): (Double, Double) = (0.1 / Double(steps), 20 / Double(steps))
        let betas: [Double] = (0..<steps).map { first + (last - first) * Double($0) / Double(steps - 1) }
        self.init(betas: betas, modelSteps: Array(0..<steps), trainedSteps: steps)
    }

    private init(betas: [Double], modelSteps: [Int], trainedSteps: Int) {
        self.betas = betas
        self.modelSteps = modelSteps
        self.trainedSteps = trainedSteps
        var product: Double = 1
        var (products, variances): ([Double], [Double]) = ([], [])
        for beta in betas {
            let before: Double = product
            product *= 1 - beta
            products.append(product)
            variances.append(beta * (1 - before) / (1 - product))
        }
        cumulativeAlphas = products
        posteriorVariances = variances
    }

    /// A diffusion of `steps` of this one's steps, evenly spaced with the first and the last among them, which ends in the same noise.
    /// Traps unless there are 2 ... T.
    public func respaced(_ steps: Int) -> GaussianDiffusion {
        precondition((2...count).contains(steps), "\(steps) of \(count) steps; there have to be at least 2")
        let stride: Double = Double(count - 1) / Double(steps - 1)
        let kept: [Int] = (0..<steps).map { Int((Double($0) * stride).rounded()) }
        var before: Double = 1
        let betas: [Double] = kept.map { step in
            defer { before = cumulativeAlphas[step] }
            return 1 - cumulativeAlphas[step] / before
        }
        return GaussianDiffusion(betas: betas, modelSteps: kept.map { modelSteps[$0] }, trainedSteps: trainedSteps)
    }

    // MARK: Forward

    /// `x_t` from `x_0` and noise, `[B, C, H, W]` each, at the steps `[B]`.
    public func qSample(_ clean: Tensor, steps: Tensor, noise: Tensor) -> Tensor {
        coefficient(steps, like: clean) { cumulativeAlphas[$0].squareRoot() } * clean
            + coefficient(steps, like: clean) { (1 - cumulativeAlphas[$0]).squareRoot() } * noise
    }

    /// Mean and logarithm of the variance of `x_{t−1}` given `x_t` and `x_0`. The variance of the first step is 0; there the second's
    /// logarithm stands for it.
    public func qPosterior(clean: Tensor, noisy: Tensor, steps: Tensor) -> (mean: Tensor, logVariance: Tensor) {
        let mean: Tensor =
            coefficient(steps, like: noisy) { cleanShare($0) } * clean + coefficient(steps, like: noisy) { noisyShare($0) } * noisy
        return (mean, coefficient(steps, like: noisy) { logPosteriorVariance($0) })
    }

    func cleanShare(_ step: Int) -> Double { previousAlpha(step).squareRoot() * betas[step] / (1 - cumulativeAlphas[step]) }

    func noisyShare(_ step: Int) -> Double {
        (1 - betas[step]).squareRoot() * (1 - previousAlpha(step)) / (1 - cumulativeAlphas[step])
    }

    private func previousAlpha(_ step: Int) -> Double { step == 0 ? 1 : cumulativeAlphas[step - 1] }

    func logPosteriorVariance(_ step: Int) -> Double { log(posteriorVariances[max(step, 1)]) }

    // MARK: Reverse

    /// What a prediction says about `x_{t−1}`.
    public struct ReverseStep {
        public let mean: Tensor
        public let logVariance: Tensor
        /// The clean image that the noise implies.
        public let clean: Tensor
    }

    /// The reverse step that a prediction gives, at the steps `[B]`.
    /// - Parameters:
    ///   - prediction: noise and v for `noisy`.
    ///   - noisy: `x_t`, `[B, C, H, W]`.
    ///   - steps: `[B]`.
    ///   - clips: brings the clean image into −1 ... 1 first, as sampling does.
    public func pMeanVariance(_ prediction: NoisePrediction, noisy: Tensor, steps: Tensor, clips: Bool = false) -> ReverseStep {
        let scale: Tensor = coefficient(steps, like: noisy) { 1 / cumulativeAlphas[$0].squareRoot() }
        let share: Tensor = coefficient(steps, like: noisy) { (1 / cumulativeAlphas[$0] - 1).squareRoot() }
        let implied: Tensor = scale * noisy - share * prediction.noise
        let clean: Tensor = clips ? implied.clamped(-1, 1) : implied
        return ReverseStep(
            mean: qPosterior(clean: clean, noisy: noisy, steps: steps).mean, logVariance: logVariance(prediction.variance, steps: steps),
            clean: clean)
    }

    /// `u log β_t + (1 − u) log β̃_t` with `u = (v + 1) / 2`: between the bounds of the reverse variance for v in −1 ... 1.
    public func logVariance(_ v: Tensor, steps: Tensor) -> Tensor {
        let highest: Tensor = coefficient(steps, like: v) { log(betas[$0]) }
        let lowest: Tensor = coefficient(steps, like: v) { logPosteriorVariance($0) }
        let u: Tensor = (v + 1) * 0.5
        return u * highest + (1 - u) * lowest
    }

    /// A number for each row, chosen by its step and shaped to broadcast over `[B, C, H, W]`.
    func coefficient(_ steps: Tensor, like x: Tensor, _ value: (Int) -> Double) -> Tensor {
        let values: [Double] = steps.array(Int.self).map(value)
        return Tensor(values, [values.count] + Array(repeating: 1, count: x.ndim - 1), dtype: x.dtype, device: x.device)
    }
}
