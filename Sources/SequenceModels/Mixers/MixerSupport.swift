import NN
import Torch

extension Tensor {
    /// `[B, T, H·D]` as heads `[B, T, H, D]`.
    package func splitHeads(_ heads: Int) -> Tensor { reshaped(dim(0), dim(1), heads, -1) }

    /// Heads `[B, T, H, D]` as `[B, T, H·D]`.
    package func joinedHeads() -> Tensor { flattened(from: 2) }
}

/// Queries, keys and values of a mixer before they are cut into heads, `[B, T, ·]` each.
struct QueryKeyValue {
    var query: Tensor
    var key: Tensor
    var value: Tensor

    /// Through one short convolution each, continuing from a state's tails and replacing them; unchanged where there are none.
    ///
    /// Masked steps are passed over, as if they were not there.
    func convolved(
        by convolutions: [ShortConvolution], state: inout MixerState?, mask: Tensor?
    ) -> QueryKeyValue {
        if convolutions.isEmpty { return self }
        guard let mask else {
            let result: (output: QueryKeyValue, tails: [Tensor]) = convolved(by: convolutions, tails: state?.conv, lengths: nil)
            state?.conv = result.tails
            return result.output
        }
        let real: RealSteps = RealSteps(mask: mask)
        let result: (output: QueryKeyValue, tails: [Tensor]) = mapped(real.movedToFront)
            .convolved(by: convolutions, tails: state?.conv, lengths: real.lengths)
        state?.conv = result.tails
        return result.output.mapped(real.restored)
    }

    /// As ``convolved(by:state:mask:)``, for rows whose real steps come first.
    /// - Parameters:
    ///   - convolutions: of queries, keys and values; none leaves all as it is.
    ///   - tails: the last inputs of the calls before, `[B, W − 1, C]` each; nil at the beginning.
    ///   - lengths: real steps in each row, `[B]`; nil when all are.
    func convolved(
        by convolutions: [ShortConvolution], tails: [Tensor]?, lengths: Tensor?
    ) -> (output: QueryKeyValue, tails: [Tensor]) {
        if convolutions.isEmpty { return (self, []) }
        let before: [Tensor?] = tails ?? [nil, nil, nil]
        let results: [(output: Tensor, state: Tensor)] = zip([query, key, value], zip(convolutions, before)).map {
            $1.0($0, state: $1.1, lengths: lengths)
        }
        return (QueryKeyValue(query: results[0].output, key: results[1].output, value: results[2].output), results.map(\.state))
    }

    private func mapped(_ transform: (Tensor) -> Tensor) -> QueryKeyValue {
        QueryKeyValue(query: transform(query), key: transform(key), value: transform(value))
    }
}

/// Where the real steps of a masked batch are, so that a layer that looks at neighbours can pass over the others.
struct RealSteps {
    /// Real steps in each row, `[B]` (int64).
    let lengths: Tensor
    /// Places of the real steps in order of time and then of the others, `[B, T, 1]`, and the way back.
    private let order: Tensor
    private let inverse: Tensor

    /// - Parameter mask: `[B, T]`, 1 for real steps.
    init(mask: Tensor) {
        let real: Tensor = (mask .!= 0).asType(.int64)
        lengths = real.sum(axis: 1)
        let places: Tensor = real.argSort(axis: 1, descending: true)
        order = places.expandedDimensions(axis: 2)
        inverse = places.argSort(axis: 1).expandedDimensions(axis: 2)
    }

    /// `[B, T, C]` with the real steps of each row first.
    func movedToFront(_ x: Tensor) -> Tensor { x.takeAlong(order, axis: 1) }

    /// The mask `[B, T]` of what was moved.
    var frontMask: Tensor { Tensor.arange(order.dim(1), device: order.device) .< lengths.expandedDimensions(axis: 1) }

    /// What ``movedToFront(_:)`` moved, back in its places.
    func restored(_ x: Tensor) -> Tensor { x.takeAlong(inverse, axis: 1) }
}

extension ShortConvolution {
    /// A piece `[B, T, C]` of a sequence that continues from `state`, and the state after it; masked steps are passed over.
    func callAsFunction(_ x: Tensor, state: Tensor?, mask: Tensor?) -> (output: Tensor, state: Tensor) {
        guard let mask else { return callAsFunction(x, state: state) }
        let real: RealSteps = RealSteps(mask: mask)
        let (output, tail): (Tensor, Tensor) = callAsFunction(real.movedToFront(x), state: state, lengths: real.lengths)
        return (real.restored(output), tail)
    }
}

extension MixerState {
    /// The state of a mixer with a matrix memory `[B, H, K, V]` in float32 (float64 for float64 activations) and short convolutions.
    static func matrixMemory(
        batch: Int, heads: Int, key: Int, value: Int, convolutions: [ShortConvolution] = [], dtype: DType, device: Device
    ) -> MixerState {
        let memory: Tensor = .zeros([batch, heads, key, value], dtype: dtype.accumulator, device: device)
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
package func float32Bytes(_ elements: Int) -> Int { elements * DType.float32.byteCount }
