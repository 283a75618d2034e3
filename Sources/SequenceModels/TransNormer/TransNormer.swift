import NN
import Torch

/// A layer of ``TransNormer``: `x += mixer(norm(x)); x += feedForward(norm(x))`, where the norms have no parameters and the feed-forward's projections
/// have biases.
public final class TransNormerBlock: Module, MixerBlock {
    @ModuleInfo public var mixer: any SequenceMixer
    @ModuleInfo(key: "feed_forward") public var feedForward: GatedFeedForward
    let dropout: Dropout

    public init(dimensions: Int, hiddenDimensions: Int, activation: Activation, mixer: any SequenceMixer, dropout: Double = 0) {
        self.dropout = Dropout(dropout)
        super.init()
        self.mixer = mixer
        feedForward = GatedFeedForward(dimensions, hiddenDimensions, activation: activation, bias: true)
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, state: inout MixerState?, mode: MixerMode? = nil) -> Tensor {
        fed(x + dropout(mixer(x.simpleRMSNormalized(), mask: mask, state: &state, mode: mode)))
    }

    public func step(_ x: Tensor, state: inout MixerState) -> Tensor {
        fed(x + mixer.step(x.simpleRMSNormalized(), state: &state))
    }

    private func fed(_ x: Tensor) -> Tensor { x + dropout(feedForward(x.simpleRMSNormalized())) }
}

/// A decoder language model of linear cost: attention within blocks in the early layers (``DiagAttention``), normalised linear attention
/// in the late ones (``NormAttention``), and ``SimpleRMSNorm`` everywhere, on the embeddings and before the head too.
///
/// Source: Qin, Han, Sun, Li, Kong, Barnes, Zhong, 2022, *The Devil in Linear Transformer*.
public final class TransNormer: Module, CausalLanguageModel {
    public let configuration: TransNormerConfiguration
    @ModuleInfo public var embedding: Embedding
    @ModuleInfo public var blocks: [TransNormerBlock]
    @ModuleInfo public var head: Linear?

    /// Linear and embedding weights start from N(0, 0.02²), biases at 0.
    /// - Throws: `ConfigurationError` where the heads do not divide the width, or leave an odd number of channels.
    public init(_ configuration: TransNormerConfiguration) throws {
        self.configuration = configuration
        let mixers: [any SequenceMixer] = try configuration.layerMixers.map { try $0.make(dimensions: configuration.dimensions) }
        super.init()
        embedding = Embedding(configuration.vocabularySize, configuration.dimensions)
        blocks = mixers.map {
            TransNormerBlock(
                dimensions: configuration.dimensions, hiddenDimensions: configuration.hiddenDimensions,
                activation: configuration.activation, mixer: $0, dropout: configuration.dropout)
        }
        head = configuration.tiedHead ? nil : Linear(configuration.dimensions, configuration.vocabularySize, bias: false)
        initializeNormal()
    }

    public var vocabularySize: Int { configuration.vocabularySize }
    public var device: Device { embedding.weight.device }

    /// Logits `[B, T, V]`; continues from a state and leaves the new one in it.
    public func callAsFunction(_ tokens: Tensor, mask: Tensor? = nil, state: inout LanguageModelState?, mode: MixerMode? = nil) -> Tensor {
        logits(blocks(embedded(tokens), mask: mask, state: &state, mode: mode))
    }

    public func step(_ token: Tensor, state: inout LanguageModelState) -> Tensor {
        logits(blocks.step(embedded(token), state: &state))
    }

    /// What enters the first layer, `[..., D]` for tokens `[...]`.
    public func embedded(_ tokens: Tensor) -> Tensor { embedding(tokens).simpleRMSNormalized() }

    private func logits(_ x: Tensor) -> Tensor {
        let hidden: Tensor = x.simpleRMSNormalized()
        return head.map { $0(hidden) } ?? embedding.asLinear(hidden)
    }

    public func initialState(batch: Int) -> LanguageModelState { blocks.initialState(batch: batch, like: embedding.weight) }

    public func stateBytes(batch: Int, length: Int) -> Int { blocks.stateBytes(batch: batch, length: length) }
}
