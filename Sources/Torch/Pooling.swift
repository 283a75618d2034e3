private let maxPool1dOp: Operator = Operator("max_pool1d")
private let maxPool2dOp: Operator = Operator("max_pool2d")
private let averagePool1dOp: Operator = Operator("avg_pool1d")
private let averagePool2dOp: Operator = Operator("avg_pool2d")
private let adaptiveAveragePool1dOp: Operator = Operator("adaptive_avg_pool1d")
private let adaptiveAveragePool2dOp: Operator = Operator("adaptive_avg_pool2d")
private let adaptiveMaxPool1dOp: Operator = Operator("adaptive_max_pool1d")
private let adaptiveMaxPool2dOp: Operator = Operator("adaptive_max_pool2d")

// Pooling over windows of the last axis `[B, C, T]` or the last two `[B, C, H, W]`; the stride is the window's size unless given.
extension Tensor {
    public func maxPool1d(size: Int, stride: Int? = nil, padding: Int = 0, dilation: Int = 1, ceiling: Bool = false) -> Tensor {
        maxPool1dOp(self, [size], [stride ?? size], [padding], [dilation], ceiling)
    }

    public func maxPool2d(size: Pair, stride: Pair? = nil, padding: Pair = 0, dilation: Pair = 1, ceiling: Bool = false) -> Tensor {
        maxPool2dOp(self, size.array, (stride ?? size).array, padding.array, dilation.array, ceiling)
    }

    /// Means of windows; padded zeros count as elements where `countingPadding`.
    public func averagePool1d(
        size: Int, stride: Int? = nil, padding: Int = 0, ceiling: Bool = false, countingPadding: Bool = true
    ) -> Tensor {
        averagePool1dOp(self, [size], [stride ?? size], [padding], ceiling, countingPadding)
    }

    /// Means of windows; padded zeros count as elements where `countingPadding`.
    public func averagePool2d(
        size: Pair, stride: Pair? = nil, padding: Pair = 0, ceiling: Bool = false, countingPadding: Bool = true
    ) -> Tensor {
        averagePool2dOp(self, size.array, (stride ?? size).array, padding.array, ceiling, countingPadding)
    }

    /// Means of as many nearly equal windows as the output has places.
    public func adaptiveAveragePool1d(outputSize: Int) -> Tensor { adaptiveAveragePool1dOp(self, [outputSize]) }
    public func adaptiveAveragePool2d(outputSize: Pair) -> Tensor { adaptiveAveragePool2dOp(self, outputSize.array) }

    /// Largest elements of as many nearly equal windows as the output has places.
    public func adaptiveMaxPool1d(outputSize: Int) -> Tensor { adaptiveMaxPool1dOp.tensors(self, [outputSize])[0] }
    public func adaptiveMaxPool2d(outputSize: Pair) -> Tensor { adaptiveMaxPool2dOp.tensors(self, outputSize.array)[0] }
}
