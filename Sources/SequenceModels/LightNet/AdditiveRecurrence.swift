import Torch

/// What an additive recurrence remembers.
public struct AdditiveState {
    /// The weighted mean of the values for each key channel, `[B, H, K, V]`.
    public var memory: Tensor
    /// The logarithm of the sum of all weights so far, `[B, H, K]`.
    public var logMass: Tensor

    public init(memory: Tensor, logMass: Tensor) {
        self.memory = memory
        self.logMass = logMass
    }
}

/// A linear memory that decays by what comes in: each key channel keeps the mean of the values, weighted by `exp(κ)`.
///
/// With `Δ_t = Σ_{s ≤ t} exp(κ_s)` for each key channel:
///
///     S_t = (Δ_{t-1} / Δ_t) ⊙ S_{t-1} + (exp(κ_t) / Δ_t) v_tᵀ
///     o_t = scale · S_tᵀ q_t  =  scale · Σ_{s ≤ t} softmax_{s ≤ t}(κ)_s ⊙ q_t · v_s
///
/// This is ``gatedLinearAttention(q:k:v:logGate:scale:initialState:mask:mode:subchunk:)`` with keys and gates from the running log-sum-exp of κ, so that nothing
/// overflows. Without causality every step reads all: one pass serves any number of axes, and the order of steps has no effect.
///
/// Source: Qin et al., 2024, *You Only Scan Once: Efficient Multi-dimension Sequential Modeling with LightNet*.
/// - Parameters:
///   - q: queries `[B, T, H, K]`.
///   - keyLogits: κ, `[B, T, H, K]`.
///   - v: values `[B, T, H, V]`.
///   - scale: factor on `q`, K^-1/2 unless given.
///   - initialState: of the steps before; nil where there are none. Only with `causal`.
///   - mask: `[B, T]`, 1 for real tokens; the others count nothing.
///   - causal: whether a step reads itself and earlier steps only.
///   - mode: see ``MixerMode``; of no effect without `causal`.
/// - Returns: the output `[B, T, H, V]` in `v`'s type and the final state.
public func additiveRecurrence(
    q: Tensor, keyLogits: Tensor, v: Tensor, scale: Double? = nil, initialState: AdditiveState? = nil, mask: Tensor? = nil,
    causal: Bool = true, mode: MixerMode? = nil
) -> (output: Tensor, state: AdditiveState) {
    precondition(causal || initialState == nil, "additiveRecurrence: steps that all read each other have no state before them")
    guard causal else {
        let shares: AdditiveShares = AdditiveShares(keyLogits, mask: mask)
        let (output, memory): (Tensor, Tensor) = bidirectionalLinearAttention(q: q, k: shares.keys, v: v, scale: scale, mask: mask)
        return (output, AdditiveState(memory: memory, logMass: shares.logMass))
    }
    let gates: AdditiveGates = AdditiveGates(keyLogits, logMass: initialState?.logMass, mask: mask)
    let (output, memory): (Tensor, Tensor) = gatedLinearAttention(
        q: q, k: gates.keys, v: v, logGate: gates.logDecay, scale: scale, initialState: initialState?.memory, mask: mask, mode: mode)
    return (output, AdditiveState(memory: memory, logMass: gates.logMass))
}

/// Keys and gates of the causal form, from the running log-sum-exp `z` of the logits.
struct AdditiveGates {
    /// `exp(κ_t − z_t)`, at most 1, `[B, T, H, K]`.
    let keys: Tensor
    /// `z_{t-1} − z_t`, at most 0, and 0 where nothing came before, `[B, T, H, K]`.
    let logDecay: Tensor
    /// z after the last step, `[B, H, K]`.
    let logMass: Tensor

    /// Stands for the logarithm of no mass: finite, so that differences and gradients are.
    static let empty: Double = -1e30

    /// - Parameters:
    ///   - keyLogits: κ, `[B, T, H, K]`.
    ///   - before: z before the first step, `[B, H, K]`; ``empty`` unless given.
    ///   - mask: `[B, T]`, 1 for real tokens.
    init(_ keyLogits: Tensor, logMass before: Tensor?, mask: Tensor?) {
        let logits: Tensor = additiveLogits(keyLogits, mask: mask)
        let (batch, length): (Int, Int) = (logits.dim(0), logits.dim(1))
        let start: Tensor =
            before?.asType(logits.dtype) ?? .full([batch] + logits.shape[2...], Self.empty, dtype: logits.dtype, device: logits.device)
        let sums: Tensor = concatenated([start.expandedDimensions(axis: 1), logits], axis: 1).logCumulativeSumExp(axis: 1)
        let previous: Tensor = sums.narrowed(axis: 1, start: 0, length: length)
        let current: Tensor = sums.narrowed(axis: 1, start: 1, length: length)
        keys = (logits - current).exp()
        logDecay = which(previous .<= Self.empty / 2, 0.0, previous - current)
        logMass = sums.selected(axis: 1, index: length)
    }
}

/// Keys of the form in which every step reads all: each step's share in the sum of all weights.
struct AdditiveShares {
    /// `[B, T, H, K]`.
    let keys: Tensor
    /// The logarithm of the sum, `[B, H, K]`.
    let logMass: Tensor

    /// - Parameters:
    ///   - keyLogits: κ, `[B, T, H, K]`.
    ///   - mask: `[B, T]`, 1 for real tokens.
    ///   - initialMass: whether a weight of 1 with the value 0 is there from the start.
    init(_ keyLogits: Tensor, mask: Tensor?, initialMass: Bool = false) {
        let logits: Tensor = additiveLogits(keyLogits, mask: mask)
        let sum: Tensor = logits.logSumExp(axis: 1)
        logMass = initialMass ? logAddExp(sum, sum.zerosLike()) : sum
        keys = (logits - logMass.expandedDimensions(axis: 1)).exp()
    }
}

/// Logits in the accumulator's type, where masked steps weigh nothing.
private func additiveLogits(_ keyLogits: Tensor, mask: Tensor?) -> Tensor {
    precondition(keyLogits.ndim == 4, "the logits of an additive recurrence are [B, T, H, K]; found \(keyLogits.shape)")
    let logits: Tensor = keyLogits.asType(keyLogits.dtype.accumulator)
    guard let mask else { return logits }
    return logits.maskedFill((mask .== 0).reshaped(mask.shape + [1, 1]), AdditiveGates.empty)
}
