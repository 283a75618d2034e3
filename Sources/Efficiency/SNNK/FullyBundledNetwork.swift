import NN
import Torch

/// A network whose layers are all bundled, `W Φ_L(… Φ_1(x))`: the best W for squared errors is a formula, and for the logistic loss a convex problem
/// (Sehanobish et al., 2024, arXiv 2310.13225, section 3.3).
public final class FullyBundledNetwork: Module, UnaryLayer {
    public let bundle: BundledLayer

    /// - Parameters:
    ///   - inputDimensions: channels of the input.
    ///   - outputDimensions: targets, or classes.
    ///   - layers: L, nested feature maps.
    ///   - count: m, random directions of each.
    ///   - kind: of the features.
    ///   - generator: nil takes the shared one.
    public init(
        _ inputDimensions: Int, _ outputDimensions: Int, layers: Int, count: Int, _ kind: RandomFeatureKind = .relu,
        generator: RandomGenerator? = nil
    ) {
        let maps: [any RandomFeatureMap] = Bundling.maps(
            inputDimensions, layers: layers, count: count, kind, generator: generator)
        bundle = BundledLayer(maps, weight: .zeros([outputDimensions, maps[maps.count - 1].featureDimensions]))
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { bundle(x) }

    /// Nested features Z of inputs, `[N, d]` to `[N, m]`.
    public func features(_ x: Tensor) -> Tensor { bundle.features(x) }

    /// Sets W to the minimum of `‖Z Wᵀ - Y‖² + ridge ‖W‖²`, computed in float64.
    /// - Parameters:
    ///   - x: `[N, d]`.
    ///   - y: targets `[N, h]`; for classes, ones and zeros (`oneHot`).
    ///   - ridge: λ, above 0.
    public func fit(_ x: Tensor, _ y: Tensor, ridge: Double) { bundle.fit(x, y, ridge: ridge) }

    /// As ``fit(_:_:ridge:)`` with the ridge of `ridges` whose W has the least squared error on examples of their own; one factorisation serves all.
    /// - Parameters:
    ///   - x: `[N, d]`.
    ///   - y: `[N, h]`.
    ///   - ridges: to choose from, each above 0.
    ///   - validation: inputs and targets to choose by.
    /// - Returns: the ridge that was chosen.
    @discardableResult
    public func fit(_ x: Tensor, _ y: Tensor, choosing ridges: [Double], validation: (x: Tensor, y: Tensor)) -> Double {
        precondition(!ridges.isEmpty && ridges.allSatisfy { $0 > 0 }, "FullyBundledNetwork: the ridges \(ridges)")
        return noGrad {
            let z: Tensor = features(x).asType(.float64)
            let held: Tensor = features(validation.x).asType(.float64)
            let (values, vectors): (Tensor, Tensor) = z.mT.matmul(z).eigh()
            let turned: Tensor = vectors.mT.matmul(z.mT.matmul(y.asType(.float64)))
            var best: (error: Double, ridge: Double, weight: Tensor)?
            for ridge in ridges {
                let weight: Tensor = vectors.matmul(turned / (values.clamped(0, nil) + ridge).expandedDimensions(axis: 1)).mT
                let error: Double = meanSquaredError(held.matmul(weight.mT), validation.y.asType(.float64)).item(Double.self)
                if error < best?.error ?? .infinity { best = (error, ridge, weight) }
            }
            guard let best else { preconditionFailure("FullyBundledNetwork: no ridge gives a finite error") }
            bundle.weight.copy_(from: best.weight)
            return best.ridge
        }
    }

    /// Sets W to (nearly) the minimum of the mean cross-entropy of classes plus `ridge / 2 · ‖W‖²`, a convex problem, by accelerated gradient descent at the
    /// step that its curvature allows.
    /// - Parameters:
    ///   - x: `[N, d]`.
    ///   - labels: `[N]` (int64), below the number of outputs.
    ///   - ridge: above 0.
    ///   - steps: of the descent.
    public func fitLogistic(_ x: Tensor, labels: Tensor, ridge: Double, steps: Int = 500) {
        precondition(ridge > 0, "fitLogistic: a ridge of \(ridge)")
        noGrad {
            let z: Tensor = features(x).asType(.float64)
            let targets: Tensor = labels.oneHot(bundle.outputDimensions).asType(.float64)
            let samples: Double = Double(z.dim(0))
            // The Hessian of softmax is at most a half of the identity.
            let curvature: Double = z.singularValues().max().square().item(Double.self) / (2 * samples) + ridge
            let contraction: Double = (ridge / curvature).squareRoot()
            let momentum: Double = (1 - contraction) / (1 + contraction)
            var (weight, ahead): (Tensor, Tensor) = (bundle.weight.detached().asType(.float64), bundle.weight.detached().asType(.float64))
            for _ in 0..<steps {
                let errors: Tensor = z.matmul(ahead.mT).softmax() - targets
                let next: Tensor = ahead - (errors.mT.matmul(z) / samples + ahead * ridge) / curvature
                (weight, ahead) = (next, next + (next - weight) * momentum)
            }
            bundle.weight.copy_(from: weight)
        }
    }
}
