import NN
import Torch

/// A model that predicts the next token and carries a state from one call to the next: all that losses, generation and serving need.
public protocol CausalLanguageModel: Module {
    /// Tokens that it knows; logits have one entry for each.
    var vocabularySize: Int { get }
    /// Most tokens that a text may have; nil where there is no limit.
    var contextLimit: Int? { get }
    /// Where its weights are, and tokens have to be.
    var device: Device { get }

    /// Whether what a step computes depends on the states' offsets; true unless a model says otherwise. See
    /// ``SequenceMixer/stepUsesPosition``.
    var stepUsesPosition: Bool { get }

    /// The state before the first token.
    func initialState(batch: Int) -> LanguageModelState

    /// Logits `[B, T, V]` of tokens `[B, T]` (int64); continues from a state and leaves the new one in it.
    /// - Parameters:
    ///   - tokens: int64.
    ///   - mask: `[B, T]`, 1 for real tokens.
    ///   - state: continued from and replaced, unless nil.
    ///   - mode: which of the mixers' equivalent forms computes it.
    func callAsFunction(_ tokens: Tensor, mask: Tensor?, state: inout LanguageModelState?, mode: MixerMode?) -> Tensor

    /// Next-token logits `[B, V]` of one token a row, `[B]`.
    func step(_ token: Tensor, state: inout LanguageModelState) -> Tensor

    /// Bytes of the state after `length` tokens.
    func stateBytes(batch: Int, length: Int) -> Int
}

extension CausalLanguageModel {
    public var contextLimit: Int? { nil }
    public var stepUsesPosition: Bool { true }

    /// Logits `[B, T, V]` of tokens `[B, T]` (int64), without a state.
    public func callAsFunction(_ tokens: Tensor, mask: Tensor? = nil, mode: MixerMode? = nil) -> Tensor {
        var state: LanguageModelState? = nil
        return callAsFunction(tokens, mask: mask, state: &state, mode: mode)
    }
}

/// One mixer state for each layer; a copy forks the generation.
public struct LanguageModelState {
    public var layers: [MixerState]

    public init(layers: [MixerState]) { self.layers = layers }
}
