import Torch

/// Convolution along time, `[B, inputs, T]` to `[B, outputs, T']`.
public final class Conv1d: Module, UnaryLayer {
    /// `[outputs, inputs / groups, K]`
    public let weight: Tensor
    /// `[outputs]`
    public let bias: Tensor?
    public let stride: Int
    public let padding: Int
    public let dilation: Int
    public let groups: Int

    /// Weights and bias start uniform in `±1/√(inputs / groups · K)`.
    public init(
        _ inputChannels: Int, _ outputChannels: Int, kernelSize: Int, stride: Int = 1, padding: Int = 0, dilation: Int = 1, groups: Int = 1,
        bias: Bool = true, generator: RandomGenerator? = nil
    ) {
        checkGroups(groups, inputChannels, outputChannels)
        weight = convolutionUniform([outputChannels, inputChannels / groups, kernelSize], generator)
        self.bias = bias ? convolutionBias(outputChannels, of: weight, generator) : nil
        (self.stride, self.padding, self.dilation, self.groups) = (stride, padding, dilation, groups)
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.conv1d(weight: weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
    }
}

/// Convolution of images, `[B, inputs, H, W]` to `[B, outputs, H', W']`.
public final class Conv2d: Module, UnaryLayer {
    /// `[outputs, inputs / groups, KH, KW]`
    public let weight: Tensor
    /// `[outputs]`
    public let bias: Tensor?
    public let stride: Pair
    public let padding: Pair
    public let dilation: Pair
    public let groups: Int

    /// Weights and bias start uniform in `±1/√(inputs / groups · KH · KW)`.
    public init(
        _ inputChannels: Int, _ outputChannels: Int, kernelSize: Pair, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1,
        groups: Int = 1, bias: Bool = true, generator: RandomGenerator? = nil
    ) {
        checkGroups(groups, inputChannels, outputChannels)
        weight = convolutionUniform([outputChannels, inputChannels / groups, kernelSize.height, kernelSize.width], generator)
        self.bias = bias ? convolutionBias(outputChannels, of: weight, generator) : nil
        (self.stride, self.padding, self.dilation, self.groups) = (stride, padding, dilation, groups)
        super.init()
    }

    /// A layer over tensors that exist already and stay shared with whoever holds them: a weight `[outputs, inputs, KH, KW]` and a bias `[outputs]`.
    /// Traps unless they fit.
    public init(weight: Tensor, bias: Tensor? = nil, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1) {
        precondition(
            weight.ndim == 4 && (bias.map { $0.shape == [weight.dim(0)] } ?? true),
            "Conv2d: a weight of shape \(weight.shape) with a bias of shape \(bias?.shape ?? [])")
        self.weight = weight
        self.bias = bias
        (self.stride, self.padding, self.dilation, self.groups) = (stride, padding, dilation, 1)
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.conv2d(weight: weight, bias: bias, stride: stride, padding: padding, dilation: dilation, groups: groups)
    }
}

/// The transpose of ``Conv1d``, which makes sequences longer: `[B, inputs, T]` to
/// `[B, outputs, (T - 1) stride - 2 padding + dilation (K - 1) + outputPadding + 1]`.
public final class ConvTransposed1d: Module, UnaryLayer {
    /// `[inputs, outputs / groups, K]`
    public let weight: Tensor
    /// `[outputs]`
    public let bias: Tensor?
    public let stride: Int
    public let padding: Int
    public let outputPadding: Int
    public let dilation: Int
    public let groups: Int

    /// Weights and bias start uniform in `±1/√(outputs / groups · K)`.
    public init(
        _ inputChannels: Int, _ outputChannels: Int, kernelSize: Int, stride: Int = 1, padding: Int = 0, outputPadding: Int = 0,
        dilation: Int = 1, groups: Int = 1, bias: Bool = true, generator: RandomGenerator? = nil
    ) {
        checkGroups(groups, inputChannels, outputChannels)
        weight = convolutionUniform([inputChannels, outputChannels / groups, kernelSize], generator)
        self.bias = bias ? convolutionBias(outputChannels, of: weight, generator) : nil
        (self.stride, self.padding, self.outputPadding) = (stride, padding, outputPadding)
        (self.dilation, self.groups) = (dilation, groups)
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.convTransposed1d(
            weight: weight, bias: bias, stride: stride, padding: padding, outputPadding: outputPadding, dilation: dilation, groups: groups)
    }
}

/// The transpose of ``Conv2d``, which makes images larger: `[B, inputs, H, W]` to `[B, outputs, H', W']` with the lengths of
/// ``ConvTransposed1d`` on both axes.
public final class ConvTransposed2d: Module, UnaryLayer {
    /// `[inputs, outputs / groups, KH, KW]`
    public let weight: Tensor
    /// `[outputs]`
    public let bias: Tensor?
    public let stride: Pair
    public let padding: Pair
    public let outputPadding: Pair
    public let dilation: Pair
    public let groups: Int

    /// Weights and bias start uniform in `±1/√(outputs / groups · KH · KW)`.
    public init(
        _ inputChannels: Int, _ outputChannels: Int, kernelSize: Pair, stride: Pair = 1, padding: Pair = 0, outputPadding: Pair = 0,
        dilation: Pair = 1, groups: Int = 1, bias: Bool = true, generator: RandomGenerator? = nil
    ) {
        checkGroups(groups, inputChannels, outputChannels)
        weight = convolutionUniform([inputChannels, outputChannels / groups, kernelSize.height, kernelSize.width], generator)
        self.bias = bias ? convolutionBias(outputChannels, of: weight, generator) : nil
        (self.stride, self.padding, self.outputPadding) = (stride, padding, outputPadding)
        (self.dilation, self.groups) = (dilation, groups)
        super.init()
    }

    public func callAsFunction(_ x: Tensor) -> Tensor {
        x.convTransposed2d(
            weight: weight, bias: bias, stride: stride, padding: padding, outputPadding: outputPadding, dilation: dilation, groups: groups)
    }
}

/// Uniform in `±1/√fan`, the fan being the elements behind the first axis.
private func convolutionUniform(_ shape: [Int], _ generator: RandomGenerator?) -> Tensor {
    let bound: Double = 1 / Double(max(shape.dropFirst().reduce(1, *), 1)).squareRoot()
    return .uniform(shape, low: -bound, high: bound, generator: generator)
}

private func convolutionBias(_ channels: Int, of weight: Tensor, _ generator: RandomGenerator?) -> Tensor {
    let bound: Double = 1 / Double(max(weight.count / max(weight.dim(0), 1), 1)).squareRoot()
    return .uniform([channels], low: -bound, high: bound, generator: generator)
}

private func checkGroups(_ groups: Int, _ inputs: Int, _ outputs: Int) {
    precondition(
        groups > 0 && inputs % groups == 0 && outputs % groups == 0, "\(inputs) and \(outputs) channels do not divide into \(groups) groups"
    )
}
