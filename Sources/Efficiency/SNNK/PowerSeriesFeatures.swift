import Foundation
import NN
import Torch

/// A function by its power series about 0, `f(z) = Σ a_n zⁿ`, up to a degree.
public enum PowerSeries: String, Codable, Sendable, CaseIterable {
    case gelu
    case tanh
    case exponential

    /// Highest degree that features are drawn for.
    static let highestDegree: Int = 9

    /// a_n
    func coefficient(_ degree: Int) -> Double {
        switch self {
        case .exponential: return 1 / factorial(degree)
        case .tanh:
            // 2ⁿ (2ⁿ - 1) B_n / n! with n = degree + 1, for odd degrees.
            let odd: [Double] = [1, -1.0 / 3, 2.0 / 15, -17.0 / 315, 62.0 / 2835]
            return degree % 2 == 1 ? odd[degree / 2] : 0
        case .gelu:
            // z times the normal distribution function.
            if degree == 1 { return 0.5 }
            guard degree % 2 == 0, degree > 0 else { return 0 }
            let k: Int = degree / 2 - 1
            return (k % 2 == 0 ? 1 : -1) / ((2 * Double.pi).squareRoot() * pow(2, Double(k)) * factorial(k) * Double(2 * k + 1))
        }
    }

    private func factorial(_ n: Int) -> Double { (0..<n).reduce(1) { $0 * Double($1 + 1) } }
}

/// Random Maclaurin features of `f(w·x + b)` (Kar and Karnick, 2012): a feature draws a degree n with a probability that falls as 2⁻ⁿ and n vectors of
/// random signs, and is the product of the n projections. For f by its power series; it converges as the series does, so norms should stay about 1.
///
/// Terms with positive and with negative coefficients get half of the features each where there are both, and a constant term one of its own.
public final class PowerSeriesFeatures: Module, RandomFeatureMap {
    /// Random signs `[highest degree, m, d + 1]`; the last channel goes with the constant 1 of the input and with b.
    @Buffer public var signs: Tensor
    /// Degree of each feature, `[m]` (int64).
    @Buffer public var degrees: Tensor
    /// a_n over the probability of n and the number of features that share its sign, `[m]`.
    @Buffer public var coefficients: Tensor
    public let series: PowerSeries

    /// - Parameters:
    ///   - inputDimensions: d.
    ///   - series: f.
    ///   - count: m, at least 2.
    ///   - generator: nil takes the shared one.
    public init(_ inputDimensions: Int, series: PowerSeries, count: Int, generator: RandomGenerator? = nil) {
        precondition(inputDimensions > 0 && count >= 2, "PowerSeriesFeatures: \(count) features of \(inputDimensions) channels")
        self.series = series
        super.init()
        let positive: Degrees = Degrees(series, positive: true)
        let negative: Degrees = Degrees(series, positive: false)
        let parts: [(Degrees, Int)] =
            negative.isEmpty ? [(positive, count)] : [(positive, count - count / 2), (negative, count / 2)]
        let drawn: [(degrees: Tensor, coefficients: Tensor)] = parts.map { $0.draw($1, generator: generator) }
        degrees = concatenated(drawn.map(\.degrees))
        coefficients = concatenated(drawn.map(\.coefficients))
        let shape: [Int] = [PowerSeries.highestDegree, count, inputDimensions + 1]
        signs = Tensor.bernoulli(shape, probability: 0.5, generator: generator) * 2 - 1
    }

    private var constant: Double { series.coefficient(0) }

    public var inputDimensions: Int { signs.dim(2) - 1 }
    public var featureDimensions: Int { signs.dim(1) + (constant == 0 ? 0 : 1) }
    public var multiplyAccumulates: Int { signs.count }

    public func features(_ x: Tensor) -> Tensor { completed(products(x.withConstantChannel()) * coefficients.abs().sqrt()) }

    public func parameterFeatures(_ weight: Tensor, bias: Tensor?) -> Tensor {
        let offsets: Tensor = bias ?? .zeros([weight.dim(0)], dtype: weight.dtype, device: weight.device)
        let inputs: Tensor = concatenated([weight, offsets.expandedDimensions(axis: 1)], axis: 1)
        return completed(products(inputs) * coefficients.abs().sqrt() * coefficients.sign())
    }

    /// The product of as many projections as the feature has degrees, `[..., m]`.
    private func products(_ x: Tensor) -> Tensor {
        (0..<PowerSeries.highestDegree).reduce(.ones([1], dtype: x.dtype, device: x.device)) { product, place in
            let counts: Tensor = (degrees .> place).asType(x.dtype)
            let projection: Tensor = x.matmul(signs.selected(axis: 0, index: place).mT)
            return product * (projection * counts + (1 - counts))
        }
    }

    private func completed(_ features: Tensor) -> Tensor {
        guard constant != 0 else { return features }
        let term: Tensor = .full(
            Array(features.shape.dropLast()) + [1], constant.squareRoot(), dtype: features.dtype, device: features.device)
        return concatenated([features, term], axis: -1)
    }
}

/// Degrees above 0 whose coefficients have one sign, with probabilities.
private struct Degrees {
    private let degrees: [Int]
    private let coefficients: [Double]
    private let probabilities: [Double]

    init(_ series: PowerSeries, positive: Bool) {
        degrees = (1...PowerSeries.highestDegree).filter {
            let coefficient: Double = series.coefficient($0)
            return positive ? coefficient > 0 : coefficient < 0
        }
        coefficients = degrees.map(series.coefficient)
        let weights: [Double] = degrees.map { pow(0.5, Double($0)) }
        let total: Double = weights.reduce(0, +)
        probabilities = weights.map { $0 / total }
    }

    var isEmpty: Bool { degrees.isEmpty }

    func draw(_ count: Int, generator: RandomGenerator?) -> (degrees: Tensor, coefficients: Tensor) {
        let picked: Tensor = Tensor(probabilities.map { Float($0) }).multinomial(count, replacement: true, generator: generator)
        let scaled: [Float] = zip(coefficients, probabilities).map { Float($0 / ($1 * Double(count))) }
        return (Tensor(degrees).indexSelect(axis: 0, indices: picked), Tensor(scaled).indexSelect(axis: 0, indices: picked))
    }
}
