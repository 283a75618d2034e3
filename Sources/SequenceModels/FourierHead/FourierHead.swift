import NN
import Torch

/// The settings of a ``FourierHead`` beside its sizes.
public struct FourierHeadConfiguration: Codable, Sendable, Hashable {
    /// F: more fit finer structure, fewer give smoother densities. Below half of the bins.
    public var frequencies: Int
    /// Weight γ of the penalty on high frequencies.
    public var gamma: Double
    /// Whether the penalty takes `c_k / c_0`. The paper's release takes `c_k`, which a model lowers by shrinking all amplitudes as well.
    public var normalizedPenalty: Bool

    public init(frequencies: Int, gamma: Double = 0, normalizedPenalty: Bool = false) {
        self.frequencies = frequencies
        self.gamma = gamma
        self.normalizedPenalty = normalizedPenalty
    }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    func validate(bins: Int) throws {
        if frequencies < 0 || 2 * frequencies >= bins {
            throw ConfigurationError(
                "model.fourierHead.frequencies is \(frequencies); it has to be at least 0 and below half of the \(bins) bins")
        }
        if !(gamma >= 0 && gamma.isFinite) {
            throw ConfigurationError("model.fourierHead.gamma is \(gamma); it has to be at least 0 and finite")
        }
    }
}

/// A linear layer whose outputs are the amplitudes of a ``FourierDensity``: what the heads share.
///
/// Its checkpoint name is the release's, `fc_extract_autocorrelation_params`.
public class FourierProjection: Module {
    /// D to the F + 1 real parts and then the F + 1 imaginary parts.
    @ModuleInfo(key: "fc_extract_autocorrelation_params") public var projection: Linear
    public let configuration: FourierHeadConfiguration
    /// Of the latest density.
    private var roughness: Tensor?

    /// Weights and biases start as a linear layer's, divided by 100. Traps for a negative number of frequencies.
    init(_ dimensions: Int, _ configuration: FourierHeadConfiguration, generator: RandomGenerator?) {
        precondition(configuration.frequencies >= 0, "a Fourier head with \(configuration.frequencies) frequencies")
        self.configuration = configuration
        super.init()
        projection = Linear(dimensions, 2 * (configuration.frequencies + 1), generator: generator)
        noGrad { for parameter in projection.parameters() { parameter.multiply_(0.01) } }
    }

    /// The densities of hidden states `[..., D]`, in float32 at least.
    public func density(_ hidden: Tensor) -> FourierDensity {
        let outputs: Tensor = projection(hidden)
        let parts: Tensor = outputs.dtype.byteCount == 2 ? outputs.asType(.float32) : outputs
        let count: Int = configuration.frequencies + 1
        let pairs: [Tensor] = [0, count].map { parts.narrowed(axis: -1, start: $0, length: count) }
        let density: FourierDensity = FourierDensity(amplitudes: stacked(pairs, axis: -1).viewAsComplex())
        roughness = configuration.gamma == 0 ? nil : density.roughness(normalized: configuration.normalizedPenalty).mean()
        return density
    }

    /// γ times the mean roughness of the latest densities, to be added to the loss; nil where γ is 0, and before the first call.
    public var regularization: Tensor? { roughness.map { $0 * configuration.gamma } }

    /// ``regularization``, which is then forgotten with the graph it holds; nil while nothing is trained.
    func takeRegularization() -> Tensor? {
        defer { roughness = nil }
        return isTraining ? regularization : nil
    }
}

/// A head for categories that are bins of a quantity: probabilities from a density with F frequencies, in place of a linear layer (Gillman et al.,
/// 2024, *Fourier Head*, algorithm 1). It has `2 (F + 1) (D + 1)` parameters.
public final class FourierHead: FourierProjection, UnaryLayer {
    /// m: equal bins of [−1, 1].
    public let bins: Int

    /// Traps unless `frequencies` is at least 0 and below half of the bins.
    /// - Parameters:
    ///   - dim: D of the hidden states.
    ///   - bins: m, the number of categories.
    ///   - frequencies: F.
    ///   - gamma: weight of the penalty.
    ///   - normalizedPenalty: as in ``FourierHeadConfiguration``.
    ///   - generator: of the first weights; nil takes the shared one.
    public convenience init(
        dim: Int, bins: Int, frequencies: Int, gamma: Double = 0, normalizedPenalty: Bool = false, generator: RandomGenerator? = nil
    ) {
        self.init(
            dim, bins: bins,
            configuration: FourierHeadConfiguration(frequencies: frequencies, gamma: gamma, normalizedPenalty: normalizedPenalty),
            generator: generator)
    }

    /// As ``init(dim:bins:frequencies:gamma:normalizedPenalty:generator:)``, with the settings together.
    public init(_ dimensions: Int, bins: Int, configuration: FourierHeadConfiguration, generator: RandomGenerator? = nil) {
        precondition(
            2 * configuration.frequencies < bins, "\(configuration.frequencies) frequencies need more than twice as many bins, not \(bins)")
        self.bins = bins
        super.init(dimensions, configuration, generator: generator)
    }

    /// Logits `log(y + 1e-5)` of the bins' probabilities y, `[..., D]` to `[..., m]`. Their softmax is y up to the floor.
    public func callAsFunction(_ hidden: Tensor) -> Tensor { (density(hidden).probabilities(bins: bins) + 1e-5).log() }
}

extension FourierHead: HasAuxiliaryLoss {
    public static func takeAuxiliaryLoss(of modules: [FourierHead]) -> Tensor? {
        modules.compactMap { $0.takeRegularization() }.reduce(nil) { ($0 as Tensor?)?.adding($1) ?? $1 }
    }
}

/// A head for a quantity in [−1, 1] itself: a density with F frequencies, trained by its likelihood.
public final class FourierHeadMLE: FourierProjection {
    /// - Parameters:
    ///   - dim: D of the hidden states.
    ///   - frequencies: F, at least 0 (traps otherwise).
    ///   - gamma: weight of the penalty.
    ///   - normalizedPenalty: as in ``FourierHeadConfiguration``.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(dim: Int, frequencies: Int, gamma: Double = 0, normalizedPenalty: Bool = false, generator: RandomGenerator? = nil) {
        super.init(
            dim, FourierHeadConfiguration(frequencies: frequencies, gamma: gamma, normalizedPenalty: normalizedPenalty),
            generator: generator)
    }

    /// The densities of hidden states `[..., D]`.
    public func callAsFunction(_ hidden: Tensor) -> FourierDensity { density(hidden) }

    /// Mean of `−log p(z)` over all places, with the penalty.
    /// - Parameters:
    ///   - hidden: `[..., D]`.
    ///   - z: `[...]`, in [−1, 1].
    public func loss(_ hidden: Tensor, _ z: Tensor) -> Tensor {
        let likelihood: Tensor = density(hidden).logPDF(z.expandedDimensions(axis: -1))
        return regularization.map { $0 - likelihood.mean() } ?? -likelihood.mean()
    }
}
