import NN
import Torch

/// A pre-norm residual block: `x += mixer(norm(x)); x += feedForward(norm(x))`.
public final class SequenceBlock: Module, MixerBlock {
    @ModuleInfo(key: "mixer_norm") public var mixerNorm: RMSNorm
    @ModuleInfo public var mixer: any SequenceMixer
    @ModuleInfo(key: "feed_forward_norm") public var feedForwardNorm: RMSNorm
    @ModuleInfo(key: "feed_forward") public var feedForward: SwiGLU
    let dropout: Dropout

    public init(dimensions: Int, hiddenDimensions: Int, mixer: any SequenceMixer, dropout: Double = 0) {
        self.dropout = Dropout(dropout)
        super.init()
        mixerNorm = RMSNorm(dimensions)
        self.mixer = mixer
        feedForwardNorm = RMSNorm(dimensions)
        feedForward = SwiGLU(dimensions, hiddenDimensions)
    }

    /// `[B, T, D]` to the same, continuing from and updating `state` where there is one.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, state: inout MixerState?, mode: MixerMode? = nil) -> Tensor {
        let mixed: Tensor = x + dropout(mixer(mixerNorm(x), mask: mask, state: &state, mode: mode))
        return mixed + dropout(feedForward(feedForwardNorm(mixed)))
    }

    /// One token, `[B, D]` to the same.
    public func step(_ x: Tensor, state: inout MixerState) -> Tensor {
        let mixed: Tensor = x + mixer.step(mixerNorm(x), state: &state)
        return mixed + feedForward(feedForwardNorm(mixed))
    }
}
