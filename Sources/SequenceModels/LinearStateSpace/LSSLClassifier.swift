import NN
import Torch

/// A deep LSSL for whole sequences: encoder, residual blocks with layer normalisation, mean over time, linear head.
public final class LSSLClassifier: Module {
    /// Where a block normalises.
    public enum Normalization: String, Codable, Sendable, CaseIterable {
        /// `x + layer(norm(x))`
        case pre
        /// `norm(x + layer(x))`
        case post
    }

    public let encoder: Linear
    public let layers: [LSSL]
    public let norms: [LayerNorm]
    /// After the last block of a pre-norm model.
    public let finalNorm: LayerNorm?
    public let head: Linear
    private let pool: MeanPool = MeanPool()
    public let normalization: Normalization

    /// - Parameters:
    ///   - inputDimensions: D of the input.
    ///   - layer: the settings of every layer; its `features` are the model's width.
    ///   - matrices: A and B in place of the measure's, as in ``LSSL``.
    public init(
        _ inputDimensions: Int, classes: Int, layers count: Int, layer: LSSLConfiguration, normalization: Normalization = .pre,
        matrices: (A: Tensor, B: Tensor)? = nil, generator: RandomGenerator? = nil
    ) {
        encoder = Linear(inputDimensions, layer.features, generator: generator)
        layers = (0..<count).map { _ in LSSL(layer, matrices: matrices, generator: generator) }
        norms = (0..<count).map { _ in LayerNorm(layer.features) }
        finalNorm = normalization == .pre ? LayerNorm(layer.features) : nil
        head = Linear(layer.features, classes, generator: generator)
        self.normalization = normalization
        super.init()
    }

    /// Factor on all steps Δ, as ``LSSL/rate``.
    public var rate: Double {
        get { layers.first?.rate ?? 1 }
        set { for layer in layers { layer.rate = newValue } }
    }

    /// Logits `[B, classes]`.
    /// - Parameters:
    ///   - x: `[B, T, D]`.
    ///   - mask: `[B, T]`, 1 for real steps.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil) -> Tensor {
        var hidden: Tensor = encoder(x)
        for (layer, norm) in zip(layers, norms) {
            hidden = normalization == .pre ? hidden + layer(norm(hidden), mask: mask) : norm(hidden + layer(hidden, mask: mask))
        }
        if let finalNorm { hidden = finalNorm(hidden) }
        return head(mask.map { pool(hidden, mask: $0) } ?? pool(hidden))
    }
}
