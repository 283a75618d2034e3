import NN
import Torch

/// Linear attention whose output is normalised instead of divided by the sum of its weights: `W_o norm(Q (Kᵀ V))` with
/// `q = φ(W_q x)`, `k = φ(W_k x)`, no factor on the queries and ``SimpleRMSNorm`` over all heads together. The late layers of ``TransNormer``.
///
/// Weights may be negative, as with φ = ELU, since nothing divides by their sum. Names in checkpoints are those of ``ProjectedAttention``.
///
/// Source: Qin et al., 2022, *The Devil in Linear Transformer*, section 4.1.
public final class NormAttention: ProjectedAttention, SequenceMixer, AttentionWeighting {
    public let featureMap: Activation
    public let isCausal: Bool

    /// Projections start as N(0, 0.02²) with biases 0. Traps unless the channels divide into the heads.
    /// - Parameters:
    ///   - dimensions: channels of the residual stream, D.
    ///   - heads: H.
    ///   - featureMap: φ; ELU in the paper's T1, 1 + ELU in T2.
    ///   - position: turns φ(q) and φ(k), with as many channels as a head has.
    ///   - causal: whether a step reads itself and earlier steps only.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        dimensions: Int, heads: Int, featureMap: Activation = .elu, position: LRPE? = nil, causal: Bool = true,
        generator: RandomGenerator? = nil
    ) {
        self.featureMap = featureMap
        isCausal = causal
        super.init(dimensions: dimensions, heads: heads, position: position, generator: generator)
    }

    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        guard isCausal else { return MixerState() }
        return .matrixMemory(batch: batch, heads: heads, key: headDimensions, value: headDimensions, dtype: dtype, device: device)
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let offset: Int = state?.offset ?? 0
        let (q, k): (Tensor, Tensor) = (features(queryProjection(x), from: offset), features(keyProjection(x), from: offset))
        let v: Tensor = valueProjection(x).splitHeads(heads)
        guard isCausal else { return normalized(bidirectionalLinearAttention(q: q, k: k, v: v, scale: 1, mask: mask).output) }
        let (output, memory): (Tensor, Tensor) = linearAttention(
            q: q, k: k, v: v, scale: 1, initialState: state?.memory, mask: mask, mode: mode)
        state?.advance(memory: memory, by: x.dim(1))
        return normalized(output)
    }

    /// `[B, T, D]` through φ and the positions, in heads.
    private func features(_ x: Tensor, from offset: Int) -> Tensor { placed(featureMap(x).splitHeads(heads), from: offset) }

    private func normalized(_ output: Tensor) -> Tensor { outputProjection(output.joinedHeads().simpleRMSNormalized()) }

    /// `q kᵀ`, signed.
    public func attentionWeights(_ x: Tensor) -> Tensor {
        let scores: Tensor = pairwiseScores(features(queryProjection(x), from: 0), features(keyProjection(x), from: 0))
        return isCausal ? scores.lowerTriangle() : scores
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        isCausal ? float32Bytes(batch * heads * headDimensions * headDimensions) : 0
    }
}
