private let toOp: Operator = Operator("to", "dtype_layout")
private let toDtypeOp: Operator = Operator("to", "dtype")
private let contiguousOp: Operator = Operator("contiguous")
private let cloneOp: Operator = Operator("clone")
private let copyOp: Operator = Operator("copy_")
private let detachOp: Operator = Operator("detach")
private let viewTypeOp: Operator = Operator("view", "dtype")

extension Tensor {
    /// Elements converted to another type; the tensor itself where nothing changes.
    public func asType(_ dtype: DType) -> Tensor { self.dtype == dtype ? self : toDtypeOp(self, dtype) }

    /// The same memory read as another type; where the new elements are of another size, the last axis grows or shrinks by it.
    public func reinterpreted(as dtype: DType) -> Tensor { viewTypeOp(self, dtype) }

    /// On another device and, where given, as another type; the tensor itself where nothing changes.
    public func to(device: Device, dtype: DType? = nil) -> Tensor {
        toOp(self, dtype ?? self.dtype, Int?.none, device, Bool?.none, false, false, Int?.none)
    }

    /// The same elements in row-major order in memory; the tensor itself where they are already.
    public func contiguous() -> Tensor { isContiguous ? self : contiguousOp(self) }

    /// A copy with memory of its own.
    public func cloned() -> Tensor { cloneOp(self) }

    /// The same memory without a gradient history.
    public func detached() -> Tensor { detachOp(self) }

    /// Writes another tensor's elements into this one, converted and broadcast.
    public func copy_(from other: Tensor) { copyOp.perform(self, other) }
}
