import Torch

/// An element-wise nonlinearity, by the name that configurations use.
public enum Activation: String, Codable, Sendable, CaseIterable {
    case identity
    case relu
    /// `relu(x)²`.
    case squaredRelu = "relu2"
    case leakyRelu = "leaky_relu"
    case elu
    /// `elu(x) + 1`, positive.
    case eluPlusOne = "elu_plus_one"
    /// Exact.
    case gelu
    /// By the tanh approximation.
    case geluTanh = "gelu_tanh"
    /// `x · sigmoid(x)`, also called swish.
    case silu
    case mish
    case sigmoid
    case logSigmoid = "log_sigmoid"
    case tanh
    case softplus
    /// `x / (1 + |x|)`.
    case softsign

    public func callAsFunction(_ x: Tensor) -> Tensor {
        switch self {
        case .identity: x
        case .relu: x.relu()
        case .squaredRelu: x.relu().square()
        case .leakyRelu: x.leakyRelu()
        case .elu: x.elu()
        case .eluPlusOne: x.elu() + 1
        case .gelu: x.gelu()
        case .geluTanh: x.gelu(approximate: true)
        case .silu: x.silu()
        case .mish: x.mish()
        case .sigmoid: x.sigmoid()
        case .logSigmoid: x.logSigmoid()
        case .tanh: x.tanh()
        case .softplus: x.softplus()
        case .softsign: x / (x.abs() + 1)
        }
    }
}

/// An ``Activation`` as a layer, for ``Sequential``.
public final class ActivationLayer: Module, UnaryLayer {
    public let activation: Activation

    public init(_ activation: Activation) {
        self.activation = activation
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { activation(x) }
}

/// Probabilities along an axis.
public final class Softmax: Module, UnaryLayer {
    public let axis: Int

    public init(axis: Int = -1) {
        self.axis = axis
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.softmax(axis: axis) }
}

/// `x` where positive, else `weight · x` with a trained slope.
public final class PReLU: Module, UnaryLayer {
    /// `[1]`, or `[C]` for one slope a channel (the second axis).
    public let weight: Tensor

    public init(_ channels: Int = 1, initialSlope: Double = 0.25) {
        weight = .full([channels], initialSlope)
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        let ones: [Int] = Array(repeating: 1, count: max(x.ndim - 2, 0))
        let slope: Tensor = weight.count == 1 || x.ndim < 2 ? weight : weight.reshaped([1, weight.count] + ones)
        return x.clamped(0, nil) + slope * x.clamped(nil, 0)
    }
}
