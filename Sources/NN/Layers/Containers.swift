import Torch

/// Layers one after the other. Checkpoint names are the positions: `0.weight`, `2.bias`.
public final class Sequential: Module, UnaryLayer {
    @ModuleInfo(key: "") public var layers: [any UnaryLayer]

    public init(_ layers: [any UnaryLayer]) {
        super.init()
        self.layers = layers
    }

    public convenience init(_ layers: any UnaryLayer...) { self.init(layers) }

    public func callAsFunction(_ x: Tensor) -> Tensor { layers.reduce(x) { $1($0) } }

    public subscript(index: Int) -> any UnaryLayer { layers[index] }
}

/// `x + layer(x)`, or `x + layer(norm(x))` (pre-norm).
public final class Residual: Module, UnaryLayer {
    public let norm: (any UnaryLayer)?
    public let layer: any UnaryLayer

    public init(_ layer: any UnaryLayer, norm: (any UnaryLayer)? = nil) {
        self.norm = norm
        self.layer = layer
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x + layer(norm.map { $0(x) } ?? x) }
}

/// A function without parameters as a layer: `FunctionLayer { $0.flattened(from: 1) }`.
public final class FunctionLayer: Module, UnaryLayer {
    private let function: (Tensor) -> Tensor

    public init(_ function: @escaping (Tensor) -> Tensor) {
        self.function = function
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { function(x) }
}
