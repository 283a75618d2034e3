import NN
import Torch
import Training

/// Reads prompts with a causal language model: the embedding is the last hidden state at the last token.
struct PromptEncoder {
    let model: LanguageModel
    let tokenizer: any Tokenizer
    /// Prompts that are read side by side.
    private static let rows: Int = 64

    /// Texts to `[texts, D]`, without a gradient.
    ///
    /// Shorter prompts are padded at their end, which a causal model does not see before it, and each is read at its own last token.
    func encode(_ texts: [String]) -> Tensor {
        LengthOrderedBatches.map(texts.map { tokenizer.encode($0) }, rows: Self.rows, device: model.device) { tokens, lengths in
            var state: LanguageModelState?
            let hidden: Tensor = model.hidden(tokens, state: &state)
            let last: Tensor = Tensor(lengths.map { max($0 - 1, 0) }, [lengths.count, 1, 1], device: model.device)
            return hidden.takeAlong(last, axis: 1).squeezed(axis: 1)
        }
    }
}
