import Torch

/// The sizes of one call of an operator over heads, checked once where the call comes in.
struct AttentionShape {
    let batch: Int
    let length: Int
    let heads: Int
    let keyDimensions: Int
    let valueDimensions: Int
    /// Arithmetic and state: float64 for float64 inputs, else float32.
    let accumulator: DType
    let device: Device

    /// Traps unless `q`, `k` are `[B, T, H, K]` and `v` is `[B, T, H, V]` with T above 0.
    init(_ operation: String, q: Tensor, k: Tensor, v: Tensor) {
        let (queries, values): ([Int], [Int]) = (q.shape, v.shape)
        precondition(
            queries.count == 4 && values.count == 4 && k.shape == queries && values.dropLast() == queries.dropLast() && queries[1] > 0,
            "\(operation): q and k are [B, T, H, K] and v is [B, T, H, V]; found q \(queries), k \(k.shape), v \(values)")
        (batch, length, heads, keyDimensions) = (queries[0], queries[1], queries[2], queries[3])
        valueDimensions = values[3]
        accumulator = q.dtype.accumulator
        device = q.device
    }

    /// Sequences that run side by side: one for each batch element and head.
    var rows: Int { batch * heads }

    /// Factor on `q`: the one given, or K^-1/2.
    func scale(_ given: Double?) -> Double { given ?? 1 / Double(keyDimensions).squareRoot() }

    /// The state before the first step, `[B·H, K, V]`: the one given, or zeros. Traps for another shape than `[B, H, K, V]`.
    func initialState(_ given: Tensor?) -> Tensor {
        guard let given else { return Tensor.zeros([rows, keyDimensions, valueDimensions], dtype: accumulator, device: device) }
        let expected: [Int] = [batch, heads, keyDimensions, valueDimensions]
        precondition(given.shape == expected, "an initial state of shape \(given.shape) where \(expected) is needed")
        return given.asType(accumulator).reshaped(rows, keyDimensions, valueDimensions)
    }

    /// `[B·H, K, V]` as the public `[B, H, K, V]`.
    func publicState(_ state: Tensor) -> Tensor { state.reshaped(batch, heads, keyDimensions, valueDimensions) }

    /// Traps unless a per-step input has the shape `[B, T, H]` followed by `trailing`.
    func check(_ tensor: Tensor, _ name: String, trailing: [Int] = []) {
        let expected: [Int] = [batch, length, heads] + trailing
        precondition(tensor.shape == expected, "\(name) of shape \(tensor.shape) where \(expected) is needed")
    }

    /// `[B, T, H, D]` as one step after another, `T × [B·H, D]`, in the accumulator's type.
    func steps(_ tensor: Tensor) -> [Tensor] {
        tensor.asType(accumulator).swappedAxes(1, 2).reshaped(rows, length, -1).unbound(axis: 1)
    }

    /// `T × [B·H, D]` joined to `[B, T, H, D]`.
    func joined(steps: [Tensor], dtype: DType) -> Tensor {
        stacked(steps, axis: 1).reshaped(batch, heads, length, -1).swappedAxes(1, 2).asType(dtype)
    }
}

extension Tensor {
    /// Zeros at the steps that a mask `[B, T]` (1 = real token) leaves out of `[B, T, …]`; the tensor itself without a mask.
    public func masked(by mask: Tensor?) -> Tensor {
        guard let mask else { return self }
        precondition(mask.shape == Array(shape.prefix(2)), "a mask of shape \(mask.shape) for a tensor of shape \(shape)")
        return self * mask.asType(dtype).reshaped(mask.shape + Array(repeating: 1, count: ndim - 2))
    }
}
