import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

@Suite(.ownRandomNumbers) struct CompressionStepTests {
    private let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: "abcdefghijklmnopqrst")

    private func subject() throws -> CompressedModel {
        let model: any CausalLanguageModel = try CompressedModelTests.models()[0]
        return try CompressedModel(PretrainedModel(model: model, tokenizer: tokenizer))
    }

    private var text: TextWindows {
        TextWindows(PackedTokens((0..<400).map { ($0 * $0) % 20 }, vocabularySize: 20), context: 16, rows: 4, seed: 0)
    }

    private func recipe(_ json: String) throws -> CompressionRecipe {
        try JSONDecoder().decode(CompressionRecipe.self, from: Data(json.utf8))
    }

    @Test func aDryRunChangesNothingAndForetellsTheBytes() throws {
        var subject: CompressedModel = try subject()
        let step: QuantizeStep = try QuantizeStep(bits: 4, groupSize: 16, method: .gptq)
        let context: CompressionContext = CompressionContext(calibration: text)
        let plan: CompressionReport = try subject.compress([step], text: text, context: context, dryRun: true)
        #expect(subject.model.compressedLayers.isEmpty && subject.history.isEmpty && plan.perplexity?.after == nil)
        let done: CompressionReport = try subject.compress([step], text: text, context: context)
        #expect(plan.steps[0].choices == done.steps[0].choices && plan.memory.after == done.memory.after)
        #expect(done.memory.after == Double(subject.bytes) && done.memory.before == plan.memory.before)
        let perplexity: CompressionReport.Change = try #require(done.perplexity)
        #expect(perplexity.after != perplexity.before && perplexity.before == plan.perplexity?.before)
        #expect(plan.text().contains("nothing was changed") && done.text().contains("model.layers.1.mlp.down_proj"))
        #expect(subject.history == ["quantize: 4 bits in groups of 16, gptq"])
        #expect(throws: ConfigurationError.self) { try subject.compress([step], context: context) }
    }

    @Test func blocksGetTheBitsOfAnAverage() throws {
        var subject: CompressedModel = try subject()
        var step: QuantizeStep = try QuantizeStep(bits: 8, groupSize: 16)
        (step.lowBits, step.averageBits, step.order) = (2, 5, .last)
        let report: CompressionReport = try subject.compress([step], context: CompressionContext())
        for choice in report.steps[0].choices { #expect(choice.choice == (choice.path.contains("layers.1.") ? "2 bits" : "8 bits")) }
        step.order = .lim
        #expect(throws: ConfigurationError.self) { try step.plan(try self.subject(), CompressionContext()) }
        #expect(try step.plan(try self.subject(), CompressionContext(calibration: text)).count == 14)
        step.order = .zd
        #expect(try step.plan(try self.subject(), CompressionContext()).count == 14)
    }

    @Test func gptqTakesTextToCalibrateOn() throws {
        var subject: CompressedModel = try subject()
        let step: QuantizeStep = try QuantizeStep(bits: 4, method: .gptq)
        #expect(throws: ConfigurationError.self) { try subject.compress([step], context: CompressionContext()) }
    }

    @Test func aCancelledRunEnds() throws {
        var subject: CompressedModel = try subject()
        let context: CompressionContext = CompressionContext(isCancelled: { true })
        #expect(throws: CancellationError.self) { try subject.compress([QuantizeStep()], context: context) }
    }

    @Test func recipesNameStepsWithTheirSettings() throws {
        let recipe: CompressionRecipe = try recipe(
            #"{"steps": [{"quantize": {"bits": 3, "group-size": 32, "method": "gptq", "act-order": true}}, {"quantize": {}}]}"#)
        #expect(recipe.steps.map(\.summary) == ["3 bits in groups of 32, gptq", "4 bits in groups of 64, rtn"])
        func complaint(_ json: String) -> String {
            do { return "\(try self.recipe(json))" } catch { return "\(error)" }
        }
        #expect(complaint(#"{"steps": [{"magic": {}}]}"#).contains("there is no step magic; there are"))
        #expect(complaint(#"{"steps": [{"quantize": {"bit": 3}}]}"#).contains("no field is called \"bit\""))
        #expect(complaint(#"{"steps": [{"quantize": {"bits": 5}}]}"#).contains("it has to be 2, 3, 4 or 8"))
        #expect(complaint(#"{"steps": [{"quantize": {"bits": "x"}}]}"#).contains("bits is not of type Int"))
        #expect(complaint(#"{"steps": [{"quantize": {"low-bits": 2}}]}"#).contains("go together"))
        #expect(complaint(#"{"steps": ["quantize"]}"#).contains("each step of a recipe"))
        #expect(complaint(#"{"steps": [{"quantize": {}, "other": {}}]}"#).contains("one name with its settings, not 2"))
        #expect(complaint("{}").contains("has to have a list of steps"))
    }
}
