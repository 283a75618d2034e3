import Torch

/// A ``SequenceMixer`` in which every token sees every other, as images need it: it has no state, no step, and no order of time.
public protocol NonCausalMixer: SequenceMixer {}

extension NonCausalMixer {
    public var isCausal: Bool { false }

    /// An empty state, which calls leave as it is.
    public func initialState(batch: Int, dtype: DType = .float32, device: Device = .default) -> MixerState { MixerState() }

    /// Traps: there is no next token for a mixer that sees the whole sequence.
    public func step(_ x: Tensor, state: inout MixerState) -> Tensor {
        preconditionFailure("\(Self.self) sees all tokens at once; it cannot take one step")
    }

    public func stateBytes(batch: Int, length: Int) -> Int { 0 }
}
