import Foundation
import NN
import Torch

/// Cuts images into patches and projects each to a token. Checkpoint name of the convolution: `proj`.
public final class PatchEmbedding: Module {
    @ModuleInfo(key: "proj") public var projection: Conv2d

    /// The projection starts as Xavier-uniform of the matrix that it is, its bias as 0.
    public init(channels: Int, dimensions: Int, patchSize: Int, generator: RandomGenerator? = nil) {
        super.init()
        projection = Conv2d(channels, dimensions, kernelSize: Pair(patchSize), stride: Pair(patchSize), generator: generator)
        let flat: Tensor = Initializer.xavierUniform()(
            [dimensions, channels * patchSize * patchSize], device: projection.weight.device, generator: generator)
        noGrad { projection.weight.copy_(from: flat.reshaped(projection.weight.shape)) }
        if let bias = projection.bias { Initializer.zeros.fill(bias) }
    }

    /// `[B, C, H, W]` to tokens `[B, T, D]`, row by row.
    public func callAsFunction(_ images: Tensor) -> Tensor { projection(images).flattened(from: 2).mT }
}

/// Embeds the step of the diffusion: sinusoids, then two layers. Checkpoint names: `mlp.0`, `mlp.2`.
public final class TimestepEmbedding: Module {
    /// Channels of the sinusoids.
    static let frequencies: Int = 256
    public let mlp: Sequential

    public init(dimensions: Int, generator: RandomGenerator? = nil) {
        mlp = Sequential(
            Linear(Self.frequencies, dimensions, generator: generator), ActivationLayer(.silu),
            Linear(dimensions, dimensions, generator: generator))
        super.init()
        mlp.initializeNormal(generator: generator)
    }

    /// Steps `[B]` to `[B, D]`.
    public func callAsFunction(_ steps: Tensor, dtype: DType) -> Tensor { mlp(Self.sinusoids(steps, dtype: dtype)) }

    /// Cosines and then sines of `steps / 10000^(i / 128)`, `[B]` to `[B, 256]`.
    static func sinusoids(_ steps: Tensor, dtype: DType) -> Tensor {
        let half: Int = frequencies / 2
        let places: Tensor = .arange(half, dtype: .float64, device: steps.device)
        let rates: Tensor = (places * (-log(10_000.0) / Double(half))).exp()
        let angles: Tensor = steps.asType(.float64).expandedDimensions(axis: 1) * rates
        return concatenated([angles.cos(), angles.sin()], axis: 1).asType(dtype)
    }
}

/// A vector for each label, and one for the null class behind them. Checkpoint name: `embedding_table`.
public final class LabelEmbedding: Module {
    @ModuleInfo(key: "embedding_table") public var table: Embedding

    public init(classes: Int, dimensions: Int, generator: RandomGenerator? = nil) {
        super.init()
        table = Embedding(classes + 1, dimensions, generator: generator)
        Initializer.normal(standardDeviation: 0.02).fill(table.weight, generator: generator)
    }

    /// Labels `[B]` to `[B, D]`.
    public func callAsFunction(_ labels: Tensor) -> Tensor { table(labels) }
}

/// Fixed positions of a square grid, `[1, side², D]`: the first half of the channels tells the column, the second the row, each by sines and
/// then cosines of `place / 10000^(4 i / D)`. Traps unless D is a multiple of 4.
func sinusoidalGrid(side: Int, dimensions: Int) -> Tensor {
    precondition(dimensions % 4 == 0, "\(dimensions) channels for sines and cosines of two axes")
    let quarter: Int = dimensions / 4
    let exponents: Tensor = Tensor.arange(quarter, dtype: .float64) / Double(quarter)
    let rates: Tensor = (exponents * -log(10_000.0)).exp()
    let angles: Tensor = Tensor.arange(side, dtype: .float64).expandedDimensions(axis: 1) * rates
    let axis: Tensor = concatenated([angles.sin(), angles.cos()], axis: 1)
    let columns: Tensor = axis.expandedDimensions(axis: 0).expanded(to: [side, side, 2 * quarter])
    let rows: Tensor = axis.expandedDimensions(axis: 1).expanded(to: [side, side, 2 * quarter])
    return concatenated([columns, rows], axis: 2).reshaped(1, side * side, dimensions).asType(.float32)
}
