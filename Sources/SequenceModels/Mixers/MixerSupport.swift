import NN
import Torch

extension Tensor {
    /// `[B, T, H·D]` as heads `[B, T, H, D]`.
    func splitHeads(_ heads: Int) -> Tensor { reshaped(dim(0), dim(1), heads, -1) }

    /// Heads `[B, T, H, D]` as `[B, T, H·D]`.
    func joinedHeads() -> Tensor { flattened(from: 2) }
}

/// Queries, keys and values of a mixer before they are cut into heads, `[B, T, ·]` each.
struct QueryKeyValue {
    var query: Tensor
    var key: Tensor
    var value: Tensor

    /// Through one short convolution each, continuing from a state's tails and replacing them; unchanged where there are none.
    ///
    /// Masked steps enter the convolutions as zeros, as the steps before a sequence do.
    func convolved(
        by convolutions: [ShortConvolution], state: inout MixerState?, mask: Tensor?
    ) -> QueryKeyValue {
        if convolutions.isEmpty { return self }
        let inputs: [Tensor] = [query, key, value].map { $0.masked(by: mask) }
        let tails: [Tensor?] = state.map { $0.conv } ?? [nil, nil, nil]
        let results: [(output: Tensor, state: Tensor)] = zip(inputs, zip(convolutions, tails)).map {
            $1.0($0, state: $1.1)
        }
        state?.conv = results.map(\.state)
        return QueryKeyValue(query: results[0].output, key: results[1].output, value: results[2].output)
    }
}

extension MixerState {
    /// The state of a mixer with a matrix memory `[B, H, K, V]` in float32 (float64 for float64 activations) and short convolutions.
    static func matrixMemory(
        batch: Int, heads: Int, key: Int, value: Int, convolutions: [ShortConvolution] = [], dtype: DType, device: Device
    ) -> MixerState {
        let memory: Tensor = .zeros([batch, heads, key, value], dtype: dtype == .float64 ? .float64 : .float32, device: device)
        return MixerState(
            recurrent: ["S": memory], conv: convolutions.map { $0.initialState(batch: batch, dtype: dtype, device: device) })
    }

    /// The matrix memory.
    var memory: Tensor? { recurrent["S"] }

    /// Takes in the memory after `length` more tokens, as it is handed to the next call.
    mutating func advance(memory: Tensor, by length: Int) {
        recurrent["S"] = memory
        offset += length
        self = handedOver()
    }
}

/// Bytes of float32 tensors with this many elements.
func float32Bytes(_ elements: Int) -> Int { elements * DType.float32.byteCount }
