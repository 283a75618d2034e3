import Foundation
import NN
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct RandomFeatureTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let activation: SpectralActivation
        let split: FeatureSplit
        let A: Double
        var testDescription: String { "\(activation) \(split) A \(A)" }
    }

    static let cases: [Case] = [SpectralActivation.cosine, .sine, .gaussian].flatMap { activation in
        FeatureSplit.allCases.flatMap { split in [0, 0.05].map { Case(activation: activation, split: split, A: $0) } }
    }

    /// The mean of `draws` and how far it is from a value in standard errors.
    private func deviation(_ draws: Tensor, from expected: Double) -> Double {
        let error: Double = (draws.standardDeviation(axes: [0]) / Double(draws.count).squareRoot()).item(Double.self)
        return abs(draws.mean().item(Double.self) - expected) / error
    }

    @Test(arguments: cases) func universalFeaturesAreUnbiased(c: Case) {
        let count: Int = 200_000
        let kind: RandomFeatureKind = .universal(c.activation, split: c.split, variance: c.A)
        let map: any RandomFeatureMap = kind.precise(4, count: count, orthogonal: false)
        let (x, w): (Tensor, Tensor) = (vectors(1, 4, length: 0.5, seed: 2), vectors(1, 4, length: 0.6, seed: 3))
        let bias: Tensor = Tensor([0.3], device: .cpu)
        let parts: Tensor = map.features(x) * map.parameterFeatures(w, bias: bias)
        let draws: Tensor = parts.reshaped(2, count).sum(axis: 0) * Double(count)
        let expected: Double = c.activation((x * w).sum() + bias).item(Double.self)
        #expect(deviation(draws, from: expected) < 4)
    }

    @Test func reluFeaturesEstimateTheArcCosineKernel() {
        let count: Int = 200_000
        let map: any RandomFeatureMap = RandomFeatureKind.relu.precise(4, count: count, orthogonal: false)
        let (x, w): (Tensor, Tensor) = (vectors(1, 4, length: 1.5, seed: 2), vectors(1, 4, length: 0.6, seed: 3))
        let draws: Tensor =
            (map.features(x) * map.parameterFeatures(w, bias: Tensor([0.4], device: .cpu))).squeezed(axis: 0) * Double(count)
        let constant: Tensor = Tensor([0.4], [1, 1], device: .cpu)
        let expected: Double = arcCosineKernel(x.withConstantChannel(), concatenated([w, constant], axis: 1)).item(Double.self)
        #expect(deviation(draws, from: expected) < 4)
        // Parallel vectors: E[ReLU(g·x)²] is half the squared length.
        #expect(abs(arcCosineKernel(x, x).item(Double.self) - 1.5 * 1.5 / 2) < 1e-7)
    }

    @Test(arguments: PowerSeries.allCases) func powerSeriesFeaturesAreUnbiased(series: PowerSeries) {
        let (x, w): (Tensor, Tensor) = (vectors(1, 4, length: 0.5, seed: 2), vectors(1, 4, length: 0.6, seed: 3))
        let bias: Tensor = Tensor([0.3], device: .cpu)
        let generator: RandomGenerator = RandomGenerator(seed: 4, device: .cpu)
        let draws: [Double] = (0..<600).map { _ in
            let map: PowerSeriesFeatures = PowerSeriesFeatures(4, series: series, count: 200, generator: generator)
            map.to(dtype: .float64)
            return (map.features(x) * map.parameterFeatures(w, bias: bias)).sum().item(Double.self)
        }
        let z: Double = (x * w).sum().item(Double.self) + 0.3
        let polynomial: Double = (0...PowerSeries.highestDegree).reduce(0) { $0 + series.coefficient($1) * pow(z, Double($1)) }
        #expect(deviation(Tensor(draws, device: .cpu), from: polynomial) < 4)
    }

    @Test func powerSeriesAreThoseOfTheFunctions() {
        for z in [-0.6, -0.1, 0.3, 0.7] {
            let exact: [PowerSeries: Double] = [
                .exponential: exp(z), .tanh: tanh(z), .gelu: z * (1 + erf(z / 2.0.squareRoot())) / 2,
            ]
            for (series, value) in exact {
                let sum: Double = (0...PowerSeries.highestDegree).reduce(0) { $0 + series.coefficient($1) * pow(z, Double($1)) }
                #expect(abs(sum - value) < 1e-3, "\(series) at \(z)")
            }
        }
    }

    @Test(arguments: [(Activation.relu, 4.0, 0.02), (.tanh, 4.0, 5e-3), (.gelu, 4.0, 5e-3)])
    func aWindowedActivationIsMadeUpOfItsFrequencies(activation: Activation, highest: Double, tolerance: Double) {
        let spectrum: NumericalSpectrum = NumericalSpectrum(activation, window: 4, maximumFrequency: highest)
        let z: Tensor = .linspace(-3.5, 3.5, count: 71, dtype: .float64, device: .cpu)
        #expect(largest(spectrum(z) - activation(z)) < tolerance)
        let drawn: SpectralActivation.Draw = spectrum.draw(50_000, generator: RandomGenerator(seed: 1, device: .cpu))
        // The mean of ratio · e^(2πiξz) over draws is the function.
        let angles: Tensor = drawn.frequencies.asType(.float64) * (2 * Double.pi * 1.5)
        let draws: Tensor = angles.cos() * drawn.real - angles.sin() * drawn.imaginary
        #expect(deviation(draws, from: spectrum(Tensor([1.5], device: .cpu)).item(Double.self)) < 4)
    }

    @Test func aWindowedActivationIsEstimatedWhereInputsAreShort() {
        let kind: RandomFeatureKind = .universal(.windowed(.tanh, maximumFrequency: 0.5), split: .symmetric)
        let map: any RandomFeatureMap = kind.precise(3, count: 40_000)
        let (x, w): (Tensor, Tensor) = (vectors(5, 3, length: 0.3, seed: 2), vectors(6, 3, length: 0.3, seed: 3))
        let bias: Tensor = Tensor([-1.0, -0.5, 0, 0.5, 1, 1.5], device: .cpu)
        let found: Tensor = map.features(x).matmul(map.parameterFeatures(w, bias: bias).mT)
        #expect(largest(found - (x.matmul(w.mT) + bias).tanh()) < 0.1)
    }

    @Test func orthogonalBlocksAreOrthogonalWithGaussianLengths() {
        let directions: Tensor = gaussianDirections(40, 8, orthogonal: true, generator: RandomGenerator(seed: 1, device: .cpu))
        for block in directions.asType(.float64).split(size: 8) {
            let gram: Tensor = block.matmul(block.mT)
            #expect(largest(gram - gram.diagonal().diagonalEmbedded()) < 1e-5)
        }
        let squares: Tensor = gaussianDirections(4000, 8, orthogonal: true, generator: RandomGenerator(seed: 2, device: .cpu)).square()
        #expect(abs(squares.sum(axis: 1).mean().item(Double.self) - 8) < 0.3)
        #expect(abs(squares.sum(axis: 1).variance().item(Double.self) - 16) < 2)
    }

    @Test(arguments: [RandomFeatureKind.relu, .universal(.cosine), .powerSeries(.gelu)])
    func directionsAreDrawnOnceSavedAndNotTrained(kind: RandomFeatureKind) throws {
        let layer: SNNKLinear = SNNKLinear(6, 4, count: 16, kind, inputLength: 1)
        let x: Tensor = .normal([3, 6], device: .cpu)
        #expect(largest(layer(x) - layer(x)) == 0)
        #expect(layer.namedParameters().map(\.name) == ["weight"])
        #expect(largest(layer(x * 5) - layer(x)) < 1e-4)
        let other: SNNKLinear = SNNKLinear(6, 4, count: 16, kind, inputLength: 1)
        #expect(largest(other(x) - layer(x)) > 1e-3)
        try other.load(Dictionary(uniqueKeysWithValues: layer.stateTensors()))
        #expect(largest(other(x) - layer(x)) == 0)
    }

    @Test(arguments: [RandomFeatureKind.relu, .universal(.sine, split: .symmetric, variance: 0.05), .powerSeries(.tanh)])
    func gradientsAgreeWithDifferences(kind: RandomFeatureKind) throws {
        let map: any RandomFeatureMap = kind.precise(3, count: 8)
        let inputs: [Tensor] = [vectors(2, 3, length: 0.6, seed: 2), vectors(4, 3, length: 0.5, seed: 3), normal([4], seed: 4)]
        try gradientCheck(inputs) { [map.features($0[0]), map.parameterFeatures($0[1], bias: $0[2])] }
    }
}
