import NN
import Torch

/// A gated unit that is fed its own product (RGU, arXiv 2401.17948, section 3.4): `Q = GELU(IN(W_k x ⊙ W_q(W_v x))) + π`, `Y = W_y Q`.
/// IN standardises each channel of each image; π is a learned bias for each place.
public final class RecursiveGatedUnit: Module {
    @ModuleInfo(key: "fast_linear_k") public var keyMixer: Conv2d
    @ModuleInfo(key: "fast_linear_v") public var valueMixer: Conv2d
    @ModuleInfo(key: "fast_linear_q") public var queryMixer: Conv2d
    @ModuleInfo(key: "fast_linear_y") public var outputMixer: Conv2d
    /// π, `[1, 1, S, S]`.
    @ParameterInfo(key: "fast_bias_p") public var placeBias: Tensor

    /// - Parameters:
    ///   - channels: of the images.
    ///   - side: S of the images.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(channels: Int, side: Int, generator: RandomGenerator? = nil) {
        super.init()
        func mixer() -> Conv2d { channelMixture(channels, channels, .kaimingUniform(gain: 1), generator) }
        keyMixer = mixer()
        valueMixer = mixer()
        queryMixer = mixer()
        outputMixer = mixer()
        placeBias = .zeros([1, 1, side, side])
    }

    /// `[B, C, S, S]` to the same.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let product: Tensor = keyMixer(x) * queryMixer(valueMixer(x))
        return outputMixer(product.instanceStandardized().gelu() + placeBias)
    }
}

/// Scales the channels of an image by how they interact with themselves: `x · σ(y ⊙ K ⊙ y)` with the channels' means y and a hyper-kernel K over
/// the channels (arXiv 2401.17948, section 3.4).
public final class HyperChannelInteraction: Module {
    @ModuleInfo(key: "slow_net_gc") public var slowNetwork: MAGNet

    public init(channels: Int, configuration: MAGNetConfiguration, generator: RandomGenerator? = nil) {
        super.init()
        slowNetwork = MAGNet(channels: 1, sizes: [channels], configuration: configuration, generator: generator)
    }

    /// `[B, C, H, W]` to the same.
    public func callAsFunction(_ x: Tensor) -> Tensor { x * channelInteraction(x, slowNetwork()).sigmoid() }
}

/// Scales the places and channels of `x` by how those of `y` interact with themselves: `x · σ(s ⊙ K_s ⊙ s · c ⊙ K_c ⊙ c)` with y's means c over
/// places and s over channels (arXiv 2401.17948, section 3.4).
public final class HyperInteraction: Module {
    @ModuleInfo(key: "slow_net_gc") public var channelNetwork: MAGNet
    @ModuleInfo(key: "slow_net_gs") public var placeNetwork: MAGNet

    /// - Parameters:
    ///   - channels: of the images.
    ///   - side: S of the images.
    ///   - channelConfiguration: of the slow network over channels.
    ///   - placeConfiguration: of the slow network over places.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        channels: Int, side: Int, channelConfiguration: MAGNetConfiguration, placeConfiguration: MAGNetConfiguration,
        generator: RandomGenerator? = nil
    ) {
        super.init()
        channelNetwork = MAGNet(channels: 1, sizes: [channels], configuration: channelConfiguration, generator: generator)
        placeNetwork = MAGNet(channels: 1, sizes: [side, side], configuration: placeConfiguration, generator: generator)
    }

    /// - Parameters:
    ///   - y: what the scores come from, `[B, C, S, S]`.
    ///   - x: what is scaled, of the same shape.
    public func callAsFunction(_ y: Tensor, _ x: Tensor) -> Tensor {
        let places: Tensor = y.mean(axis: 1, keepDims: true)
        let score: Tensor = places * placeNetwork() * places * channelInteraction(y, channelNetwork())
        return x * score.sigmoid()
    }
}

/// `y ⊙ K ⊙ y` of the channels' means y of images `[B, C, H, W]` and a kernel `[1, 1, C]`, as `[B, C, 1, 1]`.
private func channelInteraction(_ x: Tensor, _ kernel: Tensor) -> Tensor {
    let means: Tensor = x.mean(axes: [2, 3], keepDims: true)
    return means * kernel.reshaped(1, -1, 1, 1) * means
}
