import NN
import Torch

// Rows of states put together into a batch and taken out of it again, for generation of many texts at a time.

extension MixerState {
    /// The rows of several states as one batch, in their order.
    ///
    /// The offset is that of the first: rows at different positions may be joined only for a mixer whose step does not use it
    /// (``SequenceMixer/stepUsesPosition``). Traps where states of different mixers, or rings of different lengths, are mixed.
    public static func joined(_ states: [MixerState]) -> MixerState {
        guard var result = states.first else { preconditionFailure("no states to join") }
        if states.count == 1 { return result }
        precondition(
            states.allSatisfy {
                $0.recurrent.keys == result.recurrent.keys && $0.conv.count == result.conv.count && ($0.kv == nil) == (result.kv == nil)
            }, "states of different mixers cannot be joined")
        for name in result.recurrent.keys { result.recurrent[name] = concatenated(states.compactMap { $0.recurrent[name] }) }
        result.conv = result.conv.indices.map { index in concatenated(states.map { $0.conv[index] }) }
        result.kv = result.kv.map { _ in KVRing.joined(states.compactMap(\.kv)) }
        return result
    }

    /// Some rows in the order of their indices (int64), as a copy.
    func taking(rows: Tensor) -> MixerState {
        var result: MixerState = self
        result.recurrent = recurrent.mapValues { $0.indexSelect(axis: 0, indices: rows) }
        result.conv = conv.map { $0.indexSelect(axis: 0, indices: rows) }
        result.kv = kv?.taking(rows: rows)
        return result
    }
}

extension LanguageModelState {
    /// What the states of two texts have to share for their rows to be stepped as one batch; see ``batchKey(usingPosition:)``.
    public struct BatchKey: Hashable, Sendable {
        /// Of each layer; empty where the steps do not use them.
        let offsets: [Int]
        /// Tokens that each layer's keys and values are kept of.
        let heldTokens: [Int]
    }

    /// The states with one key can be joined, and after any number of common steps still have one key.
    /// - Parameter usingPosition: the model's ``CausalLanguageModel/stepUsesPosition``.
    public func batchKey(usingPosition: Bool) -> BatchKey {
        BatchKey(offsets: usingPosition ? layers.map(\.offset) : [], heldTokens: layers.map { $0.kv?.count ?? 0 })
    }

    /// The rows of several states as one batch, in their order. Traps unless the states are of one model, with one ``BatchKey``.
    public static func joined(_ states: [LanguageModelState]) -> LanguageModelState {
        guard let first = states.first else { preconditionFailure("no states to join") }
        precondition(states.allSatisfy { $0.layers.count == first.layers.count }, "states of different models cannot be joined")
        return LanguageModelState(layers: first.layers.indices.map { layer in MixerState.joined(states.map { $0.layers[layer] }) })
    }

    /// Some rows in the order of their indices, as a copy that keeps none of the others alive.
    public func taking(rows: [Int], device: Device) -> LanguageModelState {
        let indices: Tensor = Tensor(rows, [rows.count], device: device)
        return LanguageModelState(layers: layers.map { $0.taking(rows: indices) })
    }
}
