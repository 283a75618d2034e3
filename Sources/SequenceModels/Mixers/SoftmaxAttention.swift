import NN
import Torch

/// Causal softmax attention with rotary positions as a mixer, over all earlier tokens or the last `window`: the baseline of the linear
/// mixers and their partner in hybrids. Its state grows with the sequence up to the window.
///
/// Checkpoint names are Hugging Face's: `q_proj`, `k_proj`, `v_proj`, `o_proj`.
public final class SoftmaxAttention: Module, SequenceMixer {
    @ModuleInfo(key: "") public var attention: MultiHeadAttention

    public var isCausal: Bool { true }
    public var stepUsesPosition: Bool { attention.rotary != nil }

    /// Projections start as N(0, 0.02²).
    /// - Parameters:
    ///   - dimensions: channels of the residual stream, D.
    ///   - heads: heads of the queries.
    ///   - window: tokens that a token sees, itself included; nil is all earlier ones.
    ///   - keyValueHeads: heads of keys and values, each shared by several query heads; `heads` unless given.
    ///   - rotaryTheta: base of the rotary frequencies; nil is no positions.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        dimensions: Int, heads: Int, window: Int? = nil, keyValueHeads: Int? = nil, rotaryTheta: Double? = 10_000,
        generator: RandomGenerator? = nil
    ) {
        super.init()
        attention = MultiHeadAttention(
            AttentionConfiguration(
                dimensions: dimensions, heads: heads, keyValueHeads: keyValueHeads, causal: true, window: window, rotaryTheta: rotaryTheta))
        initializeNormal(generator: generator)
    }

    /// A mixer of a causal attention that exists already. Traps for one that is not causal.
    public init(_ attention: MultiHeadAttention) {
        precondition(attention.configuration.causal, "SoftmaxAttention: the attention is not causal")
        super.init()
        self.attention = attention
    }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        MixerState(kv: attention.initialCache())
    }

    /// The mode makes no difference: attention has one form.
    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        var cache: KVRing = state?.kv ?? attention.initialCache()
        let output: Tensor = attention(x, cache: &cache, offset: state?.offset ?? 0, mask: mask)
        if var next = state {
            next.kv = cache
            next.offset += x.dim(1)
            state = next.handedOver()
        }
        return output
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        let c: AttentionConfiguration = attention.configuration
        let tokens: Int = min(length, c.window ?? length)
        return float32Bytes(batch * tokens * 2 * c.keyValueHeads * c.headDimensions)
    }
}
