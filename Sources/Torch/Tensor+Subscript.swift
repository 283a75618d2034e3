private let indexOp: Operator = Operator("index", "Tensor")
private let indexPutOp: Operator = Operator("index_put_")

extension Tensor {
    /// Part of a tensor, one index for each axis from the first: `x[0]`, `x[0..., 1 ..< 3]`, `x[.ellipsis, -1]`, `x[mask]`,
    /// `x[rows, columns]`. See ``TensorIndex`` for what an index may be.
    ///
    /// Positions, ranges, strides forwards, `.ellipsis` and `.newAxis` give a view that shares memory; masks, lists of places
    /// and backward strides give a copy. Where masks or lists stand next to each other, their common axes take their place;
    /// where they are apart, the common axes come first (NumPy's rule). Gradients flow through all of them.
    ///
    /// Assignment writes in place, broadcasting and converting the right side: `x[mask] = 0`, `x[0..., 1] = column`. Where a list
    /// names a place twice, which of the values ends there is not defined.
    ///
    /// Traps for an index or a bound outside the axis, naming the index, the axis and the shape.
    public subscript(_ indices: any TensorIndex...) -> Tensor {
        get { failing { try read(indices) } ?? Tensor.failedPlaceholder() }
        set { _ = failing { try write(newValue, at: indices) } }
    }

    /// One place along the first axis, which is dropped; a view.
    public subscript(_ index: Int) -> Tensor {
        get {
            let length: Int = ndim == 0 ? 0 : dim(0)
            guard index >= -length && index < length else {
                ErrorCapture.fail("subscript", "index \(index) is out of range for axis 0 of shape \(shape)")
                return Tensor.failedPlaceholder()
            }
            return selected(axis: 0, index: index)
        }
        set { self[index].assign(newValue) }
    }

    /// Assignment of a number: `x[mask] = 0`. To read one element as a number, write `x[0, 1].item()`.
    // The type is existential because a generic one would take part in arithmetic: `x[0] + 1` would look like `Int + Int`.
    @_disfavoredOverload
    public subscript(_ indices: any TensorIndex...) -> any ScalarValue {
        @available(*, unavailable, message: "an element is a Tensor; item() gives its number")
        get { fatalError("unavailable") }
        set { _ = failing { try write(number(newValue), at: indices) } }
    }

    /// A number in this tensor's dtype and place.
    private func number(_ value: some ScalarValue) -> Tensor { Tensor.full([], value, dtype: dtype, device: device) }

    private func read(_ indices: [any TensorIndex]) throws -> Tensor {
        let indexed: IndexedView = try IndexedView(self, indices)
        return indexed.isBasic ? indexed.view : indexOp(indexed.view, indexed.lookups)
    }

    private func write(_ value: Tensor, at indices: [any TensorIndex]) throws {
        let indexed: IndexedView = try IndexedView(self, indices)
        if indexed.isBasic { return indexed.view.assign(value) }
        indexPutOp.perform(indexed.view, indexed.lookups, value.to(device: device, dtype: dtype), false)
    }

    /// Copies, leaving out leading axes of length 1 that the target does not have, as NumPy does.
    private func assign(_ value: Tensor) {
        let extra: Int = value.ndim - ndim
        let surplus: Bool = extra > 0 && value.shape.prefix(extra).allSatisfy { $0 == 1 }
        copy_(from: surplus ? value.reshaped(Array(value.shape.dropFirst(extra))) : value)
    }

    private func failing<Result>(_ body: () throws -> Result) -> Result? {
        do {
            return try body()
        } catch {
            ErrorCapture.fail("subscript", "\(error)")
            return nil
        }
    }
}
