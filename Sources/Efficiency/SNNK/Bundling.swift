import NN
import SequenceModels
import Torch

/// Consecutive layers as one trained matrix over nested fixed features, `y = W Φ_L(… Φ_1(x))` (Sehanobish et al., 2024, arXiv 2310.13225, section 3.3).
public final class BundledLayer: Module, UnaryLayer, CostedLayer {
    /// Φ_1 to Φ_L, drawn once, not trained.
    @ModuleInfo(key: "features") public var maps: [any RandomFeatureMap]
    /// W, `[outputDimensions, features of Φ_L]`.
    @ParameterInfo(key: "weight") public var weight: Tensor
    /// `[outputDimensions]`, where the last of the bundled layers is affine.
    @ParameterInfo(key: "bias") public var bias: Tensor?

    /// Traps unless the maps follow one another and the weight fits the last one.
    public init(_ maps: [any RandomFeatureMap], weight: Tensor, bias: Tensor? = nil) {
        precondition(
            !maps.isEmpty && zip(maps, maps.dropFirst()).allSatisfy { $0.featureDimensions == $1.inputDimensions }
                && maps[maps.count - 1].featureDimensions == weight.dim(1),
            "BundledLayer: maps of \(maps.map(\.inputDimensions)) channels to \(maps.map(\.featureDimensions)) and a weight \(weight.shape)"
        )
        super.init()
        self.maps = maps
        self.weight = weight
        self.bias = bias
    }

    public var inputDimensions: Int { maps[0].inputDimensions }
    public var outputDimensions: Int { weight.dim(0) }
    /// Of the matrix; those of the features are counted at ``maps``.
    public var multiplyAccumulates: Int { weight.count }

    /// The nested features `Φ_L(… Φ_1(x))`, `[..., inputDimensions]` to `[..., features of Φ_L]`.
    public func features(_ x: Tensor) -> Tensor { maps.reduce(x) { $1.features($0) } }

    public func callAsFunction(_ x: Tensor) -> Tensor { linear(features(x), weight: weight, bias: bias) }

    /// Sets the matrix (and the bias, where there is one) to those of least squared error with a ridge: calibration of a bundle on inputs and the outputs of
    /// the layers that it replaces.
    /// - Parameters:
    ///   - x: `[..., inputDimensions]`.
    ///   - y: `[..., outputDimensions]`.
    ///   - ridge: weight of the squared norm of W, above 0.
    public func fit(_ x: Tensor, _ y: Tensor, ridge: Double = 1e-3) {
        noGrad {
            let z: Tensor = features(x).reshaped(-1, weight.dim(1)).asType(.float64)
            let targets: Tensor = y.reshaped(-1, outputDimensions).asType(.float64)
            let (center, shift): (Tensor, Tensor) =
                bias == nil
                ? (.zeros([z.dim(1)], dtype: .float64, device: z.device), .zeros([outputDimensions], dtype: .float64, device: z.device))
                : (z.mean(axis: 0), targets.mean(axis: 0))
            let solved: Tensor = ridgeSolution(z - center, targets - shift, ridge: ridge)
            weight.copy_(from: solved)
            bias?.copy_(from: shift - solved.matmul(center))
        }
    }
}

/// `W = Yᵀ Z (Zᵀ Z + λ I)⁻¹`, the least of `‖Z Wᵀ - Y‖² + λ ‖W‖²`.
/// - Parameters:
///   - z: Z, `[N, m]`.
///   - y: Y, `[N, h]`.
///   - ridge: λ, above 0.
/// - Returns: `[h, m]`.
public func ridgeSolution(_ z: Tensor, _ y: Tensor, ridge: Double) -> Tensor {
    precondition(ridge > 0, "ridgeSolution: a ridge of \(ridge)")
    let gram: Tensor = z.mT.matmul(z) + Tensor.eye(z.dim(1), dtype: z.dtype, device: z.device) * ridge
    return gram.solve(z.mT.matmul(y)).mT.contiguous()
}

/// Bundles layers of trained networks: see ``BundledLayer``.
public enum Bundling {
    /// Layers `f(W x + b)` one after another as one matrix over nested features; `W` starts as the parameters' features, each layer's collapsed into the next:
    /// `W₂' = W₂ Ψ(W₁, b₁)`. A bundle of one layer is that layer's ``SNNKLinear``.
    /// - Parameters:
    ///   - layers: first to last; their activation is part of the maps' kind.
    ///   - maps: Φ_1 to Φ_L; the first takes the layers' input, each other the features of the one before.
    public static func bundle(_ layers: [any LinearMap], maps: [any RandomFeatureMap]) -> BundledLayer {
        precondition(layers.count == maps.count && !layers.isEmpty, "Bundling: \(layers.count) layers and \(maps.count) maps")
        return noGrad {
            var tower: Tensor?
            for (layer, map) in zip(layers, maps) {
                let weight: Tensor = tower.map { layer.denseWeight().matmul($0) } ?? layer.denseWeight()
                tower = map.parameterFeatures(weight, bias: layer.bias).detached()
            }
            guard let tower else { preconditionFailure("Bundling: no layers") }
            return BundledLayer(maps, weight: tower)
        }
    }

    /// Draws a map of `count` directions for each of the layers.
    /// - Parameters:
    ///   - inputDimensions: of the first layer.
    ///   - layers: how many.
    ///   - count: m, random directions of each.
    ///   - kind: of the features.
    ///   - generator: nil takes the shared one.
    public static func maps(
        _ inputDimensions: Int, layers: Int, count: Int, _ kind: RandomFeatureKind = .relu, generator: RandomGenerator? = nil
    ) -> [any RandomFeatureMap] {
        (0..<layers).reduce(into: []) { maps, _ in
            maps.append(kind.make(maps.last?.featureDimensions ?? inputDimensions, count: count, generator: generator))
        }
    }

    /// A multi-layer perceptron in which some consecutive layers are bundled; the others are shared with it.
    ///
    /// A bundle stands for activated layers, so a range that ends with the output, which is affine, ends in a plain product with the output's matrix.
    /// - Parameters:
    ///   - network: trained or not.
    ///   - range: of its layers.
    ///   - count: m, random directions of each map.
    ///   - kind: of the features.
    ///   - generator: nil takes the shared one.
    public static func bundle(
        _ network: MLP, range: Range<Int>, count: Int, _ kind: RandomFeatureKind = .relu, generator: RandomGenerator? = nil
    ) -> Sequential {
        let layers: [Linear] = network.layers
        precondition(
            !range.isEmpty && range.lowerBound >= 0 && range.upperBound <= layers.count,
            "Bundling: layers \(range) of \(layers.count)")
        let (first, last): ([Linear], [Linear]) = (Array(layers[..<range.lowerBound]), Array(layers[range.upperBound...]))
        func activated(_ layers: ArraySlice<Linear>) -> [any UnaryLayer] {
            layers.flatMap { [$0, ActivationLayer(network.activation), network.dropout] as [any UnaryLayer] }
        }
        let bundled: BundledLayer = bundle(
            Array(layers[range]), endsAffine: last.isEmpty, count: count, kind, generator: generator)
        let tail: [any UnaryLayer] = last.isEmpty ? [] : activated(last.dropLast()) + [last[last.count - 1]]
        return Sequential(activated(first[...]) + [bundled] + tail)
    }

    /// A feed-forward `contraction(f(expansion(x)))` as one matrix over the features of its input: what becomes of a transformer's feed-forward, for
    /// instance `model.replaceModule(at: "blocks.0.feed_forward", with: bundled)` in a `PlainTransformer`. Calibrate it by ``BundledLayer/fit(_:_:ridge:)``
    /// on inputs and outputs of the feed-forward, or train it.
    /// - Parameters:
    ///   - expansion: whose activation is part of the kind.
    ///   - contraction: the affine layer after it.
    ///   - count: m, random directions.
    ///   - kind: of the features.
    ///   - generator: nil takes the shared one.
    public static func bundle(
        expansion: any LinearMap, contraction: any LinearMap, count: Int, _ kind: RandomFeatureKind = .relu,
        generator: RandomGenerator? = nil
    ) -> BundledLayer {
        bundle([expansion, contraction], endsAffine: true, count: count, kind, generator: generator)
    }

    private static func bundle(
        _ layers: [any LinearMap], endsAffine: Bool, count: Int, _ kind: RandomFeatureKind, generator: RandomGenerator?
    ) -> BundledLayer {
        guard endsAffine else {
            return bundle(
                layers, maps: maps(layers[0].inputDimensions, layers: layers.count, count: count, kind, generator: generator))
        }
        precondition(layers.count >= 2, "Bundling: the output alone has no activation to bundle")
        let output: any LinearMap = layers[layers.count - 1]
        let hidden: BundledLayer = bundle(Array(layers.dropLast()), endsAffine: false, count: count, kind, generator: generator)
        return noGrad {
            let offset: Tensor = output.bias?.detached().cloned() ?? .zeros([output.outputDimensions])
            return BundledLayer(hidden.maps, weight: output.denseWeight().matmul(hidden.weight).detached(), bias: offset)
        }
    }
}
