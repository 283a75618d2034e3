import Foundation
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct FourierDensityTests {
    /// Amplitudes `[3, frequencies + 1]`, complex128, from real and imaginary parts.
    private func amplitudes(_ frequencies: Int, seed: UInt64 = 1) -> Tensor {
        Tensor.normal(
            [3, frequencies + 1, 2], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu)
        ).viewAsComplex()
    }

    private func density(_ frequencies: Int) -> FourierDensity { FourierDensity(amplitudes: amplitudes(frequencies)) }

    private let grid: Tensor = .linspace(-1, 1, count: 4001, dtype: .float64, device: .cpu)

    /// Literally, in Swift's own arithmetic.
    private func naiveAutocorrelation(_ a: Tensor) -> [(real: Double, imaginary: Double)] {
        let (real, imaginary): ([Double], [Double]) = (a.real().array(), a.imaginary().array())
        return real.indices.map { lag in
            (0..<real.count - lag).reduce(into: (real: 0, imaginary: 0)) { sum, l in
                sum.real += real[l + lag] * real[l] + imaginary[l + lag] * imaginary[l]
                sum.imaginary += imaginary[l + lag] * real[l] - real[l + lag] * imaginary[l]
            }
        }
    }

    @Test(arguments: AutocorrelationMethod.allCases, [0, 1, 2, 7, 12]) func autocorrelationIsItsSum(
        _ method: AutocorrelationMethod, frequencies: Int
    ) {
        let a: Tensor = amplitudes(frequencies)
        let found: Tensor = autocorrelation(a, method: method)
        for row in 0..<3 {
            let wanted: [(real: Double, imaginary: Double)] = naiveAutocorrelation(a[row])
            #expect(relativeError(found[row].real(), Tensor(wanted.map(\.real), device: .cpu)) < 1e-12)
            let imaginary: Tensor = Tensor(wanted.map(\.imaginary), device: .cpu)
            #expect((found[row].imaginary() - imaginary).abs().max().item(Double.self) < 1e-12)
        }
    }

    /// Nowhere negative, with mass 1 by the trapezoidal rule, and the same by the series and by the squared modulus.
    @Test(arguments: [1, 2, 5, 12, 40]) func densitiesAreDensities(_ frequencies: Int) {
        let density: FourierDensity = density(frequencies)
        let values: Tensor = density.pdf(grid)
        #expect(values.min().item(Double.self) >= -1e-7)
        let ends: Tensor = (values[.ellipsis, 0] + values[.ellipsis, 4000]) / 2
        let mass: Tensor = (values.sum(axis: -1) - ends) / 2000
        #expect((mass - 1).abs().max().item(Double.self) < 1e-6)
        #expect(relativeError(density.logPDF(grid).exp(), values) < 1e-10)
        #expect(values.max().item(Double.self) > 0.6)
    }

    @Test func withoutFrequenciesItIsUniform() {
        let density: FourierDensity = density(0)
        #expect((density.pdf(grid) - 0.5).abs().max().item(Double.self) < 1e-14)
        #expect((density.logPDF(grid).exp() - 0.5).abs().max().item(Double.self) < 1e-14)
        #expect((density.probabilities(bins: 10) - 0.1).abs().max().item(Double.self) < 1e-14)
        let none: FourierDensity = FourierDensity(amplitudes: .zeros([4], dtype: .complex128, device: .cpu))
        #expect((none.pdf(grid) - 0.5).abs().max().item(Double.self) < 1e-14)
    }

    @Test func phaseAndScaleMakeNoDifference() {
        let a: Tensor = amplitudes(6)
        let expected: Tensor = FourierDensity(amplitudes: a).pdf(grid)
        let turned: Tensor = a * Tensor([0.6, -0.8], [2], dtype: .float64, device: .cpu).viewAsComplex()
        #expect(relativeError(FourierDensity(amplitudes: turned).pdf(grid), expected) < 1e-12)
        #expect(relativeError(FourierDensity(amplitudes: a * 37).pdf(grid), expected) < 1e-12)
        let mirrored: Tensor = FourierDensity(amplitudes: a.conjugate()).pdf(grid).flipped(axes: [-1])
        #expect(relativeError(mirrored, expected) < 1e-12)
    }

    /// `|1 + e^{iπ(z − 0.3)}|²` is largest at 0.3: with the conjugate on the wrong factor the density is its mirror image.
    @Test func densitiesAreNotMirrored() {
        let phase: Double = -0.3 * Double.pi
        let parts: Tensor = Tensor([1, 0, cos(phase), sin(phase)], [2, 2], device: .cpu)
        let density: FourierDensity = FourierDensity(amplitudes: parts.viewAsComplex())
        #expect(abs(grid[density.pdf(grid).argMax(axis: -1)].item(Double.self) - 0.3) < 1e-3)
        #expect(abs(density.pdf(Tensor([0.3], device: .cpu)).item(Double.self) - 1) < 1e-12)
    }

    @Test func distributionFunctionsRiseFromZeroToOneWithTheDensityAsSlope() {
        let density: FourierDensity = density(9)
        let ends: Tensor = density.cdf(Tensor([-1.0, 1.0], device: .cpu))
        #expect((ends - Tensor([0.0, 1.0], device: .cpu)).abs().max().item(Double.self) < 1e-12)
        let places: Tensor = Tensor.linspace(-0.95, 0.9, count: 40, dtype: .float64, device: .cpu).requiringGrad()
        let slope: Tensor = gradients(of: [density.cdf(places).sum(axis: 0).sum()], withRespectTo: [places])[0]
        #expect(relativeError(slope, density.pdf(places).sum(axis: 0)) < 1e-10)
    }

    @Test func quantilesInvertAndSamplesFollowTheDistribution() {
        let density: FourierDensity = density(4)
        let shares: Tensor = Tensor([0.01, 0.3, 0.5, 0.9], [1, 4], device: .cpu).expanded(to: [3, 4])
        #expect((density.cdf(density.quantile(shares)) - shares).abs().max().item(Double.self) < 1e-6)
        let draws: Tensor = density.sample(4000, generator: RandomGenerator(seed: 3, device: .cpu))
        #expect(draws.shape == [3, 4000])
        // The largest distance of the empirical from the true distribution; 1.63 / √4000 = 0.026 is exceeded once in a hundred.
        let ordered: Tensor = density.cdf(draws).sorted(axis: -1).values
        let steps: Tensor = (Tensor.arange(4000, dtype: .float64, device: .cpu) + 0.5) / 4000
        #expect((ordered - steps).abs().max().item(Double.self) < 0.026)
    }

    @Test func gradientsFlowThroughComplexNumbers() throws {
        let parts: Tensor = .normal([2, 5, 2], dtype: .float64, device: .cpu, generator: RandomGenerator(seed: 8, device: .cpu))
        let places: Tensor = Tensor([-0.7, 0.1, 0.4], device: .cpu)
        for method in AutocorrelationMethod.allCases {
            try gradientCheck([parts, places]) { inputs in
                let density: FourierDensity = FourierDensity(amplitudes: inputs[0].viewAsComplex(), method: method)
                return [
                    density.pdf(inputs[1]), density.logPDF(inputs[1]), density.cdf(inputs[1]), density.probabilities(bins: 12),
                    density.roughness(normalized: false), density.roughness(normalized: true),
                ]
            }
        }
    }

    /// The penalty by its definition, in both variants.
    @Test func roughnessIsItsSum() {
        let a: Tensor = amplitudes(3)
        let density: FourierDensity = FourierDensity(amplitudes: a)
        for row in 0..<3 {
            let c: [(real: Double, imaginary: Double)] = naiveAutocorrelation(a[row])
            let sum: Double = c.indices.reduce(0) { sum, k in
                sum + 2 * Double.pi * Double.pi * Double(k * k) * (c[k].real * c[k].real + c[k].imaginary * c[k].imaginary)
            }
            #expect(abs(density.roughness(normalized: false)[row].item(Double.self) / (2 * sum) - 1) < 1e-12)
            let normalized: Double = 2 * sum / (c[0].real * c[0].real)
            #expect(abs(density.roughness(normalized: true)[row].item(Double.self) / normalized - 1) < 1e-12)
        }
    }
}
