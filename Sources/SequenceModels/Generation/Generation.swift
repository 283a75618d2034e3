import NN
import Torch

extension CausalLanguageModel {
    /// Continues a prompt token by token.
    ///
    /// The prompt is read chunkwise and each new token by the mixers' step form, so that recurrent mixers need the same time and memory for
    /// every token however long the text is.
    /// - Parameters:
    ///   - prompt: at least one token.
    ///   - limit: most tokens to add.
    ///   - sampling: how each token is drawn.
    ///   - stop: tokens that end the text; they are not given out.
    ///   - onToken: receives each token as it is drawn; returning false ends the text.
    /// - Returns: the new tokens.
    @discardableResult
    public func generate(
        prompt: [Int], limit: Int, sampling: SamplingConfiguration, stop: Set<Int> = [], onToken: (Int) -> Bool = { _ in true }
    ) -> [Int] {
        precondition(!prompt.isEmpty, "generation needs a prompt of at least one token")
        let wasTraining: Bool = isTraining
        train(false)
        defer { train(wasTraining) }
        return noGrad { continued(prompt, limit: limit, sampler: Sampler(sampling), stop: stop, onToken: onToken) }
    }

    private func continued(_ prompt: [Int], limit: Int, sampler: Sampler, stop: Set<Int>, onToken: (Int) -> Bool) -> [Int] {
        var state: LanguageModelState? = initialState(batch: 1)
        let read: Tensor = self(Tensor(prompt, [1, prompt.count], device: device), mask: nil, state: &state, mode: nil)
        guard var state else { preconditionFailure("the model dropped its state") }
        var logits: Tensor = read.selected(axis: 1, index: prompt.count - 1)
        var added: [Int] = []
        while added.count < limit {
            let token: Int = sampler.sample(logits.selected(axis: 0, index: 0), history: prompt + added)
            if stop.contains(token) { break }
            added.append(token)
            if !onToken(token) || added.count == limit { break }
            logits = step(Tensor([token], [1], device: device), state: &state)
        }
        return added
    }
}
