import NN
import Torch

/// A model of noise: noisy images `[B, C, H, W]`, steps `[B]` and labels `[B]` to a prediction.
public typealias Denoiser = (_ noisy: Tensor, _ steps: Tensor, _ labels: Tensor) -> NoisePrediction

extension GaussianDiffusion {
    /// Draws images by the reverse steps, from noise to step 0 (ancestral sampling).
    /// - Parameters:
    ///   - denoiser: called with the steps that it was trained with.
    ///   - labels: one for each image, `[B]`.
    ///   - imageShape: `[C, H, W]`.
    ///   - generator: of the noise; nil takes the shared one.
    ///   - proceed: told the steps done after each; false ends early, with what there is.
    /// - Returns: images `[B, C, H, W]` in −1 ... 1, apart from the last step's rounding.
    public func sample(
        _ denoiser: Denoiser, labels: Tensor, imageShape: [Int], generator: RandomGenerator? = nil, proceed: (Int) -> Bool = { _ in true }
    ) -> Tensor {
        noGrad {
            let shape: [Int] = [labels.dim(0)] + imageShape
            var x: Tensor = .normal(shape, device: labels.device, generator: generator)
            for step in (0..<count).reversed() {
                let steps: Tensor = .full([shape[0]], step, dtype: .int64, device: labels.device)
                let modelSteps: Tensor = .full([shape[0]], modelSteps[step], dtype: .int64, device: labels.device)
                let reverse: ReverseStep = pMeanVariance(denoiser(x, modelSteps, labels), noisy: x, steps: steps, clips: true)
                x = reverse.mean
                if step > 0 {
                    x = x + (reverse.logVariance * 0.5).exp() * .normal(shape, device: labels.device, generator: generator)
                }
                if !proceed(count - step) { break }
            }
            return x
        }
    }
}

/// Classifier-free guidance: the noise `ε_u + s (ε_c − ε_u)` of a model with and without the label; the variance is the conditional one's.
/// With s = 1 this is the conditional model, which is then called alone.
///
/// Source: Ho and Salimans, 2022 (arXiv 2207.12598).
public func guided(_ denoiser: @escaping Denoiser, scale: Double, nullClass: Int) -> Denoiser {
    if scale == 1 { return denoiser }
    return { noisy, steps, labels in
        let nothing: Tensor = .full(labels.shape, nullClass, dtype: .int64, device: labels.device)
        let both: NoisePrediction = denoiser(
            concatenated([noisy, noisy]), concatenated([steps, steps]), concatenated([labels, nothing]))
        let noises: [Tensor] = both.noise.split(size: noisy.dim(0))
        let variances: [Tensor] = both.variance.split(size: noisy.dim(0))
        return NoisePrediction(noise: noises[1] + (noises[0] - noises[1]) * scale, variance: variances[0])
    }
}

extension DiT {
    /// Draws images with these labels, in evaluation mode.
    /// - Parameters:
    ///   - labels: one for each image; the null class is none.
    ///   - steps: reverse steps, of the T that the model was trained with. Traps unless there are 2 ... T.
    ///   - guidance: scale of classifier-free guidance; 1 is none.
    ///   - generator: of the noise, on the model's device; nil takes the shared one.
    ///   - proceed: told the steps done after each; false ends early, with what there is.
    /// - Returns: images `[B, C, H, W]` in −1 ... 1.
    public func sample(
        labels: [Int], steps: Int = 50, guidance: Double = 1, generator: RandomGenerator? = nil, proceed: (Int) -> Bool = { _ in true }
    ) -> Tensor {
        let wasTraining: Bool = isTraining
        train(false)
        defer { train(wasTraining) }
        let c: DiTConfiguration = configuration
        let diffusion: GaussianDiffusion = GaussianDiffusion(steps: c.diffusionSteps).respaced(steps)
        let denoiser: Denoiser = guided({ self($0, steps: $1, labels: $2) }, scale: guidance, nullClass: c.nullClass)
        return diffusion.sample(
            denoiser, labels: Tensor(labels, device: device), imageShape: [c.channels, c.imageSize, c.imageSize], generator: generator,
            proceed: proceed
        ).clamped(-1, 1)
    }
}
