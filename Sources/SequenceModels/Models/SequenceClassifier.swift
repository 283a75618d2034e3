import NN
import Torch

/// The shape of a ``SequenceClassifier``.
public struct SequenceClassifierConfiguration: Codable, Sendable, Equatable {
    /// Channels of the input at each time.
    public var inputDimensions: Int
    public var classes: Int
    /// Width D of the residual stream.
    public var dimensions: Int
    public var layers: Int
    public var mixer: MixerConfiguration
    public var dropout: Double

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    public init(inputDimensions: Int, classes: Int, dimensions: Int, layers: Int, mixer: MixerConfiguration, dropout: Double = 0) throws {
        self.inputDimensions = inputDimensions
        self.classes = classes
        self.dimensions = dimensions
        self.layers = layers
        self.mixer = mixer
        self.dropout = dropout
        for (name, value) in [("inputDimensions", inputDimensions), ("dimensions", dimensions), ("layers", layers)] where value < 1 {
            throw ConfigurationError("model.\(name) is \(value); it has to be at least 1")
        }
        if classes < 2 { throw ConfigurationError("model.classes is \(classes); it has to be at least 2") }
        if !(0..<1).contains(dropout) { throw ConfigurationError("model.dropout is \(dropout); it has to lie in 0 ..< 1") }
    }
}

/// Classifies whole sequences: linear encoder, blocks of any mixer, mean over time, linear head.
public final class SequenceClassifier: Module {
    public let configuration: SequenceClassifierConfiguration
    @ModuleInfo public var encoder: Linear
    @ModuleInfo public var blocks: [SequenceBlock]
    @ModuleInfo public var norm: RMSNorm
    @ModuleInfo public var head: Linear

    /// - Throws: `ConfigurationError` when the mixer cannot be built with these options.
    public init(_ configuration: SequenceClassifierConfiguration) throws {
        self.configuration = configuration
        let width: Int = configuration.dimensions
        let mixers: [any SequenceMixer] = try (0..<configuration.layers).map { _ in try configuration.mixer.make(dimensions: width) }
        super.init()
        encoder = Linear(configuration.inputDimensions, width)
        blocks = mixers.map {
            SequenceBlock(dimensions: width, hiddenDimensions: 2 * width, mixer: $0, dropout: configuration.dropout)
        }
        norm = RMSNorm(width)
        head = Linear(width, configuration.classes)
    }

    /// `[B, T, inputDimensions]` to logits `[B, classes]`; masked places (0 in `mask` `[B, T]`) do not count.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil) -> Tensor {
        var stream: Tensor = encoder(x)
        for block in blocks {
            var state: MixerState? = nil
            stream = block(stream, mask: mask, state: &state)
        }
        return head(pooled(norm(stream), mask: mask))
    }

    private func pooled(_ x: Tensor, mask: Tensor?) -> Tensor {
        guard let mask else { return x.mean(axis: 1) }
        let weights: Tensor = mask.asType(x.dtype).expandedDimensions(axis: -1)
        return (x * weights).sum(axis: 1) / weights.sum(axis: 1).clamped(1)
    }
}
