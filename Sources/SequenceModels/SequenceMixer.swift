import NN
import Torch

/// A layer that mixes information along time: attention, a linear recurrence, a convolution.
///
/// Input and output are residual streams `[B, T, D]`. A call with a state continues from it and writes the new one back, so a sequence
/// that is split anywhere and fed piece by piece gives what it gives at once. A mixer without a recurrent form (``isCausal`` false)
/// ignores state and mode.
public protocol SequenceMixer: Module {
    /// Whether the output at a step depends on that step and earlier ones only.
    var isCausal: Bool { get }

    /// Whether what a step computes depends on `MixerState.offset`. Where it does not, rows at different positions can be stepped as one
    /// batch. True unless a mixer says otherwise.
    var stepUsesPosition: Bool { get }

    /// The state before the first token, for activations of this type.
    func initialState(batch: Int, dtype: DType, device: Device) -> MixerState

    /// - Parameters:
    ///   - x: `[B, T, D]`.
    ///   - mask: `[B, T]`, 1 for real tokens. The others leave no trace in state or outputs of real tokens, except that positions count
    ///     them; their own outputs mean nothing. For sequences of different lengths that are continued see
    ///     ``callAsFunction(packed:cumulativeLengths:continuing:mode:)``.
    ///   - state: continued from and replaced, unless nil.
    ///   - mode: which of the equivalent forms computes it; without one, by the length.
    /// - Returns: `[B, T, D]`.
    func callAsFunction(_ x: Tensor, mask: Tensor?, state: inout MixerState?, mode: MixerMode?) -> Tensor

    /// The next token, `[B, D]` → `[B, D]`.
    func step(_ x: Tensor, state: inout MixerState) -> Tensor

    /// Bytes of the state after `length` tokens with float32 activations.
    func stateBytes(batch: Int, length: Int) -> Int
}

extension SequenceMixer {
    public var stepUsesPosition: Bool { true }

    /// A whole sequence from the beginning.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, mode: MixerMode? = nil) -> Tensor {
        var state: MixerState?
        return callAsFunction(x, mask: mask, state: &state, mode: mode)
    }

    /// A piece of a sequence, continuing from `state` and replacing it.
    public func callAsFunction(_ x: Tensor, mask: Tensor? = nil, continuing state: inout MixerState, mode: MixerMode? = nil) -> Tensor {
        var optional: MixerState? = state
        let output: Tensor = callAsFunction(x, mask: mask, state: &optional, mode: mode)
        if let optional { state = optional }
        return output
    }

    public func step(_ x: Tensor, state: inout MixerState) -> Tensor {
        callAsFunction(x.expandedDimensions(axis: 1), continuing: &state, mode: .recurrent).squeezed(axis: 1)
    }
}

/// What one mixer remembers of one batch of sequences. A value: a copy is a fork of the generation.
///
/// Mixers replace the tensors and never write into them, and the first axis of every tensor is the batch; whoever adds a mixer has to
/// keep to that.
public struct MixerState {
    /// Recurrent states by name: `"S"` is a matrix memory `[B, H, K, V]`.
    public var recurrent: [String: Tensor]
    /// The last inputs of short convolutions, `[B, W − 1, C]` each, in the order q, k, v.
    public var conv: [Tensor]
    /// Keys and values of attention.
    public var kv: KVRing?
    /// Absolute position of the next token.
    public var offset: Int
    /// Whether gradients flow from one call to the one before it through the state. Off, each call is the start of its own graph.
    public var carriesGradient: Bool

    public init(
        recurrent: [String: Tensor] = [:], conv: [Tensor] = [], kv: KVRing? = nil, offset: Int = 0, carriesGradient: Bool = false
    ) {
        self.recurrent = recurrent
        self.conv = conv
        self.kv = kv
        self.offset = offset
        self.carriesGradient = carriesGradient
    }

    /// The state as a mixer writes it back: cut off from the graph unless it carries gradients.
    public func handedOver() -> MixerState {
        if carriesGradient { return self }
        var result: MixerState = self
        result.recurrent = recurrent.mapValues { $0.detached() }
        result.conv = conv.map { $0.detached() }
        result.kv = kv?.detached()
        return result
    }

    /// Bytes of all tensors.
    public var byteCount: Int {
        let tensors: [Tensor] = Array(recurrent.values) + conv + [kv?.keys, kv?.values, kv?.mask].compactMap { $0 }
        return tensors.reduce(0) { $0 + $1.byteCount }
    }
}

/// The states of a model's layers, first layer first.
public typealias LayerCache = [MixerState]
