import NN
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct LowRankLinearTests {
    private let generator: RandomGenerator = RandomGenerator(seed: 1)

    private func layer(_ inputs: Int, _ outputs: Int, dtype: DType = .float64) -> Linear {
        Linear(inputs, outputs, generator: generator).to(dtype: dtype)
    }

    @Test func fullRankReproducesTheMatrix() {
        for (dtype, tolerance) in [(DType.float64, 1e-12), (.float32, 1e-5)] {
            for (inputs, outputs) in [(7, 5), (5, 7)] {
                let dense: Linear = layer(inputs, outputs, dtype: dtype)
                let factors: LowRankLinear = LowRankLinear(dense, rank: 5)
                #expect(factors.denseWeight().isClose(to: dense.weight, relative: 0, absolute: tolerance))
                let x: Tensor = .normal([3, 2, inputs], dtype: dtype, generator: generator)
                #expect(factors(x).isClose(to: dense(x), relative: 0, absolute: 4 * tolerance))
            }
        }
    }

    @Test func theErrorIsTheTailOfTheSpectrum() {
        let dense: Linear = layer(9, 6)
        let values: [Double] = dense.weight.singularValues().array()
        for rank in 0...6 {
            let error: Double = (dense.weight - LowRankLinear(dense, rank: rank).denseWeight()).square().sum().item()
            let tail: Double = values.dropFirst(rank).reduce(0) { $0 + $1 * $1 }
            #expect(abs(error - tail) <= 1e-8, "rank \(rank)")
        }
    }

    @Test func factorsAreBalanced() {
        let factors: LowRankLinear = LowRankLinear(layer(8, 6), rank: 3)
        let (left, right): (Tensor, Tensor) = (
            factors.left.denseWeight().norm(axes: [0]), factors.right.denseWeight().norm(axes: [1])
        )
        #expect(left.isClose(to: right, relative: 1e-10))
    }

    @Test func bothFactorsAndTheBiasAreTrained() throws {
        let factors: LowRankLinear = LowRankLinear(layer(4, 3), rank: 2)
        #expect(factors.namedParameters().map(\.name) == ["left.weight", "left.bias", "right.weight"])
        #expect(factors.trainableParameters().count == 3)
        let x: Tensor = .normal([5, 4], dtype: .float64, generator: generator)
        let leaves: [Tensor] = [factors.left.denseWeight().detached(), factors.right.denseWeight().detached(), x]
        try gradientCheck(leaves) { [LowRankLinear(left: $0[0] + 0, right: $0[1] + 0)($0[2])] }
    }

    @Test func rankZeroLeavesTheBias() {
        let dense: Linear = layer(4, 3)
        let factors: LowRankLinear = LowRankLinear(dense, rank: 0)
        let x: Tensor = .normal([2, 4], dtype: .float64, generator: generator)
        #expect(factors(x).isEqual(to: dense.bias!.expanded(to: [2, 3])))
        #expect(factors.multiplyAccumulates == 0)
    }

    @Test func costAndRandomStart() {
        let factors: LowRankLinear = LowRankLinear(64, 32, rank: 8, generator: generator)
        #expect(factors.multiplyAccumulates == 8 * 96 && factors.parameterCount == 8 * 96 + 32)
        #expect(CostModel(of: factors).linearMultiplyAccumulates == 8 * 96)
        let variance: Double = factors.denseWeight().variance().item(Double.self)
        #expect(abs(variance * 3 * 64 - 1) < 0.4)
    }
}

@Suite(.ownRandomNumbers) struct WeLoreTests {
    private func model(seed: UInt64 = 0, dtype: DType = .float32) throws -> PlainTransformer {
        let configuration: PlainTransformerConfiguration = try PlainTransformerConfiguration(
            vocabularySize: 11, dimensions: 16, layers: 2, heads: 2, maximumContext: 16)
        // A generator of its own: tests beside this one draw from the shared one.
        return PlainTransformer(configuration, generator: RandomGenerator(seed: seed, device: .cpu)).to(dtype: dtype)
    }

    private let tokens: Tensor = Tensor([1, 4, 2, 9, 0, 3], [1, 6], dtype: .int64)

    @Test func reductionGrowsWithTheThresholdAndThePlanHitsItsTarget() throws {
        let spectra: [LayerSpectrum] = WeLore.singularSpectra(try model())
        #expect(spectra.count == 12 && spectra.allSatisfy { $0.values.count == 16 })
        let total: Double = 12 * 16
        for normalization in SpectrumNormalization.allCases {
            var last: Double = 0
            for step in 0...200 {
                let reduction: Double = WeLore.effectiveRankReduction(
                    spectra, threshold: 0.005 * Double(step), normalization: normalization)
                #expect(reduction >= last)
                last = reduction
            }
            for target in [0.1, 0.25, 0.5, 0.77, 0.9] {
                let plan: RankPlan = try WeLore.plan(spectra, targetERR: target, minRatio: 0, normalization: normalization)
                #expect(abs(plan.attemptedReduction - target) <= 1 / total)
                let threshold: Double = try #require(plan.threshold)
                #expect(
                    WeLore.effectiveRankReduction(spectra, threshold: threshold, normalization: normalization)
                        == plan.attemptedReduction)
            }
        }
    }

    @Test func normalizations() {
        let spectrum: LayerSpectrum = LayerSpectrum(path: "a", outputDimensions: 3, inputDimensions: 4, values: [4, 2, 1])
        #expect(spectrum.normalized(.minMax) == [1, 1.0 / 3, 0])
        #expect(spectrum.normalized(.max) == [1, 0.5, 0.25])
        #expect(spectrum.normalized(.frobenius) == [4, 2, 1].map { $0 / 21.0.squareRoot() })
        let flat: LayerSpectrum = LayerSpectrum(path: "a", outputDimensions: 2, inputDimensions: 2, values: [3, 3])
        #expect(flat.normalized(.minMax) == [1, 1])
        let empty: LayerSpectrum = LayerSpectrum(path: "a", outputDimensions: 2, inputDimensions: 2, values: [0, 0])
        #expect(SpectrumNormalization.allCases.allSatisfy { empty.normalized($0) == [0, 0] })
    }

    @Test func extremesOfTheTarget() throws {
        let spectra: [LayerSpectrum] = WeLore.singularSpectra(try model())
        let none: RankPlan = try WeLore.plan(spectra, targetERR: 0, minRatio: 0)
        #expect(none.attemptedReduction == 0 && none.parameterRatio == 1 && none.layers.allSatisfy { !$0.isLowRank })
        let all: RankPlan = try WeLore.plan(spectra, targetERR: 1, minRatio: 0)
        #expect(all.attemptedReduction == 1 && all.parameterRatio == 0 && all.layers.allSatisfy { $0.rank == 0 })
        #expect(throws: ConfigurationError.self) { try WeLore.plan(spectra, targetERR: 1.1) }
        #expect(throws: ConfigurationError.self) { try WeLore.plan(spectra, targetERR: .nan) }
        #expect(throws: ConfigurationError.self) { try UniformRankPlan(reduction: -0.1) }
    }

    /// The scale of a matrix and the basis of its outputs say nothing about its rank.
    @Test func thePlanIgnoresScaleAndRotation() throws {
        let dense: PlainTransformer = try model(dtype: .float64)
        let changed: PlainTransformer = try model(dtype: .float64)
        let generator: RandomGenerator = RandomGenerator(seed: 5)
        noGrad {
            for (index, entry) in changed.blockLinearMaps.enumerated() {
                let rows: Int = entry.layer.outputDimensions
                let rotation: Tensor = Tensor.normal([rows, rows], dtype: .float64, generator: generator).qr().q
                let weight: Tensor = entry.layer.denseWeight()
                weight.copy_(from: rotation.matmul(weight) * Double(index + 1))
            }
        }
        let (spectra, others): ([LayerSpectrum], [LayerSpectrum]) = (WeLore.singularSpectra(dense), WeLore.singularSpectra(changed))
        for normalization in SpectrumNormalization.allCases {
            let plans: [RankPlan] = try [spectra, others].map { try WeLore.plan($0, targetERR: 0.6, normalization: normalization) }
            #expect(plans[0].layers == plans[1].layers)
        }
    }

    @Test func onlyLayersThatLoseEnoughAreReplaced() throws {
        let spectra: [LayerSpectrum] = [
            LayerSpectrum(path: "steep", outputDimensions: 4, inputDimensions: 4, values: [1, 0.3, 0.2, 0.1]),
            LayerSpectrum(path: "flat", outputDimensions: 4, inputDimensions: 4, values: [1, 0.95, 0.9, 0.1]),
        ]
        let plan: RankPlan = try WeLore.plan(spectra, targetERR: 0.5, normalization: .minMax)
        #expect(plan.layers.map(\.rank) == [1, 3] && plan.layers.map(\.isLowRank) == [true, false])
        #expect(plan.attemptedReduction == 0.5 && plan.achievedReduction == 0.375)
        #expect(plan.parameterRatio == Double(1 * 8 + 16) / 32)
        let uniform: RankPlan = try UniformRankPlan(reduction: 0.5).plan(spectra)
        #expect(uniform.layers.map(\.rank) == [2, 2] && uniform.parameterRatio == 1)
    }

    @Test func factorsAndTheirProductGiveTheSameModel() throws {
        let plan: RankPlan = try WeLore.plan(WeLore.singularSpectra(try model()), targetERR: 0.5, minRatio: 0.5)
        #expect(plan.layers.contains { $0.isLowRank } && plan.layers.contains { !$0.isLowRank })
        let (factored, merged): (PlainTransformer, PlainTransformer) = (try model(), try model())
        factored.train(false)
        let report: CompressionReport = WeLore.apply(plan, to: factored)
        #expect(report.memory.after == Double(factored.byteCount) && report.steps[0].choices.count == 12)
        WeLore.apply(plan, to: merged, as: .merged)
        #expect(factored(tokens).isClose(to: merged(tokens), relative: 1e-4, absolute: 1e-6))
        #expect(!factored(tokens).isClose(to: try model()(tokens), relative: 1e-4, absolute: 1e-6))
        #expect(factored.namedModules().allSatisfy { !$0.module.isTraining })
        let kept: Int = plan.layers.reduce(0) { $0 + $1.keptCount }
        #expect(factored.blockLinearMaps.reduce(0) { $0 + $1.layer.parameterCount } == kept)
        #expect(merged.parameterCount == (try model()).parameterCount)
    }

    @Test func fineTuningLeavesEverythingElseAlone() throws {
        let model: PlainTransformer = try model()
        let plan: RankPlan = try WeLore.plan(WeLore.singularSpectra(model), targetERR: 0.6)
        WeLore.apply(plan, to: model)
        WeLore.freezeForFinetuning(model)
        let trained: [String] = model.namedParameters().filter { $0.tensor.requiresGrad }.map(\.name)
        let factors: [String] = plan.layers.filter(\.isLowRank).flatMap { ["\($0.path).left.weight", "\($0.path).right.weight"] }
        #expect(Set(factors).isSubset(of: trained))
        #expect(Set(trained).subtracting(factors).allSatisfy { $0.contains("norm.") })
        #expect(!trained.contains { $0.hasPrefix("embedding") || $0.hasPrefix("positions") || $0.hasPrefix("head") })
    }

    @Test func otherArchitectures() throws {
        let bert: BertModel = BertModel(
            try BertConfiguration(vocabularySize: 20, dimensions: 8, hiddenDimensions: 16, layers: 2, heads: 2, maximumContext: 12))
        #expect(WeLore.singularSpectra(bert).map(\.path).allSatisfy { $0.hasPrefix("encoder.layer.") })
        #expect(WeLore.singularSpectra(bert).count == 12)
        WeLore.apply(try WeLore.plan(WeLore.singularSpectra(bert), targetERR: 0.5, minRatio: 0.3), to: bert)
        #expect(bert(tokens).meanPooled.shape == [1, 8])
        let gpt2: GPT2Model = GPT2Model(
            try GPT2Configuration(vocabularySize: 11, dimensions: 8, layers: 1, heads: 2, maximumContext: 12))
        let spectra: [LayerSpectrum] = WeLore.singularSpectra(gpt2)
        #expect(spectra.map(\.outputDimensions) == [24, 8, 32, 8])
        gpt2.train(false)
        let before: Tensor = gpt2(tokens)
        let full: RankPlan = RankPlan(spectra, ranks: [8, 8, 8, 8], minRatio: -1, threshold: nil)
        WeLore.apply(full, to: gpt2)
        #expect(gpt2(tokens).isClose(to: before, relative: 1e-4, absolute: 1e-5))
        let gated: LanguageModel = try LanguageModel(
            LanguageModelConfiguration(vocabularySize: 11, dimensions: 8, layers: 1, mixer: MixerConfiguration(.gla, heads: 2)))
        // The two small factors of the gate are held as what they are.
        #expect(gated.blockLinearMaps.contains { $0.path.contains("gk_proj") })
        let plan: RankPlan = try WeLore.plan(WeLore.singularSpectra(gated), targetERR: 0.7)
        #expect(plan.layers.count > 4 && !plan.layers.contains { $0.path.contains("gk_proj") })
        WeLore.apply(plan, to: gated)
        #expect(gated(tokens).shape == [1, 6, 11])
    }
}

@Suite(.ownRandomNumbers) struct GradientSubspaceProbeTests {
    private let generator: RandomGenerator = RandomGenerator(seed: 2)

    private func orthonormal(_ rows: Int, _ columns: Int) -> Tensor {
        Tensor.normal([rows, columns], dtype: .float64, generator: generator).qr().q
    }

    @Test func overlapOfKnownSubspaces() {
        let probe: GradientSubspaceProbe = GradientSubspaceProbe(rank: 2)
        let basis: Tensor = orthonormal(6, 6)
        let rows: Tensor = orthonormal(5, 3).mT
        func gradient(_ columns: [Int]) -> Tensor { basis[0..., columns].matmul(rows.narrowed(axis: 0, start: 0, length: 2)) }
        probe.record("w", step: 0, gradient([0, 1]))
        probe.record("w", step: 10, gradient([1, 2]))
        probe.record("w", step: 20, gradient([3, 4]))
        #expect(abs(probe.overlap(of: "w", between: 0, and: 0) - 1) < 1e-12)
        #expect(abs(probe.overlap(of: "w", between: 0, and: 1) - 0.5) < 1e-12)
        #expect(abs(probe.overlap(of: "w", between: 0, and: 2)) < 1e-12)
        #expect(abs(probe.overlap(of: "w", between: 0, and: 2, side: .right) - 1) < 1e-12)
        #expect(abs(probe.mean(.overlap, of: "w") - (0.5 + 1 + 0 + 1) / 4) < 1e-12)
        #expect(abs(probe.mean(.stableRank, of: "w") - 2) < 1e-12)
        #expect(abs(probe.similarity(of: "w", between: 0, and: 0) - 1) < 1e-12)
        #expect(abs(probe.similarity(of: "w", between: 0, and: 2)) < 1e-12)
    }

    @Test func gradientsAreThoseOfTheWeights() throws {
        let model: GPT2Model = GPT2Model(
            try GPT2Configuration(vocabularySize: 11, dimensions: 8, layers: 1, heads: 2, maximumContext: 12),
            generator: RandomGenerator(seed: 0, device: .cpu))
        let tokens: Tensor = Tensor([1, 4, 2, 9], [1, 4], dtype: .int64)
        let probe: GradientSubspaceProbe = GradientSubspaceProbe(rank: 3)
        probe.record(model, step: 0) { model(tokens).square().mean() }
        #expect(probe.snapshots.count == 4)
        let attention: GPT2Attention = try #require(model.blocks[0].attention as? GPT2Attention)
        let projection: TransposedLinear = try #require(attention.projection as? TransposedLinear)
        let gradient: Tensor = valueAndGrad(of: [projection.weight]) { model(tokens).square().mean() }.gradients[0]
        let snapshot: GradientSubspaceProbe.Snapshot = try #require(probe.snapshots["transformer.h.0.attn.c_attn"]?.first)
        #expect(snapshot.direction.isClose(to: gradient.mT / gradient.norm(), relative: 1e-4, absolute: 1e-6))
        #expect(snapshot.left.shape == [24, 3] && snapshot.right.shape == [3, 8])
    }

    @Test func rankCorrelation() throws {
        #expect(spearmanCorrelation([1, 2, 3, 4], [10, 20, 30, 1000]) == 1)
        #expect(spearmanCorrelation([1, 2, 3, 4], [4, 3, 2, 1]) == -1)
        #expect(abs(spearmanCorrelation([1, 2, 2, 3], [1, 2, 3, 4]) - 0.9486832980505138) < 1e-12)
        #expect(spearmanCorrelation([1, 1], [1, 2]).isNaN)
        // Stable ranks 1 and 2 against 3 and 1 of 4 singular values dropped.
        let probe: GradientSubspaceProbe = GradientSubspaceProbe(rank: 1)
        let basis: Tensor = orthonormal(4, 4)
        probe.record("a", step: 0, basis.narrowed(axis: 1, start: 0, length: 1).matmul(basis.mT.narrowed(axis: 0, start: 0, length: 1)))
        probe.record("b", step: 0, basis.narrowed(axis: 1, start: 0, length: 2).matmul(basis.mT.narrowed(axis: 0, start: 0, length: 2)))
        let spectra: [LayerSpectrum] = ["a", "b"].map {
            LayerSpectrum(path: $0, outputDimensions: 4, inputDimensions: 4, values: [4, 3, 2, 1])
        }
        let plan: RankPlan = RankPlan(spectra, ranks: [1, 3], minRatio: 0, threshold: nil)
        #expect(probe.rankCorrelation(of: .stableRank, with: plan) == -1)
    }
}
