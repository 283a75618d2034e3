import NN
import Torch

/// A convolution as two: to `rank` channels with kernel, stride, padding and dilation, then 1 × 1 to the output's channels. Rank 0 leaves
/// the bias alone.
public final class LowRankConv2d: Module, UnaryLayer {
    /// `[outputs, rank]`
    @ParameterInfo public var left: Tensor
    /// `[rank, inputs · KH · KW]`
    @ParameterInfo public var right: Tensor
    /// `[outputs]`
    public let bias: Tensor?
    let geometry: ConvolutionGeometry

    init(left: Tensor, right: Tensor, bias: Tensor?, geometry: ConvolutionGeometry) {
        self.bias = bias
        self.geometry = geometry
        super.init()
        self.left = left
        self.right = right
    }

    public var rank: Int { right.dim(0) }

    /// `[B, inputs, H, W]` to `[B, outputs, H', W']`.
    public func callAsFunction(_ x: Tensor) -> Tensor { geometry.convolve(x, left: left, right: right, bias: bias) }
}

/// The shape of a convolution that is kept as two factors.
struct ConvolutionGeometry {
    let inputChannels: Int
    let kernelSize: Pair
    let stride: Pair
    let padding: Pair
    let dilation: Pair

    init(_ layer: Conv2d) {
        precondition(layer.groups == 1, "a convolution in \(layer.groups) groups is no single matrix")
        inputChannels = layer.weight.dim(1)
        kernelSize = Pair(layer.weight.dim(2), layer.weight.dim(3))
        (stride, padding, dilation) = (layer.stride, layer.padding, layer.dilation)
    }

    /// `[outputs, inputs · KH · KW]` as `[outputs, inputs, KH, KW]`.
    func kernels(_ matrix: Tensor) -> Tensor { matrix.reshaped(matrix.dim(0), inputChannels, kernelSize.height, kernelSize.width) }

    /// `[B, inputs, H, W]` to `[B, outputs, H', W']`.
    func convolve(_ x: Tensor, left: Tensor, right: Tensor, bias: Tensor?) -> Tensor {
        guard right.dim(0) > 0 else { return silent(x, left, bias) }
        let inner: Tensor = x.conv2d(weight: kernels(right), stride: stride, padding: padding, dilation: dilation)
        return inner.conv2d(weight: left.reshaped(left.dim(0), left.dim(1), 1, 1), bias: bias)
    }

    /// The bias at every place, since a convolution to no channels is none.
    private func silent(_ x: Tensor, _ left: Tensor, _ bias: Tensor?) -> Tensor {
        let height: Int = places(x.dim(2), kernelSize.height, stride.height, padding.height, dilation.height)
        let width: Int = places(x.dim(3), kernelSize.width, stride.width, padding.width, dilation.width)
        let values: Tensor = bias ?? .zeros([left.dim(0)], dtype: x.dtype, device: x.device)
        return values.reshaped(1, left.dim(0), 1, 1).expanded(to: [x.dim(0), left.dim(0), height, width])
    }

    private func places(_ length: Int, _ kernel: Int, _ stride: Int, _ padding: Int, _ dilation: Int) -> Int {
        (length + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1
    }
}
