import CTorch

/// An n-dimensional array on a device, with automatic differentiation.
///
/// A `Tensor` object holds one reference to libtorch's tensor and releases it at its end. Operators return new tensors; the few
/// that write in place say so in their name (`add_`, subscript assignment, ``copy_(from:)``).
///
/// `Tensor` is not `Sendable`: reading one from several threads is safe, but any of its holders may write in place. Hand
/// a tensor to another isolation domain as a `sending` value that you do not keep.
public final class Tensor {
    private(set) var handle: CTTensor

    init(owning handle: CTTensor) { self.handle = handle }

    deinit { ct_release(handle) }

    /// What an operator returns after a captured failure: an empty tensor.
    static func failedPlaceholder() -> Tensor { Tensor.empty([0], device: .cpu) }

    /// Makes this object stand for another tensor: every holder of the object sees the change.
    /// For parameters that change dtype, device or shape as a whole.
    public func replace(with other: Tensor) {
        let old: CTTensor = handle
        handle = ct_retain(other.handle)
        ct_release(old)
    }
}

// MARK: - Description of the array

extension Tensor {
    /// Number of axes.
    public var ndim: Int { Int(ct_dim(handle)) }

    public var shape: [Int] { (0..<ndim).map { Int(ct_size(handle, Int32($0))) } }

    /// Steps between neighbours along each axis, in elements.
    public var strides: [Int] { (0..<ndim).map { Int(ct_stride(handle, Int32($0))) } }

    /// Length of one axis; negative axes count from the end. Traps for an axis that is not there.
    public func dim(_ axis: Int) -> Int {
        let count: Int = ndim
        precondition(axis >= -count && axis < count, "axis \(axis) of a tensor of shape \(shape)")
        return Int(ct_size(handle, Int32(axis < 0 ? axis + count : axis)))
    }

    /// Number of elements.
    public var count: Int { Int(ct_element_count(handle)) }

    public var dtype: DType {
        let code: Int32 = ct_scalar_type(handle)
        guard let type = DType(rawValue: code) else { fatalError("libtorch scalar type \(code) has no DType") }
        return type
    }

    public var device: Device { Device(code: ct_device(handle)) }

    public var isContiguous: Bool { ct_is_contiguous(handle) }

    /// Whether the two share memory.
    public func sharesStorage(with other: Tensor) -> Bool { ct_storage(handle) == ct_storage(other.handle) }

    /// Bytes of the elements (not of the storage that a view may share).
    public var byteCount: Int { count * dtype.byteCount }
}

// MARK: - Reading elements

extension Tensor {
    /// The elements in row-major order, converted to `Element`; waits for the device.
    public func array<Element: TensorElement>(_ type: Element.Type = Element.self) -> [Element] {
        let source: Tensor = detached().to(device: .cpu, dtype: Element.dtype).contiguous()
        return source.withUnsafeElements(Element.self) { Array($0) }
    }

    /// The only element, converted to `Element`. Traps unless there is exactly one.
    public func item<Element: TensorElement>(_ type: Element.Type = Element.self) -> Element {
        precondition(count == 1, "item() needs a tensor of one element; shape is \(shape)")
        return array(type)[0]
    }

    /// Lends the elements of a contiguous CPU tensor, without a copy; writing through the pointer changes the tensor.
    /// Traps for another dtype, another device or a strided view.
    public func withUnsafeMutableElements<Element: TensorElement, Result>(
        _ type: Element.Type = Element.self, _ body: (UnsafeMutableBufferPointer<Element>) throws -> Result
    ) rethrows -> Result {
        precondition(dtype == Element.dtype, "elements are \(dtype), not \(Element.dtype)")
        precondition(isContiguous, "elements of a strided view; call contiguous() first")
        var pointer: UnsafeMutableRawPointer?
        if ct_data(handle, &pointer) != 0 { ErrorCapture.fail("elements") }
        let buffer: UnsafeMutableBufferPointer<Element> = UnsafeMutableBufferPointer(
            start: pointer?.assumingMemoryBound(to: Element.self), count: pointer == nil ? 0 : count)
        return try withExtendedLifetime(self) { try body(buffer) }
    }

    /// As ``withUnsafeMutableElements(_:_:)``, for reading.
    public func withUnsafeElements<Element: TensorElement, Result>(
        _ type: Element.Type = Element.self, _ body: (UnsafeBufferPointer<Element>) throws -> Result
    ) rethrows -> Result {
        try withUnsafeMutableElements(type) { try body(UnsafeBufferPointer($0)) }
    }

    /// Lends the bytes of a contiguous CPU tensor of any dtype.
    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        precondition(isContiguous, "bytes of a strided view; call contiguous() first")
        var pointer: UnsafeMutableRawPointer?
        if ct_data(handle, &pointer) != 0 { ErrorCapture.fail("bytes") }
        return try withExtendedLifetime(self) { try body(UnsafeRawBufferPointer(start: pointer, count: pointer == nil ? 0 : byteCount)) }
    }
}
