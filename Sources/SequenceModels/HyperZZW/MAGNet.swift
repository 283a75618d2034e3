import NN
import Torch

/// The settings of a ``MAGNet`` beside its sizes.
public struct MAGNetConfiguration: Codable, Sendable, Hashable {
    /// Channels inside.
    public var hiddenDimensions: Int
    /// Products of filters after the first filter.
    public var layers: Int
    /// ω₀, to which the frequencies that a kernel begins with are proportional.
    public var omega: Double
    /// α: the frequencies of filter l are scaled by draws from Gamma(α / (l + 1), 1).
    public var alpha: Double

    public init(hiddenDimensions: Int = 64, layers: Int = 2, omega: Double = 10, alpha: Double = 6) {
        self.hiddenDimensions = hiddenDimensions
        self.layers = layers
        self.omega = omega
        self.alpha = alpha
    }
}

/// The slow network: a network of coordinates whose values over a grid in [−1, 1] are the weights of another (Zhang, 2024, *HyperZ·Z·W
/// Operator*, arXiv 2401.17948, section 3.2).
///
/// With sinusoids `f_l(c) = sin(W_l c + b_l)` of the coordinates it is `h_0 = f_0(c)`, `h_l = f_l(c) ⊙ (A_l h_{l−1} + a_l) + π`, and a linear
/// layer at the end. π is a learned bias for each place, shared by the channels.
public final class MAGNet: Module {
    /// W and b of the sinusoids, one more than `linears`.
    public let filters: [Linear]
    /// A and a of the layers.
    public let linears: [Linear]
    @ModuleInfo(key: "output_linear") public var outputLinear: Linear
    /// π, `[1, 1, sizes…]`.
    @ParameterInfo(key: "bias_p") public var placeBias: Tensor
    /// Places along each axis of the grid.
    public let sizes: [Int]
    public let configuration: MAGNetConfiguration

    /// W starts as a linear layer's times `2π ω₀ γ` with draws γ for each element, A uniform with variance 1 / fan-in, the output's weight so
    /// too and divided by the root of the number of places; a starts as 1, everything else as 0. Traps for a size or a width below 1.
    /// - Parameters:
    ///   - channels: of the kernel, C.
    ///   - sizes: places along each axis.
    ///   - configuration: widths, depth and frequencies.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(channels: Int, sizes: [Int], configuration: MAGNetConfiguration, generator: RandomGenerator? = nil) {
        let hidden: Int = configuration.hiddenDimensions
        precondition(
            channels > 0 && hidden > 0 && configuration.layers >= 0 && !sizes.isEmpty && sizes.allSatisfy { $0 > 0 },
            "MAGNet: \(channels) channels over \(sizes) places with \(hidden) hidden channels and \(configuration.layers) layers")
        self.sizes = sizes
        self.configuration = configuration
        filters = (0...configuration.layers).map { _ in Linear(sizes.count, hidden, generator: generator) }
        linears = (0..<configuration.layers).map { _ in Linear(hidden, hidden, generator: generator) }
        super.init()
        outputLinear = Linear(hidden, channels, generator: generator)
        placeBias = .zeros([1, 1] + sizes)
        initializeWeights(generator)
    }

    private func initializeWeights(_ generator: RandomGenerator?) {
        noGrad {
            for (index, filter) in filters.enumerated() {
                let shapes: Tensor = filter.weight.onesLike() * (configuration.alpha / Double(index + 1))
                filter.weight.multiply_(Tensor.gamma(shapes, generator: generator) * (2 * Double.pi * configuration.omega))
                filter.bias?.zero_()
            }
            for linear in linears + [outputLinear] { linear.initializeKaiming(bias: linear === outputLinear ? 0 : 1, generator) }
            outputLinear.weight.multiply_(1 / Double(sizes.reduce(1, *)).squareRoot())
        }
    }

    /// The kernel, `[1, C, sizes…]`.
    public func callAsFunction() -> Tensor { kernel { _, hidden in hidden } }

    /// The kernel with every `h_l`, l from 1, replaced by what `change` makes of it.
    /// - Parameter change: receives l − 1 and `[places, hidden]`.
    func kernel(changing change: (_ layer: Int, _ hidden: Tensor) -> Tensor) -> Tensor {
        let coordinates: Tensor = coordinates()
        let bias: Tensor = placeBias.reshaped(-1, 1)
        var hidden: Tensor = filters[0](coordinates).sin()
        for (index, linear) in linears.enumerated() {
            hidden = change(index, filters[index + 1](coordinates).sin() * linear(hidden) + bias)
        }
        return outputLinear(hidden).mT.reshaped([1, -1] + sizes)
    }

    /// The places of the grid, row by row, `[places, axes]`.
    func coordinates() -> Tensor {
        let axes: [Tensor] = sizes.map { .linspace(-1, 1, count: $0, dtype: placeBias.dtype, device: placeBias.device) }
        return stacked(meshgrid(axes).map { $0.flattened() }, axis: -1)
    }
}

extension Linear {
    /// Weights uniform with variance 1 / fan-in, one value for the bias.
    func initializeKaiming(bias value: Double, _ generator: RandomGenerator?) {
        Initializer.kaimingUniform(gain: 1).fill(weight, generator: generator)
        if let bias { Initializer.constant(value).fill(bias) }
    }
}
