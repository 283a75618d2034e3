import NN
import SequenceModels
import Torch

/// A layer to put behind a frozen one and train in its stead (Sehanobish et al., 2024, arXiv 2310.13225, section 4.2); at the start it changes nothing.
public final class SNNKAdapter: Module, UnaryLayer {
    public enum Style: Codable, Sendable, Hashable {
        /// `x + u ⊙ SNNK(x)` with a trained vector u, zero at the start: no projection down or up.
        case modulated
        /// `x + W SNNK(x) + b` with an SNNK to a smaller width and a matrix, zero at the start, back.
        case bottleneck(width: Int)
    }

    public let kernel: SNNKLinear
    /// u, `[D]`.
    @ParameterInfo public var modulation: Tensor?
    @ModuleInfo public var up: Linear?

    /// - Parameters:
    ///   - dimensions: D.
    ///   - count: m, random directions.
    ///   - style: of the adapter.
    ///   - kind: of the features.
    ///   - generator: nil takes the shared one.
    public init(
        _ dimensions: Int, count: Int, style: Style = .modulated, _ kind: RandomFeatureKind = .relu, generator: RandomGenerator? = nil
    ) {
        switch style {
        case .modulated:
            kernel = SNNKLinear(dimensions, dimensions, count: count, kind, generator: generator)
            super.init()
            modulation = .zeros([dimensions])
            up = nil
        case .bottleneck(let width):
            kernel = SNNKLinear(dimensions, width, count: count, kind, generator: generator)
            super.init()
            modulation = nil
            up = .zeroed(width, dimensions)
        }
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        let correction: Tensor = kernel(x)
        return x + (modulation.map { correction * $0 } ?? correction).through(up)
    }
}

/// The adapter that others are compared with: `x + W₂ f(W₁ x + b₁) + b₂` through a narrow layer, W₂ and b₂ zero at the start (Houlsby et al., 2019).
public final class HoulsbyAdapter: Module, UnaryLayer {
    public let down: Linear
    public let up: Linear
    public let activation: Activation

    public init(_ dimensions: Int, width: Int, activation: Activation = .gelu, generator: RandomGenerator? = nil) {
        down = Linear(dimensions, width, generator: generator)
        up = .zeroed(width, dimensions)
        self.activation = activation
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x + up(activation(down(x))) }
}

extension BertModel {
    /// Freezes the encoder and puts an adapter behind the attention and the feed-forward of every layer, where Houlsby et al. (2019) have theirs.
    /// - Parameter make: an adapter for a stream of this width.
    public func insertAdapters(_ make: (_ dimensions: Int) -> any UnaryLayer) {
        freeze()
        for layer in layers {
            layer.attentionAdapter = make(configuration.dimensions)
            layer.feedForwardAdapter = make(configuration.dimensions)
        }
    }
}

extension Linear {
    fileprivate static func zeroed(_ inputDimensions: Int, _ outputDimensions: Int) -> Linear {
        Linear(weight: .zeros([outputDimensions, inputDimensions]), bias: .zeros([outputDimensions]))
    }
}

extension Tensor {
    fileprivate func through(_ layer: Linear?) -> Tensor { layer.map { $0(self) } ?? self }
}
