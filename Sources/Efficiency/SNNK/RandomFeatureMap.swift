import Foundation
import NN
import Torch

/// Random features of a layer `f(w·x + b)`: one map of the input and one of the parameters, whose scalar product estimates the layer's output
/// (Sehanobish et al., *Scalable Neural Network Kernels*, 2024, arXiv 2310.13225, section 3).
///
/// Neither map looks at the other's argument. What they draw is drawn once, kept in buffers and saved with the model; it is not trained.
public protocol RandomFeatureMap: CostedLayer {
    /// d
    var inputDimensions: Int { get }
    /// Numbers that stand for a vector.
    var featureDimensions: Int { get }

    /// `Φ(x)`: `[..., inputDimensions]` to `[..., featureDimensions]`.
    func features(_ x: Tensor) -> Tensor

    /// `Ψ(w, b)` of h units: `[h, inputDimensions]` and `[h]` to `[h, featureDimensions]`, so that `Φ(x) Ψᵀ` is the estimate for every unit.
    func parameterFeatures(_ weight: Tensor, bias: Tensor?) -> Tensor
}

/// Which ``RandomFeatureMap`` a layer uses.
public enum RandomFeatureKind: Codable, Sendable, Hashable {
    /// ``ReLURandomFeatures``: the arc-cosine kernel, the most expressive in practice.
    case relu
    /// ``UniversalRandomFeatures`` of an activation by its Fourier transform.
    case universal(SpectralActivation, split: FeatureSplit = .asymmetric, variance: Double = 0)
    /// ``PowerSeriesFeatures`` of an activation by its power series.
    case powerSeries(PowerSeries)

    /// Draws a map.
    /// - Parameters:
    ///   - inputDimensions: d.
    ///   - count: m, random directions.
    ///   - orthogonal: whether directions are drawn in orthogonal blocks, where the map has Gaussian ones.
    ///   - generator: nil takes the shared one.
    public func make(
        _ inputDimensions: Int, count: Int, orthogonal: Bool = true, generator: RandomGenerator? = nil
    ) -> any RandomFeatureMap {
        switch self {
        case .relu: ReLURandomFeatures(inputDimensions, count: count, orthogonal: orthogonal, generator: generator)
        case .universal(let activation, let split, let variance):
            UniversalRandomFeatures(
                inputDimensions, activation: activation, count: count, split: split, A: variance, orthogonal: orthogonal,
                generator: generator)
        case .powerSeries(let series): PowerSeriesFeatures(inputDimensions, series: series, count: count, generator: generator)
        }
    }
}

/// Gaussian directions `[count, dimensions]`, each N(0, I).
///
/// Orthogonal ones come in blocks of `dimensions` rows at right angles, their lengths drawn as those of independent ones (chi-distributed).
/// - Parameters:
///   - count: rows.
///   - dimensions: d.
///   - orthogonal: whether rows of a block are orthogonal.
///   - generator: nil takes the shared one.
public func gaussianDirections(_ count: Int, _ dimensions: Int, orthogonal: Bool, generator: RandomGenerator? = nil) -> Tensor {
    let independent: Tensor = .normal([count, dimensions], generator: generator)
    guard orthogonal else { return independent }
    let blocks: Int = (count + dimensions - 1) / dimensions
    let (q, r): (Tensor, Tensor) = Tensor.normal([blocks, dimensions, dimensions], generator: generator).qr()
    // Signs that make the factorisation unique, and with it the distribution uniform over orthogonal matrices.
    let unique: Tensor = q * r.diagonal().sign().expandedDimensions(axis: 1)
    return unique.flattened(from: 0, to: 1).narrowed(axis: 0, start: 0, length: count) * independent.norm(axes: [1], keepDims: true)
}

extension Tensor {
    /// `[..., D]` with one more channel that is 1.
    func withConstantChannel() -> Tensor {
        concatenated([self, .ones(Array(shape.dropLast()) + [1], dtype: dtype, device: device)], axis: -1)
    }
}

/// `Φ(x) = m^(-1/2) ReLU(G [x, 1])`, `Ψ(w, b) = m^(-1/2) ReLU(G [w, b])` with Gaussian rows of G: their product estimates the arc-cosine kernel of
/// order 1 of the two, ``arcCosineKernel(_:_:)``.
public final class ReLURandomFeatures: Module, RandomFeatureMap {
    /// G, `[m, inputDimensions + 1]`.
    @Buffer public var directions: Tensor

    /// - Parameters:
    ///   - inputDimensions: d.
    ///   - count: m.
    ///   - orthogonal: whether rows of G are orthogonal in blocks.
    ///   - generator: nil takes the shared one.
    public init(_ inputDimensions: Int, count: Int, orthogonal: Bool = true, generator: RandomGenerator? = nil) {
        precondition(inputDimensions > 0 && count > 0, "ReLURandomFeatures: \(count) features of \(inputDimensions) channels")
        super.init()
        directions = gaussianDirections(count, inputDimensions + 1, orthogonal: orthogonal, generator: generator)
    }

    public var inputDimensions: Int { directions.dim(1) - 1 }
    public var featureDimensions: Int { directions.dim(0) }
    public var multiplyAccumulates: Int { directions.count }

    public func features(_ x: Tensor) -> Tensor { rectified(x.withConstantChannel()) }

    public func parameterFeatures(_ weight: Tensor, bias: Tensor?) -> Tensor {
        let offsets: Tensor = bias ?? .zeros([weight.dim(0)], dtype: weight.dtype, device: weight.device)
        return rectified(concatenated([weight, offsets.expandedDimensions(axis: 1)], axis: 1))
    }

    private func rectified(_ x: Tensor) -> Tensor { x.matmul(directions.mT).relu() / Double(featureDimensions).squareRoot() }
}

/// `E[ReLU(g·x) ReLU(g·w)]` for g ~ N(0, I): `‖x‖ ‖w‖ / 2π · (sin θ + (π - θ) cos θ)` with θ the angle between the two (Cho and Saul, 2009).
/// - Parameters:
///   - x: `[..., d]`.
///   - w: `[..., d]`, broadcast with x.
/// - Returns: `[...]`.
public func arcCosineKernel(_ x: Tensor, _ w: Tensor) -> Tensor {
    let lengths: Tensor = x.norm(axes: [-1]) * w.norm(axes: [-1])
    let cosine: Tensor = ((x * w).sum(axis: -1) / lengths.clamped(1e-30, nil)).clamped(-1, 1)
    let angle: Tensor = cosine.acos()
    return lengths * (angle.sin() + (Double.pi - angle) * cosine) / (2 * Double.pi)
}
