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
        let tokens: [[Int]] = texts.map { tokenizer.encode($0) }
        let order: [Int] = tokens.indices.sorted { tokens[$0].count < tokens[$1].count }
        let batches: [Tensor] = stride(from: 0, to: order.count, by: Self.rows).map { start in
            read(order[start..<min(start + Self.rows, order.count)].map { tokens[$0] })
        }
        // Back from the order of their lengths.
        let places: Tensor = Tensor(order, [order.count], device: model.device).argSort(axis: 0)
        return concatenated(batches, axis: 0).indexSelect(axis: 0, indices: places)
    }

    private func read(_ prompts: [[Int]]) -> Tensor {
        let longest: Int = prompts.reduce(1) { max($0, $1.count) }
        let padded: [Int] = prompts.flatMap { $0 + Array(repeating: 0, count: longest - $0.count) }
        return noGrad {
            var state: LanguageModelState?
            let hidden: Tensor = model.hidden(Tensor(padded, [prompts.count, longest], device: model.device), state: &state)
            let last: Tensor = Tensor(prompts.map { max($0.count - 1, 0) }, [prompts.count, 1, 1], device: model.device)
            return hidden.takeAlong(last, axis: 1).squeezed(axis: 1)
        }
    }
}
