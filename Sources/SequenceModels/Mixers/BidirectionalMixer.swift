import NN
import Torch

/// Two mixers of one kind, one in each direction: `M₁(x) + flip(M₂(flip(x)))`, without shared weights.
///
/// For axes without an order, such as the variables of a series: every place sees all others. It has no recurrent form and ignores state
/// and mode.
public final class BidirectionalMixer<Mixer: SequenceMixer>: Module, NonCausalMixer {
    @ModuleInfo public var forward: Mixer
    @ModuleInfo public var backward: Mixer

    public init(forward: Mixer, backward: Mixer) {
        super.init()
        self.forward = forward
        self.backward = backward
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let reversed: Tensor = backward(x.flipped(axes: [1]), mask: mask?.flipped(axes: [1]), mode: mode)
        return forward(x, mask: mask, mode: mode) + reversed.flipped(axes: [1])
    }
}
