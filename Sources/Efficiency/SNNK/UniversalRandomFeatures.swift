import Foundation
import NN
import Torch

/// How `2πiξ = ρ η` is shared between the maps of input and parameters.
public enum FeatureSplit: String, Codable, Sendable, CaseIterable {
    /// `ρ = 2πiξ`, `η = 1`: trigonometric in the input, positive in the parameters.
    case asymmetric
    /// `ρ = η = √(2πiξ)`
    case symmetric
}

/// Random features for any `f` with a Fourier transform F: frequencies ξ_j are drawn from a density p, directions g_j ~ N(0, I), and
///
///     Φ(x)_j    = m^(-1/2) D exp(-A‖g_j‖² + B ρ_j g_j·x - ρ_j² ‖x‖² / 2)
///     Ψ(w, b)_j = m^(-1/2) D F(ξ_j) / p(ξ_j) · e^(2πi ξ_j b) exp(-A‖g_j‖² + B η_j g_j·w - η_j² ‖w‖² / 2)
///
/// with `D = (1 + 4A)^(d/4)` and `B = √(1 + 4A)`; the real part of their product has the expectation `f(w·x + b)` (Sehanobish et al., 2024, arXiv
/// 2310.13225, section 3.1). There is no conjugate in it.
///
/// Features are returned as real numbers, the m real parts and then the m imaginary ones; those of the parameters have the imaginary ones negated, so that
/// the plain scalar product is the real part. They grow as `exp` of squared norms: inputs should not be longer than about 1, see ``SNNKLinear``.
public final class UniversalRandomFeatures: Module, RandomFeatureMap {
    /// g, `[m, d]`.
    @Buffer public var directions: Tensor
    /// ξ, `[m]`.
    @Buffer public var frequencies: Tensor
    /// Real and imaginary part of F(ξ) / p(ξ), `[2, m]`.
    @Buffer public var ratios: Tensor
    public let activation: SpectralActivation
    public let split: FeatureSplit
    /// A, which lowers the variance of the exponentials; 0 is the basic form.
    public let A: Double

    /// Traps for A below 0.
    /// - Parameters:
    ///   - inputDimensions: d.
    ///   - activation: f.
    ///   - count: m.
    ///   - split: of 2πiξ.
    ///   - A: at least 0.
    ///   - orthogonal: whether directions are orthogonal in blocks.
    ///   - generator: nil takes the shared one.
    public init(
        _ inputDimensions: Int, activation: SpectralActivation, count: Int, split: FeatureSplit = .asymmetric, A: Double = 0,
        orthogonal: Bool = true, generator: RandomGenerator? = nil
    ) {
        precondition(inputDimensions > 0 && count > 0, "UniversalRandomFeatures: \(count) features of \(inputDimensions) channels")
        precondition(A >= 0, "UniversalRandomFeatures: A is \(A); it has to be at least 0")
        self.activation = activation
        self.split = split
        self.A = A
        super.init()
        let drawn: SpectralActivation.Draw = activation.draw(count, generator: generator)
        directions = gaussianDirections(count, inputDimensions, orthogonal: orthogonal, generator: generator)
        frequencies = drawn.frequencies
        ratios = stacked([drawn.real, drawn.imaginary])
    }

    public var count: Int { directions.dim(0) }
    public var inputDimensions: Int { directions.dim(1) }
    public var featureDimensions: Int { 2 * count }
    public var multiplyAccumulates: Int { directions.count }

    public func features(_ x: Tensor) -> Tensor {
        let (logarithm, angle): (Tensor, Tensor) = exponent(x, factors.input)
        let size: Tensor = logarithm.exp()
        return concatenated([size * angle.cos(), size * angle.sin()], axis: -1)
    }

    public func parameterFeatures(_ weight: Tensor, bias: Tensor?) -> Tensor {
        var (logarithm, angle): (Tensor, Tensor) = exponent(weight, factors.parameters)
        if let bias { angle = angle + bias.expandedDimensions(axis: -1) * frequencies * (2 * Double.pi) }
        let size: Tensor = logarithm.exp()
        let (real, imaginary): (Tensor, Tensor) = (size * angle.cos(), size * angle.sin())
        let (ratioReal, ratioImaginary): (Tensor, Tensor) = (ratios.selected(axis: 0, index: 0), ratios.selected(axis: 0, index: 1))
        return concatenated(
            [real * ratioReal - imaginary * ratioImaginary, -(real * ratioImaginary + imaginary * ratioReal)], axis: -1)
    }

    /// A complex factor for each feature, `[m]` each part.
    private struct Factor {
        let real: Tensor
        let imaginary: Tensor
    }

    /// ρ and η.
    private var factors: (input: Factor, parameters: Factor) {
        let angular: Tensor = frequencies * (2 * Double.pi)
        switch split {
        case .asymmetric:
            return (
                Factor(real: angular.zerosLike(), imaginary: angular), Factor(real: angular.onesLike(), imaginary: angular.zerosLike())
            )
        case .symmetric:
            // √(i a) = √(|a| / 2) (1 + i sgn a)
            let root: Tensor = (angular.abs() * 0.5).sqrt()
            let factor: Factor = Factor(real: root, imaginary: root * angular.sign())
            return (factor, factor)
        }
    }

    /// Logarithm of the size and angle of `m^(-1/2) D exp(-A‖g‖² + B ρ g·v - ρ² ‖v‖² / 2)`, `[..., m]` each.
    private func exponent(_ v: Tensor, _ factor: Factor) -> (logarithm: Tensor, angle: Tensor) {
        let (a, b): (Tensor, Tensor) = (factor.real, factor.imaginary)
        let products: Tensor = v.matmul(directions.mT) * (1 + 4 * A).squareRoot()
        let squares: Tensor = v.square().sum(axis: -1, keepDims: true)
        let constant: Double = Double(inputDimensions) / 4 * log(1 + 4 * A) - log(Double(count)) / 2
        let logarithm: Tensor = products * a - squares * ((a.square() - b.square()) * 0.5) + constant
        let lengths: Tensor? = A == 0 ? nil : directions.square().sum(axis: 1) * A
        return (lengths.map { logarithm - $0 } ?? logarithm, products * b - squares * (a * b))
    }
}
