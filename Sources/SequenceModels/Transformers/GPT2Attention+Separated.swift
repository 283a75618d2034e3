import NN
import Torch

extension GPT2Attention {
    /// The same attention with a matrix each for queries, keys and values, copied out of the fused one, for methods that treat these differently.
    /// The output projection is shared.
    public func separated() -> SoftmaxAttention {
        let width: Int = projection.outputDimensions / 3
        let weights: [Tensor] = projection.denseWeight().detached().split(size: width, axis: 0)
        let biases: [Tensor]? = projection.bias?.detached().split(size: width, axis: 0)
        let attention: MultiHeadAttention = MultiHeadAttention(
            AttentionConfiguration(
                dimensions: projection.inputDimensions, heads: heads, causal: true, queryKeyValueBias: biases != nil,
                outputBias: outputProjection.bias != nil))
        // Scores are divided by the root of a head's channels there; another scale is the queries'.
        let factor: Double = scale.map { $0 * Double(width / heads).squareRoot() } ?? 1
        func layer(_ index: Int, times factor: Double = 1) -> Linear {
            Linear(weight: (weights[index] * factor).contiguous(), bias: biases.map { ($0[index] * factor).contiguous() })
        }
        attention.queryProjection = layer(0, times: factor)
        attention.keyProjection = layer(1)
        attention.valueProjection = layer(2)
        attention.outputProjection = outputProjection
        let result: SoftmaxAttention = SoftmaxAttention(attention)
        result.train(isTraining)
        return result
    }
}
