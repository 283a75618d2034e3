import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

/// WeLore and Maestro as steps of a recipe, and what they leave in a folder.
@Suite(.ownRandomNumbers) struct LowRankStepTests {
    private let tokens: Tensor = Tensor((0..<24).map { ($0 * $0 + 3 * $0) % 20 }, [2, 12])

    private func subject() throws -> CompressedModel {
        return try CompressedModel(
            PretrainedModel(model: CompressedModelTests.models()[0], tokenizer: CharacterTokenizer(corpus: "abcdefghijklmnopqrst")))
    }

    private var text: TextWindows {
        TextWindows(PackedTokens((0..<400).map { ($0 * $0 + 3 * $0) % 20 }, vocabularySize: 20), context: 12, rows: 4, seed: 0)
    }

    private func logits(_ model: Module) throws -> Tensor {
        let language: any CausalLanguageModel = try #require(model as? any CausalLanguageModel)
        return noGrad { language(tokens) }
    }

    private func recipe(_ json: String) throws -> [any CompressionStep] {
        try JSONDecoder().decode(CompressionRecipe.self, from: Data(json.utf8)).steps
    }

    @Test func factorsAreKeptAsFactors() throws {
        var subject: CompressedModel = try subject()
        let context: CompressionContext = CompressionContext()
        let steps: [any CompressionStep] = try recipe(#"{"steps": [{"welore": {"reduction": 0.6, "min-ratio": 0.4}}]}"#)
        let planned: CompressionReport = try subject.compress(steps, context: context, dryRun: true)
        #expect(subject.model.compressedLayers.isEmpty)
        let report: CompressionReport = try subject.compress(steps, context: context)
        #expect(report.steps[0].choices == planned.steps[0].choices && report.memory == planned.memory)
        let layers: [(path: String, layer: any LinearMap)] = subject.model.linearMaps
        for choice in report.steps[0].choices {
            let layer: any LinearMap = try #require(layers.first { $0.path == choice.path }?.layer)
            #expect(layer.byteCount == choice.bytesAfter, "\(choice.path)")
            #expect((layer is LowRankLinear) == choice.choice.hasPrefix("rank"))
        }
        #expect(subject.model.compressedLayers.count > 0 && subject.bytes < Int(report.memory.before))
        try TestPaths.withTemporaryFolder { folder in
            try subject.save(to: folder)
            let read: CompressedModel = try CompressedModel.load(from: folder)
            #expect(try logits(read.model).isEqual(to: logits(subject.model)))
            #expect(read.bytes == subject.bytes && CompressedModel.bytesOnDisk(folder) < subject.bytes + 12_000)
            let expected: Tensor = try logits(read.model)
            #expect(read.multiplyOut().isEmpty)
            #expect(try logits(read.model).isClose(to: expected, relative: 1e-4, absolute: 1e-5))
            #expect(read.bytes == Int(report.memory.before))
        }
    }

    @Test func factorsHaveTheTypeOfTheirMatrixOnDisk() throws {
        let model: any CausalLanguageModel = try CompressedModelTests.models()[1]
        model.to(dtype: .bfloat16)
        try TestPaths.withTemporaryFolder { folder in
            try PretrainedModel(model: model, tokenizer: CharacterTokenizer(corpus: "abcdefghijklmnopqrst")).save(to: folder)
            let output: URL = folder.appendingPathComponent("out")
            var subject: CompressedModel = try CompressedModel.load(from: folder)
            _ = try subject.compress([WeLoreStep(reduction: 0.9)], context: CompressionContext())
            try subject.save(to: output)
            let types: [String: DType] = try loadTensors(output).mapValues(\.dtype)
            #expect(types["transformer.h.0.attn.c_attn.left.weight"] == .bfloat16)
            #expect(types.values.allSatisfy { $0 == .bfloat16 })
        }
    }

    @Test func factorsAreQuantisedByTheNextStep() throws {
        var subject: CompressedModel = try subject()
        let steps: [any CompressionStep] = try recipe(
            #"{"steps": [{"welore": {"reduction": 0.6, "min-ratio": 0.4}}, {"quantize": {"bits": 8, "group-size": 16}}]}"#)
        let dense: Tensor = try logits(subject.model)
        let report: CompressionReport = try subject.compress(steps, context: CompressionContext())
        #expect(report.steps.count == 2 && report.steps[1].choices.contains { $0.path.hasSuffix(".left") })
        let layer: LowRankLinear = try #require(subject.model.linearMaps.compactMap { $0.layer as? LowRankLinear }.first)
        #expect(layer.left is QuantizedLinear && layer.right is QuantizedLinear)
        #expect(try !logits(subject.model).isClose(to: dense, relative: 1e-3, absolute: 1e-3))
        try TestPaths.withTemporaryFolder { folder in
            try subject.save(to: folder)
            let read: CompressedModel = try CompressedModel.load(from: folder)
            #expect(try logits(read.model).isEqual(to: logits(subject.model)))
            #expect(read.history.count == 2)
        }
    }

    @Test func aLayerWithoutAnyRankIsKept() throws {
        var subject: CompressedModel = try subject()
        _ = try subject.compress([WeLoreStep(reduction: 1)], context: CompressionContext())
        #expect(subject.model.linearMaps.compactMap { $0.layer as? LowRankLinear }.allSatisfy { $0.rank == 0 })
        try TestPaths.withTemporaryFolder { folder in
            try subject.save(to: folder)
            #expect(try logits(CompressedModel.load(from: folder).model).isEqual(to: logits(subject.model)))
        }
    }

    @Test func fineTuningLowersTheLossOfTheText() throws {
        var (cut, tuned): (CompressedModel, CompressedModel) = (try subject(), try subject())
        let context: CompressionContext = CompressionContext(calibration: text)
        let before: CompressionReport = try cut.compress([WeLoreStep(reduction: 0.7)], text: text, context: context)
        let after: CompressionReport = try tuned.compress(
            [WeLoreStep(reduction: 0.7, steps: 30, learningRate: 1e-2)], text: text, context: context)
        #expect(try #require(after.perplexity?.after) < 0.9 * #require(before.perplexity?.after))
        #expect(after.memory == before.memory)
        let (loose, fixed): ([String: Tensor], [String: Tensor]) = (state(of: tuned), state(of: cut))
        #expect(loose["model.embed_tokens.weight"]!.isEqual(to: fixed["model.embed_tokens.weight"]!))
        #expect(throws: ConfigurationError.self) {
            var other: CompressedModel = try subject()
            _ = try other.compress([WeLoreStep(steps: 3)], context: CompressionContext())
        }
    }

    private func state(of subject: CompressedModel) -> [String: Tensor] { Dictionary(uniqueKeysWithValues: subject.model.stateTensors()) }

    @Test func maestroTrainsAndKeepsTheBudget() throws {
        var subject: CompressedModel = try subject()
        let dense: Int = subject.model.denseMatrices.reduce(0) { $0 + $1.layer.multiplyAccumulates }
        let steps: [any CompressionStep] = try recipe(
            #"{"steps": [{"maestro": {"budget": 0.5, "steps": 20, "learning-rate": 0.01, "shrink-every": 5}}]}"#)
        let context: CompressionContext = CompressionContext(calibration: text)
        let planned: CompressionReport = try subject.compress(steps, text: text, context: context, dryRun: true)
        #expect(planned.steps[0].choices.count == 14 && subject.model.compressedLayers.isEmpty)
        let report: CompressionReport = try subject.compress(steps, text: text, context: context)
        let layers: [String: any LinearMap] = Dictionary(
            uniqueKeysWithValues: (try #require(subject.languageModel)).blockLinearMaps.map { ($0.path, $0.layer) })
        #expect(layers.values.reduce(0) { $0 + $1.multiplyAccumulates } <= dense / 2)
        for choice in report.steps[0].choices { #expect(layers[choice.path]?.byteCount == choice.bytesAfter) }
        #expect(Maestro.layers(of: subject.model).isEmpty && subject.model.trainableParameters().isEmpty)
        try TestPaths.withTemporaryFolder { folder in
            try subject.save(to: folder)
            #expect(try logits(CompressedModel.load(from: folder).model).isEqual(to: logits(subject.model)))
        }
    }

    /// A matrix that is multiplied back is stored as its model's format has it.
    @Test func aDenseLayerOfGPT2IsTransposedAgain() throws {
        var subject: CompressedModel = try CompressedModel(
            PretrainedModel(model: CompressedModelTests.models()[1], tokenizer: CharacterTokenizer(corpus: "abcdefghijklmnopqrst")))
        let before: Tensor = try logits(subject.model)
        let spectra: [LayerSpectrum] = WeLore.singularSpectra(subject.model)
        let full: RankPlan = RankPlan(spectra, ranks: spectra.map(\.values.count), minRatio: -1, threshold: nil)
        WeLore.apply(full, to: subject.model, as: .merged)
        _ = try subject.compress([MaestroStep(budget: 1, steps: 1, learningRate: 1e-9)], context: CompressionContext(calibration: text))
        #expect(subject.model.compressedLayers.isEmpty)
        try TestPaths.withTemporaryFolder { folder in
            try subject.save(to: folder)
            #expect(try logits(CompressedModel.load(from: folder).model).isClose(to: before, relative: 1e-3, absolute: 1e-3))
        }
    }

    @Test func settingsThatMakeNoSenseAreRefused() throws {
        for settings in [
            #"{"welore": {"reduction": 1.5}}"#, #"{"welore": {"steps": -1}}"#, #"{"welore": {"learning-rate": 0}}"#,
            #"{"welore": {"rank": 3}}"#, #"{"maestro": {"budget": -0.1}}"#, #"{"maestro": {"steps": 0}}"#, #"{"maestro": {"lasso": -1}}"#,
        ] {
            #expect(throws: ConfigurationError.self, "\(settings)") { try recipe(#"{"steps": [\#(settings)]}"#) }
        }
        var subject: CompressedModel = try subject()
        _ = try subject.compress([QuantizeStep(bits: 8, groupSize: 16)], context: CompressionContext())
        #expect(throws: ConfigurationError.self) { try subject.compress([WeLoreStep()], context: CompressionContext()) }
        #expect(throws: ConfigurationError.self) {
            try subject.compress([MaestroStep()], context: CompressionContext(calibration: text))
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: TestPaths.fixtures.path), "needs the fixtures"))
    func anEncoderIsCutButNotTrained() throws {
        let folder: URL = TestPaths.fixtures.appendingPathComponent("hf_bert_tiny")
        var subject: CompressedModel = try CompressedModel.load(from: folder)
        let report: CompressionReport = try subject.compress([WeLoreStep(reduction: 0.6)], context: CompressionContext())
        #expect(report.steps[0].choices.contains { $0.choice.hasPrefix("rank") })
        #expect(throws: ConfigurationError.self) { try subject.compress([MaestroStep()], context: CompressionContext(calibration: text)) }
        #expect(throws: ConfigurationError.self) {
            try subject.compress([WeLoreStep(steps: 2)], context: CompressionContext(calibration: text))
        }
    }

    @Test func descriptionsOfImpossibleRanksAreRefused() throws {
        let dense: Linear = Linear(4, 3)
        for rank in [-1, 4, .max] {
            #expect(throws: ConfigurationError.self) { try LowRankLinear.empty(.init(rank: rank), replacing: dense) }
        }
        #expect(throws: ConfigurationError.self) { try LowRankLinear.empty(.init(rank: 1), replacing: Dropout(0.5)) }
        let layer: LowRankLinear = try LowRankLinear.empty(.init(rank: 2), replacing: dense)
        #expect(layer.rank == 2 && layer.bias?.shape == [3] && layer.configuration.rank == 2)
    }
}
