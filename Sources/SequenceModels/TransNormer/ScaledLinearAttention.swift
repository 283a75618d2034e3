import NN
import Torch

/// Linear attention with the denominator that ``NormAttention`` does away with: its baseline, with the same projections.
///
/// `o_i = Σ_{j ≤ i} q_i·k_j v_j / Σ_{j ≤ i} q_i·k_j` with `q = 1 + elu(W_q x)`, `k = 1 + elu(W_k x)`. With positions (``LRPE``) they are turned in the
/// numerator alone, as turned features are not positive and a sum of their products may vanish (Su et al., 2021, equation 19). Names in
/// checkpoints are those of ``ProjectedAttention``.
///
/// Source: Katharopoulos et al., 2020, *Transformers are RNNs*.
public final class ScaledLinearAttention: ProjectedAttention, SequenceMixer, AttentionWeighting {
    /// Added to the denominator.
    public let epsilon: Double

    public var isCausal: Bool { true }

    /// Projections start as N(0, 0.02²) with biases 0. Traps unless the channels divide into the heads.
    /// - Parameters:
    ///   - dimensions: channels of the residual stream, D.
    ///   - heads: H.
    ///   - position: turns q and k in the numerator, with as many channels as a head has.
    ///   - epsilon: added to the denominator.
    ///   - generator: of the first weights; nil takes the shared one.
    public init(
        dimensions: Int, heads: Int, position: LRPE? = nil, epsilon: Double = 1e-10, generator: RandomGenerator? = nil
    ) {
        self.epsilon = epsilon
        super.init(dimensions: dimensions, heads: heads, position: position, generator: generator)
    }

    /// S, and the sum of the keys z `[B, H, K]`.
    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState {
        var state: MixerState = .matrixMemory(
            batch: batch, heads: heads, key: headDimensions, value: headDimensions, dtype: dtype, device: device)
        state.recurrent["z"] = .zeros(
            [batch, heads, headDimensions], dtype: dtype.accumulator, device: device)
        return state
    }

    public func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor {
        let offset: Int = state?.offset ?? 0
        let (q, k): (Tensor, Tensor) = (features(queryProjection(x)), features(keyProjection(x)))
        let (sum, memory): (Tensor, Tensor) = linearAttention(
            q: placed(q, from: offset), k: placed(k, from: offset), v: valueProjection(x).splitHeads(heads), scale: 1,
            initialState: state?.memory, mask: mask, mode: mode)
        let (weight, keySum): (Tensor, Tensor) = denominators(q: q, k: k.masked(by: mask), before: state?.recurrent["z"])
        state?.recurrent["z"] = keySum
        state?.advance(memory: memory, by: x.dim(1))
        return outputProjection((sum / (weight + epsilon)).asType(x.dtype).joinedHeads())
    }

    /// `q_i · (z + Σ_{j ≤ i} k_j)`, `[B, T, H, 1]`, and the sum over all, `[B, H, K]`.
    private func denominators(q: Tensor, k: Tensor, before: Tensor?) -> (weight: Tensor, keySum: Tensor) {
        let precision: DType = q.dtype.accumulator
        let sums: Tensor = k.asType(precision).cumulativeSum(axis: 1)
        let total: Tensor = before.map { sums + $0.expandedDimensions(axis: 1) } ?? sums
        return ((q.asType(precision) * total).sum(axis: -1, keepDims: true), total.selected(axis: 1, index: total.dim(1) - 1))
    }

    private func features(_ x: Tensor) -> Tensor { Activation.eluPlusOne(x).splitHeads(heads) }

    /// Sums to 1 over j without positions.
    public func attentionWeights(_ x: Tensor) -> Tensor {
        let (q, k): (Tensor, Tensor) = (features(queryProjection(x)), features(keyProjection(x)))
        let weight: Tensor = denominators(q: q, k: k, before: nil).weight.swappedAxes(1, 2)
        return pairwiseScores(placed(q, from: 0), placed(k, from: 0)).lowerTriangle() / (weight + epsilon)
    }

    public func stateBytes(batch: Int, length: Int) -> Int {
        float32Bytes(batch * heads * headDimensions * (headDimensions + 1))
    }
}
