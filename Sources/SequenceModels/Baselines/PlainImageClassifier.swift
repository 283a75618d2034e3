import NN
import Torch

/// A baseline for square images: 3 × 3 convolutions with batch normalisation and GELU, each with twice the channels of the one before, without
/// residual connections and without downsampling, then the mean over places of a linear layer's scores.
public final class PlainImageClassifier: Module {
    public let convolutions: [Conv2d]
    public let norms: [BatchNorm]
    public let head: Conv2d

    /// - Parameters:
    ///   - inputChannels: of the images.
    ///   - classes: number of logits.
    ///   - channels: of the first convolution.
    ///   - depth: number of convolutions.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(_ inputChannels: Int, classes: Int, channels: Int, depth: Int = 3, generator: RandomGenerator? = nil) {
        let widths: [Int] = [inputChannels] + (0..<depth).map { channels << $0 }
        convolutions = zip(widths, widths.dropFirst()).map { Conv2d($0, $1, kernelSize: 3, padding: 1, generator: generator) }
        norms = widths.dropFirst().map { BatchNorm($0) }
        head = Conv2d(widths[depth], classes, kernelSize: 1, generator: generator)
        super.init()
    }

    /// `[B, C, H, W]` to logits `[B, classes]`.
    public func callAsFunction(_ x: Tensor) -> Tensor {
        let features: Tensor = zip(convolutions, norms).reduce(x) { $1.1($1.0($0)).gelu() }
        return head(features).mean(axes: [2, 3])
    }
}
