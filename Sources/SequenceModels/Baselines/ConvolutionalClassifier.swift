import NN
import Torch

/// A baseline for whole sequences: dilated convolutions along time, each seeing twice as far, mean over time, linear head.
///
/// Kernels have two taps with dilations 1, 2, 4, …, so that n layers see `2ⁿ` steps: seven layers see 128.
public final class ConvolutionalClassifier: Module {
    public let encoder: Linear
    public let convolutions: [Conv1d]
    public let norms: [LayerNorm]
    public let head: Linear
    private let pool: MeanPool = MeanPool()

    /// - Parameter receptiveField: a power of two, at least 2. Traps otherwise.
    public init(
        _ inputDimensions: Int, classes: Int, channels: Int, receptiveField: Int = 128, generator: RandomGenerator? = nil
    ) {
        precondition(
            receptiveField >= 2 && receptiveField & (receptiveField - 1) == 0,
            "a receptive field of \(receptiveField); it has to be a power of two, at least 2")
        let dilations: [Int] = (0..<receptiveField.trailingZeroBitCount).map { 1 << $0 }
        encoder = Linear(inputDimensions, channels, generator: generator)
        convolutions = dilations.map { Conv1d(channels, channels, kernelSize: 2, dilation: $0, generator: generator) }
        norms = dilations.map { _ in LayerNorm(channels) }
        head = Linear(channels, classes, generator: generator)
        super.init()
    }

    /// `[B, T, D]` to logits `[B, classes]`.
    public func callAsFunction(_ x: Tensor) -> Tensor { head(pool(features(x))) }

    /// What is averaged over time, `[B, T, channels]`; each step sees the receptive field that ends with it.
    func features(_ x: Tensor) -> Tensor {
        var hidden: Tensor = encoder(x)
        for (convolution, norm) in zip(convolutions, norms) {
            let past: Tensor = norm(hidden).swappedAxes(1, 2).padded([(before: convolution.dilation, after: 0)])
            hidden = hidden + convolution(past).swappedAxes(1, 2).gelu()
        }
        return hidden
    }
}
