import NN
import Torch

/// A scalable neural network kernel: `y = Φ(x) Ψᵀ` in the place of `f(W x + b)`, with fixed random features Φ and a trained Ψ
/// (Sehanobish et al., 2024, arXiv 2310.13225). It has `h · featureDimensions` parameters, fewer than h (d + 1) where there are few features.
public final class SNNKLinear: Module, UnaryLayer, CostedLayer {
    /// Drawn once, not trained.
    @ModuleInfo(key: "features") public var map: any RandomFeatureMap
    /// Ψ, `[outputDimensions, featureDimensions]`.
    @ParameterInfo(key: "weight") public var weight: Tensor
    /// Length that inputs are scaled to; nil leaves them as they are.
    public let inputLength: Double?

    /// Starts as `Ψ(W, b)` of an ordinary first W and b, uniform in `±1/√inputDimensions`.
    /// - Parameters:
    ///   - inputDimensions: d.
    ///   - outputDimensions: h.
    ///   - count: m, random directions.
    ///   - kind: of the features.
    ///   - inputLength: that inputs are scaled to.
    ///   - orthogonal: whether directions are orthogonal in blocks.
    ///   - generator: nil takes the shared one.
    public convenience init(
        _ inputDimensions: Int, _ outputDimensions: Int, count: Int, _ kind: RandomFeatureKind = .relu, inputLength: Double? = nil,
        orthogonal: Bool = true, generator: RandomGenerator? = nil
    ) {
        let dense: Linear = Linear(inputDimensions, outputDimensions, generator: generator)
        self.init(replacing: dense, count: count, kind, inputLength: inputLength, orthogonal: orthogonal, generator: generator)
    }

    /// Starts as `Ψ(W, b)` of a layer that exists, whose activation is part of `kind`.
    /// - Parameters:
    ///   - layer: gives W and b.
    ///   - count: m, random directions.
    ///   - kind: of the features.
    ///   - inputLength: that inputs are scaled to.
    ///   - orthogonal: whether directions are orthogonal in blocks.
    ///   - generator: nil takes the shared one.
    public convenience init(
        replacing layer: any LinearMap, count: Int, _ kind: RandomFeatureKind = .relu, inputLength: Double? = nil, orthogonal: Bool = true,
        generator: RandomGenerator? = nil
    ) {
        let map: any RandomFeatureMap = kind.make(layer.inputDimensions, count: count, orthogonal: orthogonal, generator: generator)
        self.init(map, weight: layer.denseWeight(), bias: layer.bias, inputLength: inputLength)
    }

    /// With features that exist already.
    /// - Parameters:
    ///   - map: of the input.
    ///   - weight: W, `[outputDimensions, inputDimensions]`.
    ///   - bias: b, `[outputDimensions]`.
    ///   - inputLength: that inputs are scaled to.
    public init(_ map: any RandomFeatureMap, weight: Tensor, bias: Tensor?, inputLength: Double? = nil) {
        self.inputLength = inputLength
        super.init()
        self.map = map
        self.weight = noGrad { map.parameterFeatures(weight.detached(), bias: bias?.detached()) }
    }

    public var inputDimensions: Int { map.inputDimensions }
    public var outputDimensions: Int { weight.dim(0) }
    /// Of Ψ; those of the features are counted at ``map``.
    public var multiplyAccumulates: Int { weight.count }

    public func callAsFunction(_ x: Tensor) -> Tensor { linear(map.features(x.scaled(to: inputLength)), weight: weight) }
}

extension Tensor {
    /// Vectors of the last axis at one length; unchanged for nil.
    func scaled(to length: Double?) -> Tensor {
        guard let length else { return self }
        return self * (length / norm(axes: [-1], keepDims: true).clamped(1e-12, nil))
    }
}

/// A BERT pooler without its matrix: the first token of `[B, T, D]` through an ``SNNKLinear`` in the place of `tanh(W x + b)`.
public final class SNNKPooler: Module, UnaryLayer {
    public let dense: SNNKLinear

    public init(_ dense: SNNKLinear) {
        self.dense = dense
        super.init()
    }

    /// `[B, T, D]` to `[B, D]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { dense(x.selected(axis: 1, index: 0)) }
}
