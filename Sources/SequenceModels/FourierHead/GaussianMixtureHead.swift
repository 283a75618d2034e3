import NN
import Torch

/// A head for bins of a quantity whose density is a mixture of K normal distributions on [−1, 1]: the Fourier head's baseline
/// (arXiv 2410.22269, section 5). It has `3 K (D + 1)` parameters.
public final class GaussianMixtureHead: Module, UnaryLayer {
    /// D to K means, K scales and K weights.
    @ModuleInfo public var projection: Linear
    public let bins: Int
    public let components: Int

    /// - Parameters:
    ///   - dim: D of the hidden states.
    ///   - bins: m equal bins of [−1, 1].
    ///   - components: K.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(dim: Int, bins: Int, components: Int, generator: RandomGenerator? = nil) {
        precondition(bins > 0 && components > 0, "a mixture head of \(components) components over \(bins) bins")
        self.bins = bins
        self.components = components
        super.init()
        projection = Linear(dim, 3 * components, generator: generator)
    }

    /// Logits `log(y + 1e-5)` of the bins' probabilities y, `[..., D]` to `[..., m]`: the mixture's mass in each bin, scaled to sum to 1.
    public func callAsFunction(_ hidden: Tensor) -> Tensor {
        let outputs: Tensor = projection(hidden).expandedDimensions(axis: -1)
        let parts: [Tensor] = outputs.split(size: components, axis: -2)
        // No component is narrower than a fifth of a bin; a narrower one has no gradient where it misses.
        let scales: Tensor = parts[1].softplus() + 0.4 / Double(bins)
        let edges: Tensor = .linspace(-1, 1, count: bins + 1, dtype: outputs.dtype, device: outputs.device)
        let below: Tensor = ((edges - parts[0].tanh()) / (scales * 2.0.squareRoot())).erf()
        let masses: Tensor = below.narrowed(axis: -1, start: 1, length: bins) - below.narrowed(axis: -1, start: 0, length: bins)
        let mixture: Tensor = (masses * parts[2].softmax(axis: -2)).sum(axis: -2)
        return (mixture / mixture.sum(axis: -1, keepDims: true) + 1e-5).log()
    }
}
