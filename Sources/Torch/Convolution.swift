private let conv1dOp: Operator = Operator("conv1d")
private let conv2dOp: Operator = Operator("conv2d")
private let convTransposed1dOp: Operator = Operator("conv_transpose1d")
private let convTransposed2dOp: Operator = Operator("conv_transpose2d", "input")

// Convolutions (cross-correlations, the kernel not flipped). Channels come before the places: `[B, C, T]` and `[B, C, H, W]`.
extension Tensor {
    /// Convolution along time: `[B, inputs, T]` with `weight` `[outputs, inputs / groups, K]` gives
    /// `[B, outputs, (T + 2 padding - dilation (K - 1) - 1) / stride + 1]`.
    public func conv1d(
        weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1
    ) -> Tensor {
        conv1dOp(self, weight, bias, [stride], [padding], [dilation], groups)
    }

    /// Convolution of images: `[B, inputs, H, W]` with `weight` `[outputs, inputs / groups, KH, KW]`.
    public func conv2d(
        weight: Tensor, bias: Tensor? = nil, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: Int = 1
    ) -> Tensor {
        conv2dOp(self, weight, bias, stride.array, padding.array, dilation.array, groups)
    }

    /// The transpose of ``conv1d(weight:bias:stride:padding:dilation:groups:)``: `weight` is `[inputs, outputs / groups, K]`, the result has
    /// `(T - 1) stride - 2 padding + dilation (K - 1) + outputPadding + 1` places.
    public func convTransposed1d(
        weight: Tensor, bias: Tensor? = nil, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0, dilation: Int = 1, groups: Int = 1
    ) -> Tensor {
        convTransposed1dOp(self, weight, bias, [stride], [padding], [outputPadding], groups, [dilation])
    }

    /// The transpose of ``conv2d(weight:bias:stride:padding:dilation:groups:)``: `weight` is `[inputs, outputs / groups, KH, KW]`.
    public func convTransposed2d(
        weight: Tensor, bias: Tensor? = nil, stride: Pair = 1, padding: Pair = 0, outputPadding: Pair = 0, dilation: Pair = 1,
        groups: Int = 1
    ) -> Tensor {
        convTransposed2dOp(self, weight, bias, stride.array, padding.array, outputPadding.array, groups, dilation.array)
    }
}

/// A number for height and one for width; one integer stands for both.
public struct Pair: Hashable, Codable, Sendable, ExpressibleByIntegerLiteral {
    public var height: Int
    public var width: Int

    public init(_ height: Int, _ width: Int) {
        self.height = height
        self.width = width
    }

    public init(_ both: Int) { self.init(both, both) }

    public init(integerLiteral value: Int) { self.init(value) }

    var array: [Int] { [height, width] }
}
