import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct PruneStepTests {
    private let tokens: Tensor = Tensor((0..<24).map { ($0 * $0 + 3 * $0) % 20 }, [2, 12])

    private func subject(_ index: Int) throws -> CompressedModel {
        try CompressedModel(
            PretrainedModel(
                model: CompressedModelTests.models()[index], tokenizer: CharacterTokenizer(corpus: "abcdefghijklmnopqrst")))
    }

    private var text: TextWindows {
        TextWindows(PackedTokens((0..<400).map { ($0 * $0 + 3 * $0) % 20 }, vocabularySize: 20), context: 12, rows: 4, seed: 0)
    }

    private func logits(_ subject: CompressedModel) throws -> Tensor {
        let model: any CausalLanguageModel = try #require(subject.languageModel)
        return noGrad { model(tokens) }
    }

    private func sparseLayers(_ subject: CompressedModel) -> [(path: String, layer: SparseLinear)] {
        subject.model.linearMaps.compactMap { path, layer in (layer as? SparseLinear).map { (path, $0) } }
    }

    @Test(arguments: [0, 1, 2], PruneStep.Scope.allCases) func theLargestElementsStay(index: Int, scope: PruneStep.Scope) throws {
        var subject: CompressedModel = try subject(index)
        let before: [String: Tensor] = Dictionary(
            uniqueKeysWithValues: subject.denseLinearMaps.map { ($0.path, $0.layer.denseWeight().detached().cloned()) })
        let step: PruneStep = try PruneStep(sparsity: 0.6, scope: scope)
        let planned: CompressionReport = try subject.compress([step], context: CompressionContext(), dryRun: true)
        #expect(sparseLayers(subject).isEmpty)
        let report: CompressionReport = try subject.compress([step], context: CompressionContext())
        #expect(report.steps[0].choices == planned.steps[0].choices && report.memory == planned.memory)
        let layers: [(path: String, layer: SparseLinear)] = sparseLayers(subject)
        #expect(Set(layers.map(\.path)) == Set(before.keys))
        var (smallestKept, largestDropped, kept, all): (Double, Double, Int, Int) = (.infinity, 0, 0, 0)
        for (path, layer) in layers {
            let old: Tensor = before[path]!
            #expect(layer.denseWeight().isEqual(to: old * layer.mask.asType(old.dtype)))
            #expect(layer.byteCount == report.steps[0].choices.first { $0.path == path }?.bytesAfter)
            if scope == .layer { #expect(layer.count == old.count - Int((0.6 * Double(old.count)).rounded())) }
            let sizes: Tensor = old.abs()
            let (low, high): (Double, Double) = (
                sizes.maskedSelect(layer.mask).min().item(Double.self), sizes.maskedSelect(layer.mask.logicalNot()).max().item(Double.self)
            )
            if scope == .layer { #expect(low >= high) }
            (smallestKept, largestDropped) = (min(smallestKept, low), max(largestDropped, high))
            (kept, all) = (kept + layer.count, all + old.count)
        }
        #expect(kept == all - Int((0.6 * Double(all)).rounded()) || scope == .layer)
        #expect(scope == .layer || smallestKept >= largestDropped)
    }

    @Test(arguments: [0, 1, 2]) func aFolderHoldsThePrunedModel(index: Int) throws {
        for sparsity in [0.0, 0.5, 1] {
            var subject: CompressedModel = try subject(index)
            _ = try subject.compress([PruneStep(sparsity: sparsity)], context: CompressionContext())
            let expected: Tensor = try logits(subject)
            try TestPaths.withTemporaryFolder { folder in
                try subject.save(to: folder)
                let read: CompressedModel = try CompressedModel.load(from: folder)
                #expect(try logits(read).isEqual(to: expected))
                #expect(read.bytes == subject.bytes && sparseLayers(read).map(\.layer.count) == sparseLayers(subject).map(\.layer.count))
                #expect(read.multiplyOut().isEmpty)
                #expect(try logits(read).isClose(to: expected, relative: 1e-5, absolute: 1e-6))
            }
        }
    }

    @Test func whatIsDroppedStaysZeroInFineTuning() throws {
        var (cut, tuned): (CompressedModel, CompressedModel) = (try subject(0), try subject(0))
        let context: CompressionContext = CompressionContext(calibration: text)
        let before: CompressionReport = try cut.compress([PruneStep(sparsity: 0.8)], text: text, context: context)
        let after: CompressionReport = try tuned.compress(
            [PruneStep(sparsity: 0.8, steps: 40, learningRate: 1e-2)], text: text, context: context)
        #expect(try #require(after.perplexity?.after) < 0.8 * #require(before.perplexity?.after))
        for ((_, fixed), (_, trained)) in zip(sparseLayers(cut), sparseLayers(tuned)) {
            #expect(trained.mask.isEqual(to: fixed.mask) && !trained.values.isEqual(to: fixed.values))
        }
    }

    /// Gradients of the input and of the kept elements are the dense layer's.
    @Test func gradientsAreTheDenseLayers() {
        let generator: RandomGenerator = RandomGenerator(seed: 4, device: .cpu)
        func normal(_ shape: [Int]) -> Tensor { .normal(shape, dtype: .float64, device: .cpu, generator: generator) }
        let weight: Tensor = normal([5, 19])
        let mask: Tensor = weight .> 0
        let layer: SparseLinear = SparseLinear(Linear(weight: weight, bias: normal([5])), keeping: mask)
        #expect(layer.multiplyAccumulates == mask.sum().item(Int.self))
        let (x, masked): (Tensor, Tensor) = (normal([3, 19]).requiringGrad(), (weight * mask.asType(.float64)).requiringGrad())
        let expected: [Tensor] = gradients(of: [linear(x, weight: masked, bias: layer.bias).square().sum()], withRespectTo: [x, masked])
        let found: [Tensor] = gradients(of: [layer(x).square().sum()], withRespectTo: [x, layer.values])
        #expect(largest(found[0] - expected[0]) < 1e-12)
        #expect(largest(found[1] - expected[1].maskedSelect(mask)) < 1e-12)
    }

    @Test func settingsAreChecked() throws {
        func complaint(_ json: String) -> String {
            do {
                _ = try JSONDecoder().decode(CompressionRecipe.self, from: Data(#"{"steps": [{"prune": \#(json)}]}"#.utf8))
                return "nothing"
            } catch { return "\(error)" }
        }
        #expect(complaint(#"{"sparsity": 0.5, "scope": "model"}"#) == "nothing")
        #expect(complaint(#"{"sparsity": 1.5}"#).contains("sparsity is 1.5"))
        #expect(complaint(#"{"steps": -1}"#).contains("steps is -1"))
        #expect(complaint(#"{"sparse": 1}"#).contains("sparse"))
        var twice: CompressedModel = try subject(0)
        #expect(throws: ConfigurationError.self) { try twice.compress([PruneStep(steps: 2)], context: CompressionContext()) }
        _ = try twice.compress([PruneStep()], context: CompressionContext())
        #expect(throws: ConfigurationError.self) { try twice.compress([PruneStep()], context: CompressionContext()) }
        for kept in [-1, 1000] {
            #expect(throws: ConfigurationError.self) {
                try SparseLinear.empty(SparseLinear.Configuration(kept: kept), replacing: Linear(4, 4))
            }
        }
    }
}
