import NN
import Torch

/// A decoder language model: embedding, blocks of any mixer, final norm and head.
public final class LanguageModel: Module, CausalLanguageModel {
    public let configuration: LanguageModelConfiguration
    @ModuleInfo public var embedding: Embedding
    @ModuleInfo public var blocks: [SequenceBlock]
    @ModuleInfo public var norm: RMSNorm
    @ModuleInfo public var head: Linear?
    @ModuleInfo(key: "fourier_head") public var fourierHead: FourierHead?

    /// Linear and embedding weights start from N(0, 0.02²), biases at 0; what a mixer initialises on purpose stays.
    /// - Throws: `ConfigurationError` when a mixer cannot be built with these options.
    public init(_ configuration: LanguageModelConfiguration) throws {
        self.configuration = configuration
        let mixers: [any SequenceMixer] = try configuration.layerMixers.map { try $0.make(dimensions: configuration.dimensions) }
        if let blind = zip(configuration.layerMixers, mixers).first(where: { !$0.1.isCausal }) {
            throw ConfigurationError("\(blind.0.kind.rawValue) sees the tokens that follow; a language model needs a causal mixer")
        }
        super.init()
        embedding = Embedding(configuration.vocabularySize, configuration.dimensions)
        blocks = mixers.map {
            SequenceBlock(
                dimensions: configuration.dimensions, hiddenDimensions: configuration.hiddenDimensions, mixer: $0,
                dropout: configuration.dropout)
        }
        norm = RMSNorm(configuration.dimensions)
        let hasLinearHead: Bool = !configuration.tiedHead && configuration.fourierHead == nil
        head = hasLinearHead ? Linear(configuration.dimensions, configuration.vocabularySize, bias: false) : nil
        fourierHead = nil
        initializeNormal()
        // A Fourier head starts as its paper has it.
        fourierHead = configuration.fourierHead.map {
            FourierHead(configuration.dimensions, bins: configuration.vocabularySize, configuration: $0)
        }
    }

    public var vocabularySize: Int { configuration.vocabularySize }
    public var device: Device { embedding.weight.device }

    public var stepUsesPosition: Bool { blocks.contains { $0.mixer.stepUsesPosition } }

    /// Logits `[B, T, V]`; continues from a state and leaves the new one in it.
    public func callAsFunction(_ tokens: Tensor, mask: Tensor? = nil, state: inout LanguageModelState?, mode: MixerMode? = nil) -> Tensor {
        logits(hidden(tokens, mask: mask, state: &state, mode: mode))
    }

    /// Logits `[B, T, V]` of a stream `[B, T, D]` that was embedded otherwise, such as sums of several tokens' embeddings.
    public func callAsFunction(embedded: Tensor, mask: Tensor? = nil, mode: MixerMode? = nil) -> Tensor {
        var state: LanguageModelState?
        return logits(hidden(embedded: embedded, mask: mask, state: &state, mode: mode))
    }

    /// The stream after the final norm, `[B, T, D]`.
    public func hidden(_ tokens: Tensor, mask: Tensor? = nil, state: inout LanguageModelState?, mode: MixerMode? = nil) -> Tensor {
        hidden(embedded: embedding(tokens), mask: mask, state: &state, mode: mode)
    }

    /// The stream after the final norm of what stands in place of embedded tokens, both `[B, T, D]`.
    public func hidden(
        embedded: Tensor, mask: Tensor? = nil, state: inout LanguageModelState?, mode: MixerMode? = nil
    ) -> Tensor {
        norm(blocks(embedded, mask: mask, state: &state, mode: mode))
    }

    /// Next-token logits `[B, V]` of one token a row, `[B]`.
    public func step(_ token: Tensor, state: inout LanguageModelState) -> Tensor {
        logits(norm(blocks.step(embedding(token), state: &state)))
    }

    private func logits(_ hidden: Tensor) -> Tensor {
        if let fourierHead { return fourierHead(hidden) }
        return head.map { $0(hidden) } ?? embedding.asLinear(hidden)
    }

    /// The state before the first token.
    public func initialState(batch: Int) -> LanguageModelState { blocks.initialState(batch: batch, like: embedding.weight) }

    /// Bytes of the state after `length` tokens.
    public func stateBytes(batch: Int, length: Int) -> Int { blocks.stateBytes(batch: batch, length: length) }
}
