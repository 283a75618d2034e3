import Foundation
import Torch

/// The training losses of a batch, a number for each image, `[B]`.
public struct DiffusionLosses {
    /// Mean squared error of the noise.
    public let simple: Tensor
    /// Bits per pixel of the variational bound's term at the step, over T when the step is drawn uniformly; trains the variance alone.
    public let variational: Tensor

    /// Mean over the batch of the sum of both.
    public var total: Tensor { (simple + variational).mean() }
}

extension GaussianDiffusion {
    /// `L_simple + L_vlb` of a prediction. The variational term sees the noise detached, so that it trains the variance only, and is scaled
    /// by T / 1000.
    ///
    /// Source: Nichol and Dhariwal, 2021, equation 16.
    /// - Parameters:
    ///   - prediction: noise and v for `noisy`.
    ///   - clean: `x_0`, `[B, C, H, W]` in −1 ... 1.
    ///   - noisy: `x_t`.
    ///   - noise: what was added.
    ///   - steps: `[B]`.
    public func trainingLosses(
        _ prediction: NoisePrediction, clean: Tensor, noisy: Tensor, noise: Tensor, steps: Tensor
    ) -> DiffusionLosses {
        let detached: NoisePrediction = NoisePrediction(noise: prediction.noise.detached(), variance: prediction.variance)
        return DiffusionLosses(
            simple: imageMean((prediction.noise - noise).square()),
            variational: variationalTerm(detached, clean: clean, noisy: noisy, steps: steps) * (Double(count) / 1000))
    }

    /// The variational bound's term at each row's step, in bits per pixel, `[B]`: the divergence of the predicted reverse step from the
    /// posterior, and at step 0 the negative log-likelihood of the image in 256 levels.
    public func variationalTerm(_ prediction: NoisePrediction, clean: Tensor, noisy: Tensor, steps: Tensor) -> Tensor {
        let reverse: ReverseStep = pMeanVariance(prediction, noisy: noisy, steps: steps)
        let (mean, logVariance) = qPosterior(clean: clean, noisy: noisy, steps: steps)
        let divergence: Tensor = imageMean(
            normalDivergence(mean, logVariance, from: reverse.mean, reverse.logVariance))
        let likelihood: Tensor = imageMean(
            discretizedLogLikelihood(clean, mean: reverse.mean, logDeviation: reverse.logVariance * 0.5))
        return which(steps .== 0, -likelihood, divergence) / log(2.0)
    }

    private func imageMean(_ x: Tensor) -> Tensor { x.mean(axes: Array(1..<x.ndim)) }
}

/// Kullback–Leibler divergence of `N(mean, exp(logVariance))` from another normal, element by element, in nats.
func normalDivergence(_ mean: Tensor, _ logVariance: Tensor, from otherMean: Tensor, _ otherLogVariance: Tensor) -> Tensor {
    let distance: Tensor = (mean - otherMean).square() * (-otherLogVariance).exp()
    return (otherLogVariance - logVariance + (logVariance - otherLogVariance).exp() + distance - 1) * 0.5
}

/// Logarithm of a normal's probability of the level that holds `x`, of 256 from −1 to 1; the outermost reach to infinity.
func discretizedLogLikelihood(_ x: Tensor, mean: Tensor, logDeviation: Tensor) -> Tensor {
    let centred: Tensor = x - mean
    let precision: Tensor = (-logDeviation).exp()
    func below(_ edge: Double) -> Tensor { (((centred + edge) * precision * 0.5.squareRoot()).erf() + 1) * 0.5 }
    let (upper, lower): (Tensor, Tensor) = (below(1 / 255), below(-1 / 255))
    let inner: Tensor = which(x .> 0.999, 1 - lower, upper - lower)
    return which(x .< -0.999, upper, inner).clamped(1e-12, nil).log()
}
