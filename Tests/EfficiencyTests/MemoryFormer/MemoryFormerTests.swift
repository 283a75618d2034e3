import NN
import Optim
import SequenceModels
import TestSupport
import Testing
import Torch

@testable import Efficiency

@Suite(.ownRandomNumbers) struct MemoryFormerTests {
    private static func configuration(projects: Bool = false) throws -> MemoryFormerConfiguration {
        try MemoryFormerConfiguration(
            vocabularySize: 11, dimensions: 24, layers: 2, heads: 2, bits: 4, extraBits: 1, rotaryFraction: 0.5,
            projectsBeforeHashing: projects)
    }

    @Test(arguments: [false, true]) func stepsAgreeWithTheWholeText(projects: Bool) throws {
        let model: MemoryFormer = MemoryFormer(try Self.configuration(projects: projects))
        model.to(dtype: .float64).train(false)
        let tokens: Tensor = .randomIntegers([2, 9], high: 11)
        let whole: Tensor = noGrad { model(tokens) }
        var state: LanguageModelState = model.initialState(batch: 2)
        for t in 0..<9 {
            let logits: Tensor = noGrad { model.step(tokens.selected(axis: 1, index: t), state: &state) }
            #expect((logits - whole.selected(axis: 1, index: t)).abs().max().item(Double.self) < 1e-12)
        }
        let stream: [Tensor] = noGrad { model.residualStream(tokens) }
        #expect(stream.count == 3)
        #expect((noGrad { model.head(model.norm(stream[2])) } - whole).abs().max().item(Double.self) < 1e-12)
        #expect(model.namedBuffers().count == (projects ? 2 : 0))
    }

    @Test func whatComesLaterChangesNothingBeforeAndMaskedTokensAreNotSeen() throws {
        let model: MemoryFormer = MemoryFormer(try Self.configuration())
        model.to(dtype: .float64).train(false)
        let tokens: Tensor = Tensor([1, 2, 3, 4, 5, 6], [1, 6], dtype: .int64, device: .cpu)
        let other: Tensor = Tensor([1, 2, 3, 9, 8, 7], [1, 6], dtype: .int64, device: .cpu)
        let (first, second): (Tensor, Tensor) = noGrad { (model(tokens), model(other)) }
        #expect((first - second).narrowed(axis: 1, start: 0, length: 3).abs().max().item(Double.self) < 1e-12)
        #expect((first - second).abs().max().item(Double.self) > 1e-6)
        // Positions are counted with masked tokens, so two texts that differ in those alone agree elsewhere.
        let mask: Tensor = Tensor([1, 1, 1, 0, 1, 1], [1, 6], dtype: .float64, device: .cpu)
        let replaced: Tensor = Tensor([1, 2, 3, 10, 5, 6], [1, 6], dtype: .int64, device: .cpu)
        let (masked, unseen): (Tensor, Tensor) = noGrad { (model(tokens, mask: mask), model(replaced, mask: mask)) }
        #expect((masked - unseen).narrowed(axis: 1, start: 4, length: 2).abs().max().item(Double.self) < 1e-12)
    }

    @Test func queriesKeysAndValuesShareOneHash() throws {
        let model: MemoryFormer = MemoryFormer(try Self.configuration())
        _ = model(.randomIntegers([1, 5], high: 11))
        let hashes: [MemoryHash] = model.namedModules().compactMap { $0.module as? MemoryHash }
        #expect(hashes.count == 2 * 3)
        #expect(hashes.allSatisfy { $0.encodeCount == 1 })
    }

    /// The paper's block has no other fully connected layer: a linear map in it would be one.
    @Test func blocksHaveNoMatrixAndCostWhatThePaperCounts() throws {
        let c: MemoryFormerConfiguration = try Self.configuration()
        let model: MemoryFormer = MemoryFormer(c)
        #expect(model.blockLinearMaps.isEmpty)
        let k: Int = c.tableCount
        #expect(CostModel(of: model.blocks[0]).linearMultiplyAccumulates == 3 * k * 24 + k * k * 5 + k * 24)
        #expect(model.parameterCount == c.parameterCount)
        #expect(c.hiddenDimensions == 30 && c.rotaryDimensions == 6)
    }

    /// Of a block of width 1024 at 2048 tokens, with causal attention counted by the pairs it sees: the paper's 19 %.
    @Test func aBlockCostsAFifthAtThePapersSize() throws {
        let c: MemoryFormerConfiguration = try MemoryFormerConfiguration(vocabularySize: 2, dimensions: 1024, layers: 1, heads: 16)
        let attention: Double = Double(CostModel.causalAttention(length: 2048, dimensions: 1024)) / 2048
        let lookups: Double = Double(3 * c.tableCount * 1024 + c.tableCount * c.hiddenDimensions + c.tableCount * 1024)
        let share: Double = (attention + lookups) / (attention + 12 * 1024 * 1024)
        #expect(abs(share - 0.19) < 0.005)
    }

    @Test func tablesLearnAndDecay() throws {
        let model: MemoryFormer = MemoryFormer(try Self.configuration())
        let tokens: Tensor = .randomIntegers([4, 8], high: 11)
        let logits: Tensor = model(tokens)
        let found: [Tensor] = gradients(
            of: [crossEntropy(logits.flattened(from: 0, to: 1), tokens.flattened())], withRespectTo: model.parameters())
        for ((name, _), gradient) in zip(model.namedParameters(), found) {
            #expect(gradient.abs().sum().item(Double.self) > 0, "\(name) has no gradient")
        }
        let decaying: Set<String> = Set([ParameterGroup].stateSpace(model)[0].names ?? [])
        #expect(decaying.contains("blocks.0.attention.query.tables") && decaying.contains("blocks.1.feed_forward.contraction.tables"))
    }

    @Test func refusesSettingsThatDoNotFit() {
        func problem(_ dimensions: Int, heads: Int = 2, bits: Int = 4, extraBits: Int = 2, temperature: Double = 1) -> String? {
            do {
                _ = try MemoryFormerConfiguration(
                    vocabularySize: 5, dimensions: dimensions, layers: 1, heads: heads, bits: bits, extraBits: extraBits,
                    temperature: temperature)
                return nil
            } catch { return "\(error)" }
        }
        #expect(problem(24) == nil)
        #expect(problem(24, heads: 5) == "dimensions is 24; heads, 5, has to divide it")
        #expect(problem(24, bits: 7) == "dimensions is 24; bits, 7, has to divide it")
        #expect(problem(32, bits: 16, extraBits: 2) == "bits + extraBits is 18; it has to lie in 1 ... 16")
        #expect(problem(24, temperature: 0) == "temperature is 0.0; it has to be above 0")
    }
}
