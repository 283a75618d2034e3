import CTorch

private let emptyOp: Operator = Operator("empty", "memory_format")
private let zerosOp: Operator = Operator("zeros")
private let onesOp: Operator = Operator("ones")
private let fullOp: Operator = Operator("full")
private let arangeOp: Operator = Operator("arange", "start_step")
private let linspaceOp: Operator = Operator("linspace")
private let eyeOp: Operator = Operator("eye", "m")
private let emptyLikeOp: Operator = Operator("empty_like")
private let zerosLikeOp: Operator = Operator("zeros_like")
private let onesLikeOp: Operator = Operator("ones_like")

/// libtorch's codes for the optional layout and pinning arguments that Linnet never sets.
private let unset: Int? = nil

extension Tensor {
    /// A tensor of the given elements in row-major order. Traps unless the shape has as many elements as the array.
    public convenience init<Element: TensorElement>(
        _ elements: [Element], _ shape: [Int]? = nil, dtype: DType? = nil, device: Device = .default
    ) {
        let shape: [Int] = shape ?? [elements.count]
        precondition(shape.reduce(1, *) == elements.count, "shape \(shape) does not hold \(elements.count) elements")
        let host: Tensor = Tensor.empty(shape, dtype: Element.dtype, device: .cpu)
        host.withUnsafeMutableElements(Element.self) { _ = $0.update(fromContentsOf: elements) }
        let placed: Tensor = host.to(device: device, dtype: dtype ?? Element.dtype)
        self.init(owning: ct_retain(placed.handle))
    }

    /// A tensor of shape `[]`.
    public convenience init<Element: TensorElement>(_ value: Element, dtype: DType? = nil, device: Device = .default) {
        self.init([value], [], dtype: dtype, device: device)
    }

    /// Uninitialised elements.
    public static func empty(_ shape: [Int], dtype: DType = .float32, device: Device = .default) -> Tensor {
        emptyOp(shape, dtype, unset, device, unset)
    }

    public static func zeros(_ shape: [Int], dtype: DType = .float32, device: Device = .default) -> Tensor {
        zerosOp(shape, dtype, unset, device, unset)
    }

    public static func ones(_ shape: [Int], dtype: DType = .float32, device: Device = .default) -> Tensor {
        onesOp(shape, dtype, unset, device, unset)
    }

    public static func full<Value: ScalarValue>(
        _ shape: [Int], _ value: Value, dtype: DType = .float32, device: Device = .default
    ) -> Tensor {
        fullOp(shape, value, dtype, unset, device, unset)
    }

    /// `start, start + step, …` below `end`.
    public static func arange<Value: ScalarValue>(
        _ start: Value, _ end: Value, step: Value, dtype: DType = .float32, device: Device = .default
    ) -> Tensor {
        arangeOp(start, end, step, dtype, unset, device, unset)
    }

    /// `0, 1, …, end - 1`.
    public static func arange(_ end: Int, dtype: DType = .int64, device: Device = .default) -> Tensor {
        arange(0, end, step: 1, dtype: dtype, device: device)
    }

    /// `count` values from `start` to `end`, both included.
    public static func linspace(_ start: Double, _ end: Double, count: Int, dtype: DType = .float32, device: Device = .default) -> Tensor {
        linspaceOp(start, end, count, dtype, unset, device, unset)
    }

    /// Ones on the diagonal, `[rows, columns]`.
    public static func eye(_ rows: Int, _ columns: Int? = nil, dtype: DType = .float32, device: Device = .default) -> Tensor {
        eyeOp(rows, columns ?? rows, dtype, unset, device, unset)
    }

    /// Uninitialised elements in this tensor's shape, dtype and device.
    public func emptyLike() -> Tensor { emptyLikeOp(self) }

    public func zerosLike() -> Tensor { zerosLikeOp(self) }

    public func onesLike() -> Tensor { onesLikeOp(self) }

    /// A tensor over memory of the caller's, without a copy. `release` runs once, when libtorch drops the last reference,
    /// on whatever thread that happens.
    public convenience init(
        memory: UnsafeMutableRawPointer, shape: [Int], dtype: DType, release: @escaping @Sendable () -> Void
    ) throws {
        let box: ReleaseBox = ReleaseBox(release)
        let context: UnsafeMutableRawPointer = Unmanaged.passRetained(box).toOpaque()
        var result: CTTensor?
        let status: Int32 = ct_from_memory(
            memory, shape.map(Int64.init), Int32(shape.count), dtype.rawValue,
            { Unmanaged<ReleaseBox>.fromOpaque($0!).takeRetainedValue().release() }, context, &result)
        guard status == 0, let result else { throw TorchError(String(cString: ct_last_error())) }
        self.init(owning: result)
    }
}

private final class ReleaseBox: Sendable {
    let release: @Sendable () -> Void
    init(_ release: @escaping @Sendable () -> Void) { self.release = release }
}
