import Foundation
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct GaussianDiffusionTests {
    private let diffusion: GaussianDiffusion = GaussianDiffusion()

    private func normal(_ shape: [Int], seed: UInt64) -> Tensor {
        .normal(shape, dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    @Test func theLinearSchedule() {
        #expect(diffusion.count == 1000)
        #expect(abs(diffusion.betas[0] - 1e-4) < 1e-15 && abs(diffusion.betas[999] - 0.02) < 1e-15)
        #expect(abs(diffusion.betas[500] - (1e-4 + 0.0199 * 500 / 999)) < 1e-15)
        let shorter: GaussianDiffusion = GaussianDiffusion(steps: 100)
        #expect(abs(log(shorter.cumulativeAlphas[99]) / log(diffusion.cumulativeAlphas[999]) - 1) < 0.1)
        #expect(GaussianDiffusion(steps: GaussianDiffusion.fewestSteps).betas.allSatisfy { $0 > 0 && $0 < 1 })
    }

    /// The posterior of `x_{t−1}` is the product of two normals: `N(√ᾱ_{t−1} x_0, 1 − ᾱ_{t−1})` and what `x_t` says about it.
    @Test func thePosteriorIsBayes() {
        let (clean, noisy): (Tensor, Tensor) = (normal([3, 1, 2, 2], seed: 1), normal([3, 1, 2, 2], seed: 2))
        let steps: [Int] = [1, 400, 999]
        let (mean, logVariance) = diffusion.qPosterior(clean: clean, noisy: noisy, steps: Tensor(steps))
        for (row, t) in steps.enumerated() {
            let (beta, before): (Double, Double) = (diffusion.betas[t], diffusion.cumulativeAlphas[t - 1])
            let (prior, likelihood): (Double, Double) = (1 / (1 - before), (1 - beta) / beta)
            let variance: Double = 1 / (prior + likelihood)
            let expected: Tensor =
                (clean[row] * (before.squareRoot() * prior) + noisy[row] * ((1 - beta).squareRoot() / beta)) * variance
            #expect(relativeError(mean[row], expected) < 1e-9)
            #expect(abs(diffusion.posteriorVariances[t] / variance - 1) < 1e-9)
            #expect(abs(logVariance[row].item(Double.self) - log(variance)) < 1e-9)
        }
        // At step 0 the posterior is the clean image itself.
        #expect(relativeError(diffusion.qPosterior(clean: clean, noisy: noisy, steps: Tensor([0, 0, 0])).mean, clean) < 1e-12)
    }

    @Test func theVarianceLiesBetweenItsBounds() {
        let steps: Tensor = Tensor([1, 10, 500, 999])
        func logVariance(_ v: Double) -> [Double] {
            diffusion.logVariance(.full([4, 1, 1, 1], v, dtype: .float64), steps: steps).array()
        }
        for (row, t) in [1, 10, 500, 999].enumerated() {
            let (low, high): (Double, Double) = (log(diffusion.posteriorVariances[t]), log(diffusion.betas[t]))
            #expect(abs(logVariance(-1)[row] - low) < 1e-12 && abs(logVariance(1)[row] - high) < 1e-12)
            for v in [-0.9, -0.3, 0, 0.4, 0.95] { #expect(logVariance(v)[row] > low && logVariance(v)[row] < high) }
        }
    }

    @Test func theTrueNoiseGivesTheCleanImageBack() {
        let (clean, noise): (Tensor, Tensor) = (normal([3, 2, 4, 4], seed: 3), normal([3, 2, 4, 4], seed: 4))
        let steps: Tensor = Tensor([0, 123, 999])
        let noisy: Tensor = diffusion.qSample(clean, steps: steps, noise: noise)
        let reverse = diffusion.pMeanVariance(NoisePrediction(noise: noise, variance: noise * 0), noisy: noisy, steps: steps)
        #expect(relativeError(reverse.clean, clean) < 1e-9)
        #expect(relativeError(reverse.mean, diffusion.qPosterior(clean: clean, noisy: noisy, steps: steps).mean) < 1e-9)
        let clipped = diffusion.pMeanVariance(
            NoisePrediction(noise: noise, variance: noise * 0), noisy: noisy, steps: steps, clips: true)
        #expect(relativeError(clipped.clean, clean.clamped(-1, 1)) < 1e-9)
    }

    @Test func respacedStepsEndInTheSameNoise() {
        let few: GaussianDiffusion = diffusion.respaced(50)
        #expect(few.count == 50 && few.modelSteps.first == 0 && few.modelSteps.last == 999)
        #expect(Set(few.modelSteps).count == 50 && few.modelSteps == few.modelSteps.sorted())
        for (step, original) in few.modelSteps.enumerated() {
            #expect(abs(few.cumulativeAlphas[step] / diffusion.cumulativeAlphas[original] - 1) < 1e-12)
        }
        #expect(diffusion.respaced(1000).betas.elementsEqual(diffusion.betas) { abs($0 - $1) < 1e-12 })
    }

    // MARK: Losses

    @Test func aPerfectPredictionLosesNothingAfterTheFirstStep() {
        let (clean, noise): (Tensor, Tensor) = (normal([2, 1, 3, 3], seed: 5).clamped(-1, 1), normal([2, 1, 3, 3], seed: 6))
        let steps: Tensor = Tensor([1, 700])
        let noisy: Tensor = diffusion.qSample(clean, steps: steps, noise: noise)
        let losses: DiffusionLosses = diffusion.trainingLosses(
            NoisePrediction(noise: noise, variance: noise.onesLike() * -1), clean: clean, noisy: noisy, noise: noise, steps: steps)
        #expect(losses.simple.abs().max().item(Double.self) < 1e-20)
        #expect(losses.variational.abs().max().item(Double.self) < 1e-10)
    }

    /// The divergence against numerical integration, and the likelihood of all 256 levels against 1.
    @Test func divergenceAndLikelihood() {
        let (mean, other): ((Double, Double), (Double, Double)) = ((0.3, -1.2), (-0.4, -0.5))
        func density(_ x: Double, _ p: (mean: Double, logVariance: Double)) -> Double {
            exp(-(x - p.mean) * (x - p.mean) / (2 * exp(p.logVariance))) / (2 * Double.pi * exp(p.logVariance)).squareRoot()
        }
        let width: Double = 1e-3
        let integral: Double = (-8000...8000).reduce(0) { sum, place in
            let x: Double = Double(place) * width
            let (p, q): (Double, Double) = (density(x, mean), density(x, other))
            return p < 1e-300 ? sum : sum + p * log(p / q) * width
        }
        func scalar(_ value: Double) -> Tensor { Tensor([value]) }
        let found: Double = normalDivergence(scalar(mean.0), scalar(mean.1), from: scalar(other.0), scalar(other.1)).item()
        #expect(abs(found - integral) < 1e-6)
        let levels: Tensor = Tensor.arange(256, dtype: .float64) / 127.5 - 1
        let total: Tensor = discretizedLogLikelihood(
            levels, mean: .full([256], 0.13, dtype: .float64), logDeviation: .full([256], -1.5, dtype: .float64)
        ).exp().sum()
        #expect(abs(total.item(Double.self) - 1) < 1e-9)
    }

    @Test func theVariationalTermTrainsTheVarianceOnly() throws {
        let (clean, noise): (Tensor, Tensor) = (normal([3, 1, 2, 2], seed: 7).clamped(-1, 1), normal([3, 1, 2, 2], seed: 8))
        let steps: Tensor = Tensor([0, 5, 800])
        let noisy: Tensor = diffusion.qSample(clean, steps: steps, noise: noise)
        let (guess, v): (Tensor, Tensor) = ((noise * 0.9).requiringGrad(), normal([3, 1, 2, 2], seed: 9).requiringGrad())
        let losses: DiffusionLosses = diffusion.trainingLosses(
            NoisePrediction(noise: guess, variance: v), clean: clean, noisy: noisy, noise: noise, steps: steps)
        let found: [Tensor] = gradients(of: [losses.total], withRespectTo: [guess, v])
        #expect(relativeError(found[0], (guess.detached() - noise) * (2 / 12.0)) < 1e-12)
        #expect(found[1].abs().min().item(Double.self) > 0)
        try gradientCheck([v.detached()]) { inputs in
            [
                diffusion.variationalTerm(
                    NoisePrediction(noise: guess.detached(), variance: inputs[0]), clean: clean, noisy: noisy, steps: steps)
            ]
        }
    }

    // MARK: Sampling

    /// A model that knows the image draws the image, whatever noise it starts from.
    @Test func samplingFollowsTheModel() {
        let few: GaussianDiffusion = diffusion.respaced(10)
        let clean: Tensor = normal([2, 1, 4, 4], seed: 10).clamped(-0.9, 0.9).asType(.float32)
        var seen: [Int] = []
        let knowing: Denoiser = { noisy, steps, _ in
            let step: Int = steps[0].item(Int.self)
            seen.append(step)
            let alpha: Double = diffusion.cumulativeAlphas[step]
            return NoisePrediction(
                noise: (noisy - clean * alpha.squareRoot()) / (1 - alpha).squareRoot(), variance: noisy.zerosLike())
        }
        let drawn: Tensor = few.sample(knowing, labels: Tensor([0, 1]), imageShape: [1, 4, 4])
        #expect((drawn - clean).abs().max().item(Double.self) < 1e-4)
        #expect(seen == few.modelSteps.reversed())
        var calls: Int = 0
        _ = few.sample(knowing, labels: Tensor([0, 1]), imageShape: [1, 4, 4]) { done in
            calls = done
            return done < 3
        }
        #expect(calls == 3)
    }

    @Test func guidanceMovesAwayFromTheUnconditional() {
        let denoiser: Denoiser = { noisy, _, labels in
            let value: Tensor = labels.asType(.float64).reshaped(labels.dim(0), 1, 1, 1)
            return NoisePrediction(noise: noisy * 0 + value, variance: noisy * 0 + value)
        }
        let (noisy, steps, labels): (Tensor, Tensor, Tensor) = (normal([2, 1, 2, 2], seed: 11), Tensor([3, 3]), Tensor([1, 4]))
        func noise(_ scale: Double) -> [Double] {
            let prediction: NoisePrediction = guided(denoiser, scale: scale, nullClass: 10)(noisy, steps, labels)
            return prediction.noise.mean(axes: [1, 2, 3]).array()
        }
        #expect(noise(1) == [1.0, 4.0])
        #expect(noise(0) == [10.0, 10.0])
        // 10 + 3 (1 − 10) and 10 + 3 (4 − 10).
        #expect(noise(3) == [-17.0, -8.0])
        let variance: Tensor = guided(denoiser, scale: 3, nullClass: 10)(noisy, steps, labels).variance
        #expect(variance[1].mean().item(Double.self) == 4)
    }
}
