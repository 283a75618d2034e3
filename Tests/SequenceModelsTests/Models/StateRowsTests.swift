import SequenceModels
import TestSupport
import Testing
import Torch

/// Texts that are stepped side by side in one batch get what each gets alone.
@Suite(.ownRandomNumbers) struct StateRowsTests {
    private static let variants: [MixerConfiguration] =
        // All but the one that is not causal, which no language model takes.
        MixerKind.allCases.filter { $0 != .simplifiedLinear }.map { MixerConfiguration($0, heads: 2, order: 8) } + [
            MixerConfiguration(.softmax, heads: 2, window: 4), MixerConfiguration(.linear, heads: 2, convolution: 3, rotary: false),
            MixerConfiguration(.gla, heads: 2, convolution: 4),
        ]

    private func model(_ mixer: MixerConfiguration, hybrid: HybridPattern? = nil) throws -> LanguageModel {
        let model: LanguageModel = try LanguageModel(
            LanguageModelConfiguration(vocabularySize: 20, dimensions: 16, layers: 2, mixer: mixer, hybrid: hybrid))
        model.train(false)
        return model
    }

    private func read(_ tokens: [Int], by model: LanguageModel) -> LanguageModelState {
        var state: LanguageModelState? = model.initialState(batch: 1)
        _ = noGrad { model(Tensor(tokens, [1, tokens.count]), state: &state) }
        guard let state else { preconditionFailure("the model dropped its state") }
        return state
    }

    private func step(_ tokens: [Int], _ state: inout LanguageModelState, by model: LanguageModel) -> Tensor {
        noGrad { model.step(Tensor(tokens, [tokens.count]), state: &state) }
    }

    /// Prompts of different lengths where the mixer allows it; rows that leave and come back; logits to 1e-5.
    private func check(_ model: LanguageModel, prompts: [[Int]]) {
        var alone: [LanguageModelState] = prompts.map { read($0, by: model) }
        #expect(Set(alone.map { $0.batchKey(usingPosition: model.stepUsesPosition) }).count == 1)
        var together: LanguageModelState = .joined(alone)
        for token in 0..<5 {
            let tokens: [Int] = prompts.indices.map { (7 * $0 + 3 * token) % 20 }
            let logits: Tensor = step(tokens, &together, by: model)
            for row in prompts.indices {
                let expected: Tensor = step([tokens[row]], &alone[row], by: model)
                let found: Tensor = logits.narrowed(axis: 0, start: row, length: 1)
                #expect((found - expected).abs().max().item(Double.self) < 1e-5)
            }
            if token == 2 {
                // The second row leaves and comes back as the last.
                let left: LanguageModelState = together.taking(rows: [0, 2], device: model.device)
                together = .joined([left, together.taking(rows: [1], device: model.device)])
                alone = [alone[0], alone[2], alone[1]]
            }
        }
    }

    @Test(arguments: variants) func batchesAreExact(_ mixer: MixerConfiguration) throws {
        let model: LanguageModel = try model(mixer)
        let apart: [[Int]] = [[1, 2, 3], [4, 5, 6, 7, 8, 9, 10, 11, 12, 13], [14]]
        let even: [[Int]] = [[1, 2, 3, 4, 5], [4, 5, 6, 7, 8], [14, 1, 2, 0, 3]]
        check(model, prompts: model.stepUsesPosition ? even : apart)
    }

    @Test func hybridsBatchTextsOfOneLength() throws {
        let model: LanguageModel = try model(MixerConfiguration(.deltanet, heads: 2), hybrid: .slidingWindow(every: 2, window: 4))
        #expect(model.stepUsesPosition)
        check(model, prompts: [[1, 2, 3, 4, 5], [4, 5, 6, 7, 8], [14, 1, 2, 0, 3]])
    }

    @Test func keysTellApartWhatCannotBeJoined() throws {
        let window: LanguageModel = try model(MixerConfiguration(.softmax, heads: 2, window: 2))
        let (short, long): (LanguageModelState, LanguageModelState) = (read([1, 2], by: window), read([1, 2, 3], by: window))
        // Both hold two tokens, at other positions.
        #expect(short.batchKey(usingPosition: true) != long.batchKey(usingPosition: true))
        #expect(short.batchKey(usingPosition: false) == long.batchKey(usingPosition: false))
        let recurrent: LanguageModel = try model(MixerConfiguration(.gla, heads: 2))
        #expect(!recurrent.stepUsesPosition)
        #expect(try !model(MixerConfiguration(.linear, heads: 2, rotary: false)).stepUsesPosition)
        #expect(try model(MixerConfiguration(.retention, heads: 2)).stepUsesPosition)
    }

    @Test func aForkedRowIsACopy() throws {
        let model: LanguageModel = try model(MixerConfiguration(.gla, heads: 2))
        let state: LanguageModelState = read([1, 2, 3], by: model)
        var fork: LanguageModelState = state.taking(rows: [0], device: model.device)
        var original: LanguageModelState = state
        _ = step([4], &fork, by: model)
        let expected: Tensor = step([5], &original, by: model)
        var again: LanguageModelState = state
        #expect(step([5], &again, by: model).isEqual(to: expected))
    }
}
