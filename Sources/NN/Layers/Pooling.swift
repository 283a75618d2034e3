import Torch

/// Largest element of each window of time, `[B, C, T]`.
public final class MaxPool1d: Module, UnaryLayer {
    public let size: Int
    public let stride: Int
    public let padding: Int

    /// - Parameters:
    ///   - size: of the window.
    ///   - stride: the size unless given.
    ///   - padding: on both sides.
    public init(_ size: Int, stride: Int? = nil, padding: Int = 0) {
        self.size = size
        self.stride = stride ?? size
        self.padding = padding
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.maxPool1d(size: size, stride: stride, padding: padding) }
}

/// Largest element of each window of an image, `[B, C, H, W]`.
public final class MaxPool2d: Module, UnaryLayer {
    public let size: Pair
    public let stride: Pair
    public let padding: Pair

    /// - Parameters:
    ///   - size: of the window.
    ///   - stride: the size unless given.
    ///   - padding: on both sides of each axis.
    public init(_ size: Pair, stride: Pair? = nil, padding: Pair = 0) {
        self.size = size
        self.stride = stride ?? size
        self.padding = padding
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.maxPool2d(size: size, stride: stride, padding: padding) }
}

/// Mean of each window of time, `[B, C, T]`; padded zeros count.
public final class AveragePool1d: Module, UnaryLayer {
    public let size: Int
    public let stride: Int
    public let padding: Int

    /// - Parameters:
    ///   - size: of the window.
    ///   - stride: the size unless given.
    ///   - padding: on both sides.
    public init(_ size: Int, stride: Int? = nil, padding: Int = 0) {
        self.size = size
        self.stride = stride ?? size
        self.padding = padding
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.averagePool1d(size: size, stride: stride, padding: padding) }
}

/// Mean of each window of an image, `[B, C, H, W]`; padded zeros count.
public final class AveragePool2d: Module, UnaryLayer {
    public let size: Pair
    public let stride: Pair
    public let padding: Pair

    /// - Parameters:
    ///   - size: of the window.
    ///   - stride: the size unless given.
    ///   - padding: on both sides of each axis.
    public init(_ size: Pair, stride: Pair? = nil, padding: Pair = 0) {
        self.size = size
        self.stride = stride ?? size
        self.padding = padding
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.averagePool2d(size: size, stride: stride, padding: padding) }
}

/// Means of as many windows of time as the output has places: `[B, C, T]` to `[B, C, outputSize]`.
public final class AdaptiveAveragePool1d: Module, UnaryLayer {
    public let outputSize: Int

    public init(_ outputSize: Int) {
        self.outputSize = outputSize
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.adaptiveAveragePool1d(outputSize: outputSize) }
}

/// Means of as many windows of an image as the output has places: `[B, C, H, W]` to `[B, C, height, width]`.
public final class AdaptiveAveragePool2d: Module, UnaryLayer {
    public let outputSize: Pair

    public init(_ outputSize: Pair) {
        self.outputSize = outputSize
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.adaptiveAveragePool2d(outputSize: outputSize) }
}

/// Mean over time: `[B, T, D]` to `[B, D]`, or over the real steps alone.
public final class MeanPool: Module, UnaryLayer {
    public override init() { super.init() }

    public func callAsFunction(_ x: Tensor) -> Tensor { x.mean(axis: 1) }

    /// - Parameters:
    ///   - x: `[B, T, D]`.
    ///   - mask: `[B, T]`, 1 for real steps; a sequence without any gives zeros.
    public func callAsFunction(_ x: Tensor, mask: Tensor) -> Tensor {
        let weights: Tensor = mask.asType(x.dtype)
        let sum: Tensor = (x * weights.expandedDimensions(axis: -1)).sum(axis: 1)
        return sum / weights.sum(axis: 1, keepDims: true).clamped(1, nil)
    }
}
