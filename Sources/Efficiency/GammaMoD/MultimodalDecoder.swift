import NN
import SequenceModels
import Torch

/// A decoder that reads the patches of an image and then a text.
///
/// Blocks may be replaced: `model.replaceModule(at: "blocks.3", with: ...)`.
public final class MultimodalDecoder: Module {
    /// From a patch's numbers to the stream.
    @ModuleInfo public var projector: any LinearMap
    @ModuleInfo public var embedding: Embedding
    /// Nil with rotary positions.
    @ModuleInfo public var positions: Embedding?
    @ModuleInfo public var blocks: [any MixerBlock]
    @ModuleInfo public var norm: LayerNorm
    @ModuleInfo public var head: any LinearMap

    /// Takes over the layers of a text decoder, which stay shared with it.
    /// - Parameters:
    ///   - decoder: of the text, with a head of its own; its positions count patches too.
    ///   - patchDimensions: numbers of a patch.
    ///   - generator: of the projector's first weights; nil takes the shared one.
    public init(_ decoder: PlainTransformer, patchDimensions: Int, generator: RandomGenerator? = nil) {
        guard let head = decoder.head, decoder.configuration.logitScale == 1 else {
            preconditionFailure("MultimodalDecoder: a decoder whose head is its own, without a scale")
        }
        super.init()
        projector = Linear(patchDimensions, decoder.configuration.dimensions, generator: generator)
        embedding = decoder.embedding
        positions = decoder.positions
        blocks = decoder.blocks
        norm = decoder.norm
        self.head = head
    }

    public var device: Device { embedding.weight.device }

    /// Logits `[B, N + T, V]` of an image and a text.
    /// - Parameters:
    ///   - patches: `[B, N, P]`; nil where the image was read before.
    ///   - tokens: `[B, T]`, int64.
    ///   - state: continued from and replaced, unless nil.
    public func callAsFunction(patches: Tensor?, tokens: Tensor, state: inout LanguageModelState?) -> Tensor {
        head(hidden(patches: patches, tokens: tokens, state: &state))
    }

    /// As ``callAsFunction(patches:tokens:state:)``, without a state.
    public func callAsFunction(patches: Tensor, tokens: Tensor) -> Tensor { head(hidden(patches: patches, tokens: tokens)) }

    /// The stream after the final norm, `[B, N + T, D]`.
    public func hidden(patches: Tensor, tokens: Tensor) -> Tensor {
        var none: LanguageModelState?
        return hidden(patches: patches, tokens: tokens, state: &none)
    }

    private func hidden(patches: Tensor?, tokens: Tensor, state: inout LanguageModelState?) -> Tensor {
        let parts: [Tensor] = (patches.map { [projector($0)] } ?? []) + [embedding(tokens)]
        var x: Tensor = parts.count == 1 ? parts[0] : concatenated(parts, axis: 1)
        if let positions {
            let (start, end): (Int, Int) = (state?.layers.first?.offset ?? 0, (state?.layers.first?.offset ?? 0) + x.dim(1))
            precondition(end <= positions.count, "\(end) patches and tokens, \(positions.count) positions")
            x = x + positions(.arange(start, end, step: 1, dtype: .int64, device: x.device))
        }
        for (index, block) in blocks.enumerated() {
            var layerState: MixerState? = state?.layers[index]
            x = block(x, mask: nil, state: &layerState, mode: nil)
            if let layerState { state?.layers[index] = layerState }
        }
        return norm(x)
    }

    /// The state before the first patch.
    public func initialState(batch: Int) -> LanguageModelState {
        LanguageModelState(
            layers: blocks.map { $0.mixer.initialState(batch: batch, dtype: embedding.weight.dtype, device: device) })
    }
}
