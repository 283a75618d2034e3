import NN
import Torch

/// Softmax attention of all tokens to all others, with one projection for queries, keys and values together: the attention of vision
/// transformers and of DiT.
///
/// Checkpoint names are those of the public models: `qkv` (queries, then keys, then values) and `proj`.
public final class FullSoftmaxAttention: Module, NonCausalMixer {
    /// `[B, T, D]` to queries, keys and values, `[B, T, 3 · D]`.
    @ModuleInfo(key: "qkv") public var inputProjection: Linear
    @ModuleInfo(key: "proj") public var outputProjection: Linear
    public let heads: Int

    /// Traps unless the channels divide into the heads.
    public init(dimensions: Int, heads: Int, generator: RandomGenerator? = nil) {
        precondition(heads > 0 && dimensions % heads == 0, "FullSoftmaxAttention: \(dimensions) channels do not divide into \(heads) heads")
        self.heads = heads
        super.init()
        inputProjection = Linear(dimensions, 3 * dimensions, generator: generator)
        outputProjection = Linear(dimensions, dimensions, generator: generator)
    }

    /// State and mode make no difference: there is one form.
    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let parts: [Tensor] = inputProjection(x).split(size: x.dim(2), axis: 2).map { $0.splitHeads(heads) }
        let visible: Tensor? = mask.map { ($0 .!= 0).reshaped($0.dim(0), 1, 1, $0.dim(1)) }
        return outputProjection(softmaxAttention(parts[0], parts[1], parts[2], mask: visible).joinedHeads())
    }
}
