import CTorch

extension Tensor: OperatorArgument {
    @inline(__always)
    public func encode(into arguments: inout ArgumentEncoder) {
        var value: CTValue = CTValue()
        value.kind = CTKindTensor
        value.pointer = UnsafeRawPointer(handle)
        arguments.append(value)
    }
}

extension Optional: OperatorArgument where Wrapped: OperatorArgument {
    @inline(__always)
    public func encode(into arguments: inout ArgumentEncoder) {
        if let self { self.encode(into: &arguments) } else { arguments.append(CTValue()) }
    }
}

/// A number that an operator takes where its schema says `Scalar`.
public protocol ScalarValue: OperatorArgument, Sendable {}

extension Int: ScalarValue {
    @inline(__always)
    public func encode(into arguments: inout ArgumentEncoder) { arguments.append(CTKindInt, integer: Int64(self)) }
}

extension Bool: ScalarValue {
    @inline(__always)
    public func encode(into arguments: inout ArgumentEncoder) { arguments.append(CTKindBool, integer: self ? 1 : 0) }
}

extension Double: ScalarValue {
    @inline(__always)
    public func encode(into arguments: inout ArgumentEncoder) {
        var value: CTValue = CTValue()
        value.kind = CTKindDouble
        value.real = self
        arguments.append(value)
    }
}

extension Float: ScalarValue {
    @inline(__always)
    public func encode(into arguments: inout ArgumentEncoder) { Double(self).encode(into: &arguments) }
}

/// A complex number, for operators on complex tensors.
public struct Complex: ScalarValue, Hashable {
    public var real: Double
    public var imaginary: Double

    public init(_ real: Double, _ imaginary: Double) {
        self.real = real
        self.imaginary = imaginary
    }

    public func encode(into arguments: inout ArgumentEncoder) {
        var value: CTValue = CTValue()
        value.kind = CTKindComplex
        value.real = real
        value.imaginary = imaginary
        arguments.append(value)
    }
}

extension DType: OperatorArgument {
    @inline(__always)
    public func encode(into arguments: inout ArgumentEncoder) { arguments.append(CTKindInt, integer: Int64(rawValue)) }
}

extension Device: OperatorArgument {
    @inline(__always)
    public func encode(into arguments: inout ArgumentEncoder) { arguments.append(CTKindDevice, integer: code) }
}

extension String: OperatorArgument {
    public func encode(into arguments: inout ArgumentEncoder) {
        let bytes: [CChar] = utf8CString.map { $0 }
        arguments.append(CTKindString, elementCount: (bytes.count + 7) / 8) { storage in
            storage.withMemoryRebound(to: CChar.self, capacity: bytes.count) { $0.update(from: bytes, count: bytes.count) }
        }
    }
}

/// An element of a list argument.
public protocol OperatorListElement {
    static func encodeList(_ list: [Self], into arguments: inout ArgumentEncoder)
}

extension Array: OperatorArgument where Element: OperatorListElement {
    @inline(__always)
    public func encode(into arguments: inout ArgumentEncoder) { Element.encodeList(self, into: &arguments) }
}

extension Int: OperatorListElement {
    public static func encodeList(_ list: [Int], into arguments: inout ArgumentEncoder) {
        arguments.append(CTKindIntList, elementCount: list.count) { storage in
            for index in list.indices { storage[index] = Int64(list[index]) }
        }
    }
}

extension Double: OperatorListElement {
    public static func encodeList(_ list: [Double], into arguments: inout ArgumentEncoder) {
        arguments.append(CTKindDoubleList, elementCount: list.count) { storage in
            for index in list.indices { storage[index] = Int64(bitPattern: list[index].bitPattern) }
        }
    }
}

extension Bool: OperatorListElement {
    public static func encodeList(_ list: [Bool], into arguments: inout ArgumentEncoder) {
        arguments.append(CTKindBoolList, elementCount: list.count) { storage in
            for index in list.indices { storage[index] = list[index] ? 1 : 0 }
        }
    }
}

extension Tensor: OperatorListElement {
    public static func encodeList(_ list: [Tensor], into arguments: inout ArgumentEncoder) {
        arguments.append(CTKindTensorList, elementCount: list.count) { storage in
            for index in list.indices { storage[index] = Int64(Int(bitPattern: list[index].handle)) }
        }
    }
}

extension Optional: OperatorListElement where Wrapped == Tensor {
    public static func encodeList(_ list: [Tensor?], into arguments: inout ArgumentEncoder) {
        arguments.append(CTKindOptionalTensorList, elementCount: list.count) { storage in
            for index in list.indices { storage[index] = list[index].map { Int64(Int(bitPattern: $0.handle)) } ?? 0 }
        }
    }
}
