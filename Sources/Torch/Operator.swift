import CTorch

/// A value that an ATen operator takes.
public protocol OperatorArgument {
    func encode(into arguments: inout ArgumentEncoder)
}

/// Collects the arguments of one call in storage on the stack.
public struct ArgumentEncoder {
    private let values: UnsafeMutablePointer<CTValue>
    private(set) var count: Int32 = 0
    private var words: UnsafeMutableBufferPointer<Int64>
    private var spills: [UnsafeMutablePointer<Int64>] = []

    init(values: UnsafeMutablePointer<CTValue>, words: UnsafeMutableBufferPointer<Int64>) {
        self.values = values
        self.words = words
    }

    mutating func append(_ value: CTValue) {
        values[Int(count)] = value
        count += 1
    }

    mutating func append(_ kind: CTKind, integer: Int64) {
        var value: CTValue = CTValue()
        value.kind = kind
        value.integer = integer
        append(value)
    }

    /// Stores a list of 64-bit elements until the call ends.
    mutating func append(_ kind: CTKind, elementCount: Int, fill: (UnsafeMutablePointer<Int64>) -> Void) {
        let storage: UnsafeMutablePointer<Int64> = reserve(elementCount)
        fill(storage)
        var value: CTValue = CTValue()
        value.kind = kind
        value.count = Int32(elementCount)
        value.pointer = UnsafeRawPointer(storage)
        append(value)
    }

    private mutating func reserve(_ size: Int) -> UnsafeMutablePointer<Int64> {
        if size <= words.count, let base = words.baseAddress {
            words = UnsafeMutableBufferPointer(rebasing: words[size...])
            return base
        }
        let spill: UnsafeMutablePointer<Int64> = .allocate(capacity: size)
        spills.append(spill)
        return spill
    }

    mutating func finish() {
        for spill in spills { spill.deallocate() }
    }
}

/// An ATen operator, looked up once by name and overload and called through libtorch's dispatcher.
///
/// Arguments follow the operator's schema in order; missing trailing ones take the schema's defaults. Autograd, autocast and
/// the device's kernel are the dispatcher's business. A failing call traps with the operator's message and the call site,
/// unless it runs under ``withTorchErrors(_:)``.
public struct Operator: @unchecked Sendable {
    // The handle is immutable and lives as long as the process.
    private let handle: CTOperator
    private let name: StaticString

    /// Traps when libtorch has no such operator.
    public init(_ name: StaticString, _ overload: StaticString = "") {
        var found: CTOperator?
        let status: Int32 = ct_operator("aten::\(name)", "\(overload)", &found)
        guard status == 0, let found else { fatalError(String(cString: ct_last_error())) }
        handle = found
        self.name = name
    }

    /// The operator's signature in ATen's notation.
    public var schema: String { String(cString: ct_operator_schema(handle)) }

    /// Calls an operator whose result is one tensor.
    @inline(__always)
    public func callAsFunction<each Argument: OperatorArgument>(_ argument: repeat each Argument) -> Tensor {
        var result: CTTensor?
        let status: Int32 = withArguments(repeat each argument) { ct_call1(handle, $0, $1, &result) }
        guard status == 0, let result else { return failed() }
        return Tensor(owning: result)
    }

    /// Calls an operator with several tensors as its result; a list result is flattened in place.
    @inline(__always)
    public func tensors<each Argument: OperatorArgument>(_ argument: repeat each Argument) -> [Tensor] {
        var results: UnsafePointer<CTValue>?
        var count: Int32 = 0
        let status: Int32 = withArguments(repeat each argument) { ct_call(handle, $0, $1, &results, &count) }
        guard status == 0, let results else {
            if status != 0 { return [failed()] }
            return []
        }
        return (0..<Int(count)).map { index in
            guard results[index].kind == CTKindTensor else { return Tensor.failedPlaceholder() }
            return Tensor(owning: OpaquePointer(results[index].pointer))
        }
    }

    /// Calls an operator for its effect (in-place and out variants, lists without a result).
    @inline(__always)
    public func perform<each Argument: OperatorArgument>(_ argument: repeat each Argument) {
        var results: UnsafePointer<CTValue>?
        var count: Int32 = 0
        let status: Int32 = withArguments(repeat each argument) { ct_call(handle, $0, $1, &results, &count) }
        guard status == 0, let results else {
            if status != 0 { ErrorCapture.fail("\(name)") }
            return
        }
        for index in 0..<Int(count) where results[index].kind == CTKindTensor { ct_release(OpaquePointer(results[index].pointer)) }
    }

    /// Calls an operator whose result is a number or a truth value.
    public func number<each Argument: OperatorArgument>(_ argument: repeat each Argument) -> Double {
        var results: UnsafePointer<CTValue>?
        var count: Int32 = 0
        let status: Int32 = withArguments(repeat each argument) { ct_call(handle, $0, $1, &results, &count) }
        guard status == 0, count == 1, let result = results?.pointee else {
            ErrorCapture.fail("\(name)")
            return .nan
        }
        return result.kind == CTKindDouble ? result.real : Double(result.integer)
    }

    @inline(never)
    private func failed() -> Tensor {
        ErrorCapture.fail("\(name)")
        return Tensor.failedPlaceholder()
    }

    @inline(__always)
    private func withArguments<each Argument: OperatorArgument>(
        _ argument: repeat each Argument, call: (UnsafePointer<CTValue>, Int32) -> Int32
    ) -> Int32 {
        withUnsafeTemporaryAllocation(of: CTValue.self, capacity: Self.mostArguments) { values in
            withUnsafeTemporaryAllocation(of: Int64.self, capacity: Self.wordCapacity) { words in
                var encoder: ArgumentEncoder = ArgumentEncoder(values: values.baseAddress!, words: words)
                repeat (each argument).encode(into: &encoder)
                let status: Int32 = call(UnsafePointer(values.baseAddress!), encoder.count)
                encoder.finish()
                // The handles were read out above; the tensors must outlive the call that uses them.
                repeat withExtendedLifetime(each argument) {}
                return status
            }
        }
    }

    private static var mostArguments: Int { 24 }
    private static var wordCapacity: Int { 32 }
}
