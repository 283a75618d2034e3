import NN
import Torch

/// A mixer whose output is a weighted sum of values, and which can show the weights.
public protocol AttentionWeighting: SequenceMixer {
    /// The weight with which step i reads step j, `[B, H, T, T]`, for a whole sequence `[B, T, D]`. Where a mixer normalises its output
    /// and not its weights they are signed and do not sum to 1. Quadratic in the length: for looking at, not for training.
    func attentionWeights(_ x: Tensor) -> Tensor
}

/// `q kᵀ` of all pairs of steps, `[B, T, H, K]` each to `[B, H, T, T]`.
func pairwiseScores(_ q: Tensor, _ k: Tensor) -> Tensor { q.swappedAxes(1, 2).matmul(k.swappedAxes(1, 2).mT) }

extension SoftmaxAttention: AttentionWeighting {
    public func attentionWeights(_ x: Tensor) -> Tensor {
        let c: AttentionConfiguration = attention.configuration
        func heads(_ projection: any LinearMap, _ count: Int) -> Tensor {
            let split: Tensor = projection(x).splitHeads(count)
            let placed: Tensor = attention.rotary.map { $0(split) } ?? split
            return count == c.heads ? placed : placed.repeated(c.heads / count, axis: 2)
        }
        let scores: Tensor = pairwiseScores(
            heads(attention.queryProjection, c.heads), heads(attention.keyProjection, c.keyValueHeads))
        let scaled: Tensor = scores / Double(c.headDimensions).squareRoot()
        let visible: Tensor? = causalMask(x.dim(1), x.dim(1), window: c.window, device: x.device)
        return (visible.map { scaled.maskedFill($0.logicalNot(), -Double.infinity) } ?? scaled).softmax()
    }
}
