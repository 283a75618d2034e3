import Foundation
import NN
import TestSupport
import Testing
import Torch

@testable import SequenceModels

@Suite(.ownRandomNumbers) struct FourierHeadTests {
    private func hidden(_ shape: [Int], seed: UInt64 = 2) -> Tensor {
        .normal(shape, device: .cpu, generator: RandomGenerator(seed: seed, device: .cpu))
    }

    @Test func logitsAreThoseOfTheDensityAtTheBins() throws {
        let head: FourierHead = FourierHead(dim: 6, bins: 20, frequencies: 4, gamma: 0.5)
        head.to(dtype: .float64)
        let x: Tensor = hidden([2, 3, 6]).asType(.float64)
        let logits: Tensor = head(x)
        #expect(logits.shape == [2, 3, 20])
        #expect(head.parameterCount == 2 * 5 * 7)
        let centres: Tensor = Tensor((0..<20).map { -1 + (2 * Double($0) + 1) / 20 }, device: .cpu)
        let densities: Tensor = head.density(x).pdf(centres)
        #expect(densities.min().item(Double.self) > 0)
        let wanted: Tensor = densities / densities.sum(axis: -1, keepDims: true)
        // The floor in the logarithm is all that the softmax differs by.
        #expect((logits.softmax() - wanted).abs().max().item(Double.self) < 2e-4)
        #expect(relativeError(logits.exp() - 1e-5, wanted) < 1e-10)
        let penalty: Tensor = try #require(head.regularization)
        #expect(relativeError(penalty, head.density(x).roughness(normalized: false).mean() * 0.5) < 1e-12)
        try gradientCheck([x]) { [head($0[0]), head.regularization ?? .zeros([])] }
    }

    /// Weights and bias of a linear layer over 100; real parts come before imaginary ones.
    @Test func amplitudesAreTheProjectionsHalves() {
        let head: FourierHead = FourierHead(dim: 4, bins: 9, frequencies: 3, generator: RandomGenerator(seed: 5))
        let linear: Linear = Linear(4, 8, generator: RandomGenerator(seed: 5))
        #expect(relativeError(head.projection.weight, linear.weight / 100) < 1e-6)
        #expect(head.regularization == nil)
        let x: Tensor = hidden([5, 4])
        let amplitudes: Tensor = head.density(x).amplitudes
        let outputs: Tensor = linear(x) / 100
        #expect(relativeError(amplitudes.real(), outputs.narrowed(axis: 1, start: 0, length: 4)) < 1e-5)
        #expect(relativeError(amplitudes.imaginary(), outputs.narrowed(axis: 1, start: 4, length: 4)) < 1e-5)
    }

    @Test func likelihoodHeadsScoreTheirDensity() throws {
        let head: FourierHeadMLE = FourierHeadMLE(dim: 3, frequencies: 5, gamma: 0.01, normalizedPenalty: true)
        head.to(dtype: .float64)
        let x: Tensor = hidden([7, 3]).asType(.float64)
        let z: Tensor = Tensor.linspace(-0.9, 0.9, count: 7, dtype: .float64, device: .cpu)
        let density: FourierDensity = head(x)
        let likelihoods: Tensor = density.pdf(z.expandedDimensions(axis: -1)).log()
        let wanted: Tensor = density.roughness(normalized: true).mean() * 0.01 - likelihoods.mean()
        #expect(relativeError(head.loss(x, z), wanted) < 1e-10)
        try gradientCheck([x]) { [head.loss($0[0], z)] }
    }

    @Test func mixtureHeadsGiveTheMassesOfTheirBins() throws {
        let head: GaussianMixtureHead = GaussianMixtureHead(dim: 3, bins: 8, components: 2)
        head.to(dtype: .float64)
        let x: Tensor = hidden([4, 3]).asType(.float64)
        let masses: Tensor = head(x).exp() - 1e-5
        #expect((masses.sum(axis: -1) - 1).abs().max().item(Double.self) < 1e-12)
        // Against the mixture's density, summed over many places of each bin.
        let parts: [Tensor] = head.projection(x).split(size: 2, axis: -1)
        let scales: Tensor = (parts[1].softplus() + 0.05).expandedDimensions(axis: -1)
        let places: Tensor = FourierDensity.binCentres(8 * 500, dtype: .float64, device: .cpu)
        let normal: Tensor = (((places - parts[0].tanh().expandedDimensions(axis: -1)) / scales).square() * -0.5).exp() / scales
        let mixture: Tensor = (normal * parts[2].softmax().expandedDimensions(axis: -1)).sum(axis: 1)
        let summed: Tensor = mixture.reshaped(4, 8, 500).sum(axis: -1)
        #expect(relativeError(masses, summed / summed.sum(axis: -1, keepDims: true)) < 1e-5)
        try gradientCheck([x]) { [head($0[0])] }
    }

    // MARK: Smoothness

    /// The definition, place by place.
    private func naiveSmoothness(_ y: [Double]) -> Double {
        let m: Int = y.count
        return (1...100).reduce(0) { total, sigma in
            let weights: [Double] = (-(m - 1)...(m - 1)).map { exp(-Double($0 * $0) / Double(2 * sigma * sigma)) }
            let sum: Double = weights.reduce(0, +)
            let squares: Double = (0..<m).reduce(0) { squares, place in
                let filtered: Double = weights.indices.reduce(0) { $0 + weights[$1] / sum * y[(place + $1 - (m - 1) + m) % m] }
                return squares + (y[place] - filtered) * (y[place] - filtered)
            }
            return total + 6 / (Double.pi * Double.pi) / Double(sigma * sigma) * squares.squareRoot()
        }
    }

    @Test func smoothnessIsItsDefinition() {
        let pmf: Tensor = hidden([3, 11]).asType(.float64).softmax()
        let wanted: [Double] = (0..<3).map { naiveSmoothness(pmf[$0].array()) }
        #expect(relativeError(smoothness(pmf), Tensor(wanted, device: .cpu)) < 1e-10)
    }

    @Test func uniformIsSmoothestAndASingleBinRoughest() {
        #expect(smoothness(Tensor.full([50], 0.02, dtype: .float64, device: .cpu)).item(Double.self) < 1e-12)
        let single: Tensor = smoothness(Tensor([0.0, 0, 1, 0, 0, 0, 0, 0, 0, 0], device: .cpu))
        let others: Tensor = smoothness((hidden([200, 10]) * 3).asType(.float64).softmax())
        #expect(others.max().item(Double.self) < single.item(Double.self))
        #expect(others.min().item(Double.self) > 0)
    }

    // MARK: In a language model

    private func configuration(_ head: FourierHeadConfiguration?) throws -> LanguageModelConfiguration {
        try LanguageModelConfiguration(
            vocabularySize: 32, dimensions: 16, layers: 1, mixer: MixerConfiguration(.gla, heads: 2), tiedHead: false, fourierHead: head)
    }

    @Test func languageModelsTakeAFourierHead() throws {
        let model: LanguageModel = try LanguageModel(configuration(FourierHeadConfiguration(frequencies: 6, gamma: 1e-3)))
        #expect(model.head == nil)
        let tokens: Tensor = Tensor([3, 1, 4, 1, 5], [1, 5])
        let logits: Tensor = model(tokens)
        #expect(logits.shape == [1, 5, 32])
        #expect((logits.exp().sum(axis: -1) - 1).abs().max().item(Double.self) < 1e-3)
        #expect(try #require(model.takeAuxiliaryLoss()).item(Double.self) > 0)
        #expect(model.takeAuxiliaryLoss() == nil, "the penalty of a call is taken once")
        let names: Set<String> = Set(model.namedParameters().map(\.name))
        #expect(names.contains("fourier_head.fc_extract_autocorrelation_params.weight"))
        let plain: LanguageModel = try LanguageModel(configuration(nil))
        _ = plain(tokens)
        #expect(plain.takeAuxiliaryLoss() == nil)
    }

    @Test func configurationsWithoutTheHeadAreStillRead() throws {
        let plain: LanguageModelConfiguration = try configuration(nil)
        let data: Data = try JSONEncoder().encode(plain)
        #expect(!String(decoding: data, as: UTF8.self).contains("fourierHead"))
        #expect(try JSONDecoder().decode(LanguageModelConfiguration.self, from: data) == plain)
        let error: ConfigurationError? = #expect(throws: ConfigurationError.self) {
            try configuration(FourierHeadConfiguration(frequencies: 16))
        }
        #expect(error?.description == "model.fourierHead.frequencies is 16; it has to be at least 0 and below half of the 32 bins")
        #expect(throws: ConfigurationError.self) { try configuration(FourierHeadConfiguration(frequencies: 4, gamma: -1)) }
    }
}
