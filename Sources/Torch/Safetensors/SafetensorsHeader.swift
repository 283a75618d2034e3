/// What a safetensors header says of one tensor.
public struct SafetensorsTensorInfo: Sendable, Equatable {
    public let dtype: SafetensorsDType
    public let shape: [Int]
    /// Where the elements lie, counted from the end of the header.
    public let byteRange: Range<Int>
}

/// A checked safetensors header: 8 bytes of length (little endian), then a JSON object, then the elements without holes.
///
/// The rules are those of the format's reference implementation, and two more: an entry has no fields but `dtype`, `shape`
/// and `data_offsets`, and shapes whose axes overflow are refused even where another axis is 0.
struct SafetensorsHeader {
    static let lengthBytes: Int = 8
    static let mostHeaderBytes: Int = 100_000_000
    static let metadataKey: String = "__metadata__"
    /// libtorch's own limit in many operators.
    static let mostAxes: Int = 64

    let metadata: [String: String]
    /// The tensors' names in the order of their elements in the file.
    let names: [String]
    let tensors: [String: SafetensorsTensorInfo]
    /// Offset of the first element in the file.
    let dataStart: Int

    /// - Throws: ``SafetensorsError``; hostile bytes never trap.
    init(parsing bytes: UnsafeRawBufferPointer, file: String) throws {
        let length: Int = try Self.headerLength(bytes, file: file)
        dataStart = Self.lengthBytes + length
        let members: [StrictJSON.Member] = try Self.members(
            UnsafeRawBufferPointer(rebasing: bytes[Self.lengthBytes..<dataStart]), file: file)
        let dataCount: Int = bytes.count - dataStart
        var metadata: [String: String] = [:]
        var tensors: [String: SafetensorsTensorInfo] = Dictionary(minimumCapacity: members.count)
        for member in members {
            if member.key == Self.metadataKey {
                metadata = try Self.metadata(member.value, file: file)
            } else {
                let entry: EntryParser = EntryParser(file: file, name: member.key, dataCount: dataCount)
                tensors[member.key] = try entry.info(member.value)
            }
        }
        self.metadata = metadata
        self.tensors = tensors
        names = try Self.namesInOrder(tensors, dataCount: dataCount, file: file)
    }

    private static func headerLength(_ bytes: UnsafeRawBufferPointer, file: String) throws -> Int {
        guard bytes.count >= lengthBytes else {
            throw SafetensorsError(
                .headerLength, file: file, "\(bytes.count) bytes; a safetensors file starts with 8 bytes of header length")
        }
        let length: UInt64 = UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
        guard length >= 2, length <= mostHeaderBytes, length <= bytes.count - lengthBytes else {
            throw SafetensorsError(
                .headerLength, file: file,
                "header length \(length); it should be 2 to \(min(mostHeaderBytes, bytes.count - lengthBytes)) in a file of \(bytes.count) bytes"
            )
        }
        return Int(length)
    }

    private static func members(_ text: UnsafeRawBufferPointer, file: String) throws -> [StrictJSON.Member] {
        guard text.first == UInt8(ascii: "{") else {
            throw SafetensorsError(.headerSyntax, file: file, "the header does not begin with '{'; it should be a JSON object")
        }
        do {
            guard case .object(let members) = try StrictJSON.parse(text) else { return [] }
            return members
        } catch let error as StrictJSONError {
            throw SafetensorsError(.headerSyntax, file: file, "header, byte \(error.offset): \(error.problem)")
        }
    }

    private static func metadata(_ value: StrictJSON, file: String) throws -> [String: String] {
        guard case .object(let members) = value else {
            throw SafetensorsError(.metadata, file: file, "\(metadataKey) is \(value.kind); it should be an object of strings")
        }
        var result: [String: String] = [:]
        for member in members {
            guard case .string(let text) = member.value else {
                throw SafetensorsError(
                    .metadata, file: file, "\(metadataKey): \(quoted(member.key)) is \(member.value.kind); it should be a string")
            }
            result[member.key] = text
        }
        return result
    }

    /// Checks that the tensors cover the data one after another, from its first byte to its last.
    private static func namesInOrder(_ tensors: [String: SafetensorsTensorInfo], dataCount: Int, file: String) throws -> [String] {
        let ordered: [(key: String, value: SafetensorsTensorInfo)] = tensors.sorted { left, right in
            let a: Range<Int> = left.value.byteRange
            let b: Range<Int> = right.value.byteRange
            return (a.lowerBound, a.upperBound, left.key) < (b.lowerBound, b.upperBound, right.key)
        }
        var end: Int = 0
        for (name, info) in ordered {
            let start: Int = info.byteRange.lowerBound
            guard start == end else {
                let flaw: String = start < end ? "overlaps the tensor before it" : "leaves a hole before it"
                throw SafetensorsError(
                    .offsets, file: file, tensor: name, "data_offsets start at \(start) and \(flaw); it should be \(end)")
            }
            end = info.byteRange.upperBound
        }
        guard end == dataCount else {
            throw SafetensorsError(.offsets, file: file, "\(dataCount) bytes of elements; the header's tensors end at \(end)")
        }
        return ordered.map(\.key)
    }
}

/// Reads one tensor's entry of the header.
private struct EntryParser {
    let file: String
    let name: String
    let dataCount: Int

    private func error(_ reason: SafetensorsError.Reason, _ detail: String) -> SafetensorsError {
        SafetensorsError(reason, file: file, tensor: name, detail)
    }

    func info(_ value: StrictJSON) throws -> SafetensorsTensorInfo {
        guard case .object(let fields) = value else {
            throw error(.entry, "the entry is \(value.kind); it should be an object with dtype, shape and data_offsets")
        }
        var dtype: SafetensorsDType?
        var shape: [Int]?
        var offsets: Range<Int>?
        for field in fields {
            switch field.key {
            case "dtype": dtype = try self.dtype(field.value)
            case "shape": shape = try self.shape(field.value)
            case "data_offsets": offsets = try self.offsets(field.value)
            default: throw error(.entry, "unknown field \(quoted(field.key)); an entry has dtype, shape and data_offsets")
            }
        }
        guard let dtype, let shape, let offsets else {
            let missing: String = dtype == nil ? "dtype" : shape == nil ? "shape" : "data_offsets"
            throw error(.entry, "\(missing) is missing; an entry has dtype, shape and data_offsets")
        }
        let size: Int = try byteCount(shape, dtype)
        guard size == offsets.count else {
            throw error(.offsets, "data_offsets hold \(offsets.count) bytes; \(dtype.rawValue) of shape \(shape) has \(size)")
        }
        return SafetensorsTensorInfo(dtype: dtype, shape: shape, byteRange: offsets)
    }

    private func dtype(_ value: StrictJSON) throws -> SafetensorsDType {
        guard case .string(let text) = value else { throw error(.entry, "dtype is \(value.kind); it should be a string such as \"F32\"") }
        guard let dtype = SafetensorsDType(rawValue: text) else {
            let known: String = SafetensorsDType.allCases.map(\.rawValue).joined(separator: ", ")
            throw error(.dtype, "unknown dtype \(quoted(text)); the format has \(known)")
        }
        return dtype
    }

    private func shape(_ value: StrictJSON) throws -> [Int] {
        guard case .array(let elements) = value else { throw error(.entry, "shape is \(value.kind); it should be an array of integers") }
        guard elements.count <= SafetensorsHeader.mostAxes else {
            throw error(.shape, "shape has \(elements.count) axes; at most \(SafetensorsHeader.mostAxes) are possible")
        }
        return try elements.map { try natural($0, of: "shape", reason: .shape) }
    }

    private func offsets(_ value: StrictJSON) throws -> Range<Int> {
        guard case .array(let elements) = value, elements.count == 2 else {
            throw error(.entry, "data_offsets is \(value.kind); it should be an array of two integers")
        }
        let start: Int = try natural(elements[0], of: "data_offsets", reason: .offsets)
        let end: Int = try natural(elements[1], of: "data_offsets", reason: .offsets)
        guard start <= end, end <= dataCount else {
            throw error(.offsets, "data_offsets [\(start), \(end)]; they should rise and end by \(dataCount), where the file ends")
        }
        return start..<end
    }

    private func natural(_ value: StrictJSON, of field: String, reason: SafetensorsError.Reason) throws -> Int {
        guard case .integer(let number) = value, number >= 0 else {
            throw error(reason, "\(field) holds \(value.kind); it should hold integers from 0 to \(Int.max)")
        }
        return number
    }

    private func byteCount(_ shape: [Int], _ dtype: SafetensorsDType) throws -> Int {
        var bits: Int = dtype.bitCount
        var overflow: Bool = false
        for size in shape where size != 0 && !overflow { (bits, overflow) = bits.multipliedReportingOverflow(by: size) }
        guard !overflow else { throw error(.shape, "\(dtype.rawValue) of shape \(shape) overflows the address space") }
        if shape.contains(0) { return 0 }
        guard bits % 8 == 0 else { throw error(.shape, "\(dtype.rawValue) of shape \(shape) ends inside a byte") }
        return bits / 8
    }
}
