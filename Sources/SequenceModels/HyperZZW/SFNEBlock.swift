import NN
import Torch

/// What the blocks of a ``Terminator`` have in common.
public struct SFNEConfiguration: Codable, Sendable, Hashable {
    /// S: rows and columns of the images, which the hyper-kernels have too.
    public var side: Int
    /// Hidden channels of the slow networks over places.
    public var globalHidden: Int
    /// Hidden channels of the slow networks of local kernels and over channels.
    public var localHidden: Int
    /// Layers of the latter.
    public var localLayers: Int
    /// Sizes of the four local kernels, odd.
    public var kernelSizes: [Int]
    /// ω₀ of all slow networks.
    public var omega: Double
    /// α of all slow networks.
    public var alpha: Double
    /// Groups of the standardisation at the end.
    public var groups: Int
    public var globalInteraction: GlobalInteraction
    public var contextStatistics: ContextStatistics

    /// What the global operator multiplies with; the paper's, and what it is compared with.
    public enum GlobalInteraction: String, Codable, Sendable, CaseIterable {
        /// `x ⊙ K`, the paper's.
        case contextual
        /// K alone, whatever the activations are.
        case contextFree
        /// Nothing: a global branch is its right factor. The parameters stay the same.
        case none
    }

    public init(
        side: Int, globalHidden: Int = 64, localHidden: Int = 32, localLayers: Int = 2, kernelSizes: [Int] = [3, 9, 5, 7],
        omega: Double = 10, alpha: Double = 6, groups: Int = 12, globalInteraction: GlobalInteraction = .contextual,
        contextStatistics: ContextStatistics = .batch
    ) {
        self.side = side
        self.globalHidden = globalHidden
        self.localHidden = localHidden
        self.localLayers = localLayers
        self.kernelSizes = kernelSizes
        self.omega = omega
        self.alpha = alpha
        self.groups = groups
        self.globalInteraction = globalInteraction
        self.contextStatistics = contextStatistics
    }

    func global(layers: Int) -> MAGNetConfiguration {
        MAGNetConfiguration(hiddenDimensions: globalHidden, layers: layers, omega: omega, alpha: alpha)
    }

    var local: MAGNetConfiguration {
        MAGNetConfiguration(hiddenDimensions: localHidden, layers: localLayers, omega: omega, alpha: alpha)
    }

    /// - Throws: `ConfigurationError` naming the first setting that is out of its range.
    func validate() throws {
        let positive: [(String, Int)] = [
            ("side", side), ("globalHidden", globalHidden), ("localHidden", localHidden), ("localLayers", localLayers), ("groups", groups),
        ]
        for (name, value) in positive where value < 1 { throw ConfigurationError("model.\(name) is \(value); it has to be at least 1") }
        if kernelSizes.count != 4 || kernelSizes.contains(where: { $0 < 1 || $0 % 2 == 0 }) {
            throw ConfigurationError("model.kernelSizes is \(kernelSizes); it has to be four odd numbers")
        }
        for (name, value) in [("omega", omega), ("alpha", alpha)] where !(value > 0 && value.isFinite) {
            throw ConfigurationError("model.\(name) is \(value); it has to be above 0 and finite")
        }
    }
}

/// A block of slow and fast branches without a residual connection (SFNE, arXiv 2401.17948, section 3.5): global products with a context-dependent
/// hyper-kernel, interactions, and local convolutions with context-dependent kernels side by side, reduced by a 1 × 1 convolution.
public final class SFNEBlock: Module {
    @ModuleInfo(key: "slow_net_g") public var slowNetwork: MAGNet
    @ModuleInfo(key: "rgu") public var fastUnit: RecursiveGatedUnit
    @ModuleInfo(key: "rgu_2") public var slowUnit: RecursiveGatedUnit
    @ModuleInfo(key: "channel_mixer_mlp") public var channelMixer: Conv2d
    @ModuleInfo(key: "channel_mixer_hci") public var channelInteraction: HyperChannelInteraction
    @ModuleInfo(key: "hyper_interact") public var interaction: HyperInteraction
    /// The four local operators.
    public let locals: [HyperZZWLocal]
    @ModuleInfo(key: "bottleneck_layer") public var bottleneck: Conv2d
    @ModuleInfo(key: "gibs") public var standardization: GroupInstanceBatchStandardization
    /// `[1]`
    public let bias: Tensor
    public let configuration: SFNEConfiguration
    /// Probability with which a channel is left out while training.
    public let dropout: Double

    /// - Parameters:
    ///   - channels: C of the input.
    ///   - factor: f: the output has C · f channels.
    ///   - layers: of the global slow network.
    ///   - earlier: number of earlier blocks whose output is taken in.
    ///   - dropout: of whole channels of the output.
    ///   - configuration: what all blocks share.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        channels: Int, factor: Int, layers: Int, earlier: Int = 0, dropout: Double = 0, configuration: SFNEConfiguration,
        generator: RandomGenerator? = nil
    ) {
        let c: SFNEConfiguration = configuration
        self.configuration = c
        self.dropout = dropout
        bias = .zeros([1])
        locals = c.kernelSizes.map {
            HyperZZWLocal(
                channels: channels, kernelSize: $0, configuration: c.local, statistics: c.contextStatistics, generator: generator)
        }
        super.init()
        slowNetwork = MAGNet(
            channels: channels, sizes: [c.side, c.side], configuration: c.global(layers: layers), generator: generator)
        fastUnit = RecursiveGatedUnit(channels: channels, side: c.side, generator: generator)
        slowUnit = RecursiveGatedUnit(channels: channels, side: c.side, generator: generator)
        channelMixer = channelMixture(channels, channels, .kaimingNormal(), generator)
        channelInteraction = HyperChannelInteraction(channels: channels, configuration: c.local, generator: generator)
        interaction = HyperInteraction(
            channels: channels, side: c.side, channelConfiguration: c.local, placeConfiguration: c.global(layers: c.localLayers),
            generator: generator)
        bottleneck = channelMixture((10 + earlier) * channels, channels * factor, .kaimingNormal(), generator)
        standardization = GroupInstanceBatchStandardization(channels * factor, groups: c.groups, statistics: c.contextStatistics)
    }

    /// - Parameters:
    ///   - x: `[B, C, S, S]`.
    ///   - earlier: outputs of earlier blocks, whose channels are repeated until there are C.
    /// - Returns: the output `[B, C · f, S, S]` and the global hyper-kernel `[1, C, S, S]`.
    public func callAsFunction(_ x: Tensor, earlier: [Tensor] = []) -> (output: Tensor, kernel: Tensor) {
        let (features, kernel): (Tensor, Tensor) = features(x, earlier: earlier)
        return (activated(features), kernel)
    }

    /// What the activation is applied to: mean 0 and variance 1 in each channel. Parameters as in the call.
    public func features(_ x: Tensor, earlier: [Tensor] = []) -> (features: Tensor, kernel: Tensor) {
        let kernel: Tensor = slowNetwork()
        let maps: [Tensor] = branches(x, kernel) + earlier.map { $0.tiled([1, x.dim(1) / $0.dim(1), 1, 1]) }
        return (standardization(bottleneck(concatenated(maps, axis: 1))), kernel)
    }

    /// The output of features.
    func activated(_ features: Tensor) -> Tensor {
        let output: Tensor = features.gelu()
        if !isTraining || dropout == 0 { return output + bias }
        let kept: Tensor = .ones([output.dim(0), output.dim(1), 1, 1], dtype: output.dtype, device: output.device)
        return output * Torch.dropout(kept, probability: dropout, training: true) + bias
    }

    /// The ten maps of C channels.
    private func branches(_ x: Tensor, _ kernel: Tensor) -> [Tensor] {
        let fast: Tensor = (slowUnit(x * kernel) + fastUnit(x)).instanceStandardized()
        let mixed: Tensor = channelMixer(x).instanceStandardized()
        let interacting: Tensor = channelInteraction(x).instanceStandardized()
        let global: [Tensor] = [fast, mixed, interacting].map { globally(x, kernel, $0) }
        let local: [Tensor] = [
            locals[0](kernelFrom: x, interacting), locals[1](kernelFrom: interacting, x), locals[2](kernelFrom: mixed, x),
            locals[3](kernelFrom: x, mixed),
        ]
        return global + [global[0].sigmoid() * global[0], fast, interaction(global[0], x)] + local
    }

    private func globally(_ x: Tensor, _ kernel: Tensor, _ y: Tensor) -> Tensor {
        switch configuration.globalInteraction {
        case .contextual: hyperZZWGlobal(x, kernel: kernel, y)
        case .contextFree: kernel.matmul(y)
        case .none: y
        }
    }
}
