import NN
import Torch

/// The global HyperZ·Z·W operator `(x ⊙ K) y` (arXiv 2401.17948, section 3.3): the hyper-kernel K, scaled by the activations x, is a matrix for
/// each channel that mixes all rows of y. Every place of the output depends on a whole row of x and on a whole column of y.
/// - Parameters:
///   - x: activations, `[B, C, S, S]`.
///   - kernel: of the coordinates, `[1, C, S, S]`.
///   - y: what is mixed, `[B, C, S, S]`.
/// - Returns: `[B, C, S, S]`, the matrix product over the last two axes.
public func hyperZZWGlobal(_ x: Tensor, kernel: Tensor, _ y: Tensor) -> Tensor {
    precondition(
        x.ndim == 4 && x.shape == y.shape && kernel.ndim == 4 && x.dim(2) == x.dim(3)
            && kernel.shape == [1] + x.shape.dropFirst(),
        "hyperZZWGlobal needs square maps and a kernel of their size, not \(x.shape), \(kernel.shape) and \(y.shape)")
    return (x * kernel).matmul(y)
}

/// `α ⊙ stop(h) + β ⊙ h / ‖h‖` (S-renormalisation, arXiv 2401.17948, section 3.4): the values pass as they are, gradients only through the
/// normalised term. α and β are trained.
/// - Parameters:
///   - hidden: `[places, H]`.
///   - alpha: `[H]`.
///   - beta: `[H]`.
/// - Returns: `[places, H]`; the norm is over the places of a channel.
public func sRenormalized(_ hidden: Tensor, alpha: Tensor, beta: Tensor) -> Tensor {
    let norm: Tensor = hidden.norm(axes: [0], keepDims: true).clamped(1e-12)
    return alpha * stopGradient(hidden) + beta * (hidden / norm)
}

/// The slow network of local kernels: a ``MAGNet`` over k × k places whose hidden layers are renormalised and scaled by a context, the mean over
/// the batch of what the images average to on as many places.
public final class ContextualMAGNet: Module {
    public let magnet: MAGNet
    @ModuleInfo(key: "fast_reduce") public var reduction: Conv2d
    @ModuleInfo(key: "fast_fc1") public var contextLinear: Conv2d
    /// A′ of the layers.
    @ModuleInfo(key: "fast_linears_x") public var modulations: [Linear]
    /// α and β of the layers' ``sRenormalized(_:alpha:beta:)``, `[hidden]` each.
    public let alphas: [Tensor]
    public let betas: [Tensor]
    /// Mean of the reduced images over training batches, `[1, hidden, k, k]`.
    @Buffer(key: "running_context") public var runningContext: Tensor?

    /// - Parameters:
    ///   - channels: of the images and of the kernel, C.
    ///   - kernelSize: k, odd.
    ///   - configuration: of the ``MAGNet``.
    ///   - statistics: of the context, in evaluation.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        channels: Int, kernelSize: Int, configuration: MAGNetConfiguration, statistics: ContextStatistics = .batch,
        generator: RandomGenerator? = nil
    ) {
        let hidden: Int = configuration.hiddenDimensions
        magnet = MAGNet(channels: channels, sizes: [kernelSize, kernelSize], configuration: configuration, generator: generator)
        alphas = (0..<configuration.layers).map { _ in .ones([hidden]) }
        betas = (0..<configuration.layers).map { _ in .full([hidden], 0.1) }
        super.init()
        reduction = Conv2d(channels, hidden, kernelSize: 1, generator: generator)
        contextLinear = Conv2d(hidden, hidden, kernelSize: 1, generator: generator)
        modulations = (0..<configuration.layers).map { _ in Linear(hidden, hidden, generator: generator) }
        for linear in modulations { linear.initializeKaiming(bias: 1, generator) }
        runningContext = statistics == .running ? .zeros([1, hidden, kernelSize, kernelSize]) : nil
    }

    /// The kernel `[1, C, k, k]` in the context of images `[B, C, H, W]`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let context: Tensor = contextLinear(batchContext(x)).gelu()
        let places: Tensor = context.flattened(from: 2).squeezed(axis: 0).mT
        return magnet.kernel { layer, hidden in
            sRenormalized(hidden, alpha: alphas[layer], beta: betas[layer]) * modulations[layer](places)
        }
    }

    /// `[1, hidden, k, k]`.
    private func batchContext(_ x: Tensor) -> Tensor {
        if let runningContext, !isTraining { return runningContext }
        let size: Int = magnet.sizes[0]
        let mean: Tensor = reduction(x.adaptiveAveragePool2d(outputSize: Pair(size))).mean(axis: 0, keepDims: true)
        if let runningContext { noGrad { runningContext.copy_(from: runningContext.interpolated(to: mean, weight: 0.1)) } }
        return mean
    }
}

/// The local HyperZ·Z·W operator: a depth-wise convolution whose kernel depends on activations, then a mixture of channels, standardisation
/// over the batch, GELU and a bias.
public final class HyperZZWLocal: Module {
    @ModuleInfo(key: "slow_net") public var slowNetwork: ContextualMAGNet
    @ModuleInfo(key: "channel_mixer") public var channelMixer: Conv2d
    @ModuleInfo(key: "batch_std") public var standardization: BatchNorm
    /// `[1]`
    public let bias: Tensor

    /// Traps for an even kernel size. Parameters as in ``ContextualMAGNet``.
    public init(
        channels: Int, kernelSize: Int, configuration: MAGNetConfiguration, statistics: ContextStatistics = .batch,
        generator: RandomGenerator? = nil
    ) {
        precondition(kernelSize % 2 == 1, "a local kernel of \(kernelSize) places a side; it has to be odd")
        bias = .zeros([1])
        super.init()
        slowNetwork = ContextualMAGNet(
            channels: channels, kernelSize: kernelSize, configuration: configuration, statistics: statistics, generator: generator)
        channelMixer = channelMixture(channels, channels, .kaimingNormal(), generator)
        standardization = statistics.standardization(channels: channels)
    }

    /// - Parameters:
    ///   - x: what the kernel depends on, `[B, C, H, W]`.
    ///   - y: what is convolved, of the same shape.
    /// - Returns: `[B, C, H, W]`.
    public func callAsFunction(kernelFrom x: Tensor, _ y: Tensor) -> Tensor {
        let kernel: Tensor = slowNetwork(x).swappedAxes(0, 1)
        let local: Tensor = y.conv2d(weight: kernel, bias: nil, padding: Pair(kernel.dim(2) / 2), groups: y.dim(1))
        return standardization(channelMixer(local)).gelu() + bias
    }
}

/// A 1 × 1 convolution with the given start of its weights and biases 0.
func channelMixture(_ inputs: Int, _ outputs: Int, _ start: Initializer, _ generator: RandomGenerator?) -> Conv2d {
    let layer: Conv2d = Conv2d(inputs, outputs, kernelSize: 1, generator: generator)
    start.fill(layer.weight, generator: generator)
    if let bias = layer.bias { Initializer.zeros.fill(bias) }
    return layer
}
