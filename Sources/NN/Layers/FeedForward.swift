import Torch

/// The gated feed-forward `down(activation(gate(x)) ⊙ up(x))` (arXiv 2002.05202), `[..., D]` to `[..., D]`.
///
/// Checkpoint names are Hugging Face's: `gate_proj`, `up_proj`, `down_proj`.
public class GatedFeedForward: Module, UnaryLayer, PartitionableLayer {
    @ModuleInfo(key: "gate_proj") public var gateProjection: any LinearMap
    @ModuleInfo(key: "up_proj") public var upProjection: any LinearMap
    @ModuleInfo(key: "down_proj") public var downProjection: any LinearMap
    public let activation: Activation

    /// - Parameters:
    ///   - dimensions: D of input and output.
    ///   - hiddenDimensions: without it, ``hiddenDimensions(for:multiple:)``.
    ///   - activation: of the gate.
    ///   - bias: whether the projections have one.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        _ dimensions: Int, _ hiddenDimensions: Int? = nil, activation: Activation, bias: Bool = false, generator: RandomGenerator? = nil
    ) {
        let hidden: Int = hiddenDimensions ?? Self.hiddenDimensions(for: dimensions)
        self.activation = activation
        super.init()
        gateProjection = Linear(dimensions, hidden, bias: bias, generator: generator)
        upProjection = Linear(dimensions, hidden, bias: bias, generator: generator)
        downProjection = Linear(hidden, dimensions, bias: bias, generator: generator)
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { downProjection(activation(gateProjection(x)) * upProjection(x)) }

    /// `8/3 · dimensions`, which makes three matrices as large as the two of a plain feed-forward of four times the width,
    /// rounded up to a multiple.
    public static func hiddenDimensions(for dimensions: Int, multiple: Int = 256) -> Int {
        let wanted: Int = dimensions * 8 / 3
        return (wanted + multiple - 1) / multiple * multiple
    }
}

/// ``GatedFeedForward`` with SiLU.
public final class SwiGLU: GatedFeedForward {
    public init(_ dimensions: Int, _ hiddenDimensions: Int? = nil, bias: Bool = false, generator: RandomGenerator? = nil) {
        super.init(dimensions, hiddenDimensions, activation: .silu, bias: bias, generator: generator)
    }
}

/// ``GatedFeedForward`` with the exact GELU.
public final class GEGLU: GatedFeedForward {
    public init(_ dimensions: Int, _ hiddenDimensions: Int? = nil, bias: Bool = false, generator: RandomGenerator? = nil) {
        super.init(dimensions, hiddenDimensions, activation: .gelu, bias: bias, generator: generator)
    }
}

/// ``GatedFeedForward`` with ReLU.
public final class ReGLU: GatedFeedForward {
    public init(_ dimensions: Int, _ hiddenDimensions: Int? = nil, bias: Bool = false, generator: RandomGenerator? = nil) {
        super.init(dimensions, hiddenDimensions, activation: .relu, bias: bias, generator: generator)
    }
}

/// Linear layers with an activation, and dropout where wanted, between each two: `[..., widths.first]` to `[..., widths.last]`.
public final class MLP: Module, UnaryLayer {
    public let layers: [Linear]
    public let dropout: Dropout
    public let activation: Activation

    /// - Parameters:
    ///   - widths: of the input, the hidden layers and the output; traps for fewer than two.
    ///   - activation: between the layers.
    ///   - bias: whether the layers have one.
    ///   - dropout: probability, after each activation.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        _ widths: [Int], activation: Activation = .relu, bias: Bool = true, dropout: Double = 0, generator: RandomGenerator? = nil
    ) {
        precondition(widths.count >= 2, "an MLP needs the widths of input and output, not \(widths)")
        layers = zip(widths, widths.dropFirst()).map { Linear($0, $1, bias: bias, generator: generator) }
        self.dropout = Dropout(dropout)
        self.activation = activation
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        let hidden: Tensor = layers.dropLast().reduce(x) { dropout(activation($1($0))) }
        return layers[layers.count - 1](hidden)
    }
}
