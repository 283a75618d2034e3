import Foundation
import NN
import Torch

/// What a memory is given at each step of a call: heads of queries, keys and values, and the controls that its backend asks for.
public struct MemoryInputs {
    /// `[B, T, H, K]`.
    public let query: Tensor
    public let key: Tensor
    /// `[B, T, H, V]`.
    public let value: Tensor
    /// Logits of the write strength, `[B, T, ·]`.
    public let strength: Tensor?
    /// What the decay is computed from, `[B, T, ·]`.
    public let decay: Tensor?

    /// Cuts projected channels `[B, T, ·]`, which SiLU has still to be applied to, into heads.
    init(_ projected: QueryKeyValue, heads: Int, strength: Tensor?, decay: Tensor?) {
        query = projected.query.silu().splitHeads(heads)
        key = projected.key.silu().splitHeads(heads)
        value = projected.value.silu().splitHeads(heads)
        self.strength = strength
        self.decay = decay
    }
}

/// How one memory of a ``MixtureOfMemories`` is written, fades and is read.
public protocol MemoryBackend: Module {
    /// Channels of ``MemoryInputs/strength`` that it needs; 0 is none.
    var strengthChannels: Int { get }
    /// Channels of ``MemoryInputs/decay`` that it needs; 0 is none.
    var decayChannels: Int { get }

    /// Continues from a memory `[B, H, K, V]`, or from nothing; masked steps `[B, T]` neither decay nor write.
    /// - Returns: outputs `[B, T, H, V]` and the memory after the last step.
    func callAsFunction(_ inputs: MemoryInputs, initialState: Tensor?, mask: Tensor?, mode: MixerMode?) -> (output: Tensor, state: Tensor)
}

/// The backends that a recipe can name.
public enum MemoryBackendKind: String, Codable, Sendable, CaseIterable {
    /// Additive, never forgetting.
    case linear
    /// Forgetting each key channel at a rate of its own.
    case gla
    /// Replacing what a key held.
    case delta
    /// Replacing and forgetting.
    case gatedDelta = "gated-delta"

    /// A backend for heads with keys of this width.
    public func make(heads: Int, headDimensions: Int, generator: RandomGenerator? = nil) -> any MemoryBackend {
        switch self {
        case .linear: LinearMemory()
        case .gla: GatedLinearMemory(heads: heads, headDimensions: headDimensions)
        case .delta: DeltaMemory(heads: heads)
        case .gatedDelta: GatedDeltaMemory(heads: heads, generator: generator)
        }
    }
}

/// The additive memory of ``linearAttention(q:k:v:scale:initialState:mask:mode:)``.
public final class LinearMemory: Module, MemoryBackend {
    public var strengthChannels: Int { 0 }
    public var decayChannels: Int { 0 }

    public func callAsFunction(
        _ inputs: MemoryInputs, initialState: Tensor?, mask: Tensor?, mode: MixerMode?
    ) -> (output: Tensor, state: Tensor) {
        linearAttention(q: inputs.query, k: inputs.key, v: inputs.value, initialState: initialState, mask: mask, mode: mode)
    }
}

/// The memory of ``gatedLinearAttention(q:k:v:logGate:scale:initialState:mask:mode:subchunk:)``, with log-decays `logsigmoid(a) / 16`.
public final class GatedLinearMemory: Module, MemoryBackend {
    public let heads: Int
    public let headDimensions: Int
    /// The logarithm of the sigmoid gate is divided by it, so that decays start near 1.
    public static let gateLogitNormalizer: Double = 16

    public init(heads: Int, headDimensions: Int) {
        self.heads = heads
        self.headDimensions = headDimensions
        super.init()
    }

    public var strengthChannels: Int { 0 }
    public var decayChannels: Int { heads * headDimensions }

    public func callAsFunction(
        _ inputs: MemoryInputs, initialState: Tensor?, mask: Tensor?, mode: MixerMode?
    ) -> (output: Tensor, state: Tensor) {
        guard let decay: Tensor = inputs.decay else { preconditionFailure("a gated linear memory needs its decay") }
        return gatedLinearAttention(
            q: inputs.query, k: inputs.key, v: inputs.value, logGate: decay.splitHeads(heads).logSigmoid() / Self.gateLogitNormalizer,
            initialState: initialState, mask: mask, mode: mode)
    }
}

/// The memory of ``deltaRule(q:k:v:beta:scale:initialState:mask:mode:)``, with queries and keys of unit length and strengths `σ(b)`.
public final class DeltaMemory: Module, MemoryBackend {
    public let heads: Int

    public init(heads: Int) {
        self.heads = heads
        super.init()
    }

    public var strengthChannels: Int { heads }
    public var decayChannels: Int { 0 }

    public func callAsFunction(
        _ inputs: MemoryInputs, initialState: Tensor?, mask: Tensor?, mode: MixerMode?
    ) -> (output: Tensor, state: Tensor) {
        guard let strength: Tensor = inputs.strength else { preconditionFailure("a delta memory needs its strength") }
        return deltaRule(
            q: inputs.query.l2Normalized(), k: inputs.key.l2Normalized(), v: inputs.value, beta: strength.sigmoid(),
            initialState: initialState, mask: mask, mode: mode)
    }
}

/// The memory of ``gatedDeltaRule(q:k:v:logGate:beta:scale:initialState:mask:mode:)``, with queries and keys of unit length, strengths
/// `σ(b)` and log-decays `−exp(A_log) · softplus(a + dt_bias)`.
public final class GatedDeltaMemory: Module, MemoryBackend {
    /// `[H]`.
    @ParameterInfo(key: "A_log") public var rateLogarithm: Tensor
    /// `[H]`.
    @ParameterInfo(key: "dt_bias") public var stepBias: Tensor

    /// Rates exp(A_log) start uniform between 0 and 16, steps softplus(dt_bias) log-uniform between 0.001 and 0.1.
    public init(heads: Int, generator: RandomGenerator? = nil) {
        super.init()
        // Not at 0 itself, whose logarithm no step of training leaves.
        rateLogarithm = Tensor.uniform([heads], low: 1e-4, high: 16, generator: generator).log()
        let steps: Tensor = Tensor.uniform([heads], low: log(0.001), high: log(0.1), generator: generator).exp().clamped(1e-4)
        // The inverse of softplus: x + log(1 − exp(−x)).
        stepBias = steps + (-(-steps).expm1()).log()
    }

    public var strengthChannels: Int { rateLogarithm.dim(0) }
    public var decayChannels: Int { rateLogarithm.dim(0) }

    public func callAsFunction(
        _ inputs: MemoryInputs, initialState: Tensor?, mask: Tensor?, mode: MixerMode?
    ) -> (output: Tensor, state: Tensor) {
        guard let strength: Tensor = inputs.strength, let decay: Tensor = inputs.decay else {
            preconditionFailure("a gated delta memory needs its strength and its decay")
        }
        return gatedDeltaRule(
            q: inputs.query.l2Normalized(), k: inputs.key.l2Normalized(), v: inputs.value, logGate: logDecays(decay),
            beta: strength.sigmoid(), initialState: initialState, mask: mask, mode: mode)
    }

    /// `[B, T, H]` in float32 or wider: rounded to 16 bits, decays near 1 would all be 1.
    private func logDecays(_ decay: Tensor) -> Tensor {
        let precision: DType = decay.dtype.accumulator
        let steps: Tensor = (decay.asType(precision) + stepBias.asType(precision)).softplus()
        return -rateLogarithm.asType(precision).exp() * steps
    }
}
