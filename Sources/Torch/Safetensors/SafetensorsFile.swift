import Foundation

/// An open safetensors file, whose tensors are views of its mapped bytes.
///
/// Opening reads the header alone. A tensor is made without a copy, on the CPU; pages come from the file when they are
/// touched, and writing to such a tensor in place changes memory only. The mapping lives as long as this object or
/// any of its tensors. All tensors of one name share memory.
///
/// The header is read as hostile input. The one thing that no reader by mapping can guard against is another program
/// shortening the same file in place while it is mapped: files are to be replaced by renaming, as ``AtomicFile`` does.
public final class SafetensorsFile {
    /// The path, or the name given for bytes in memory.
    public let name: String
    private let region: ByteRegion
    private let header: SafetensorsHeader

    private init(_ region: ByteRegion, name: String) throws {
        self.name = name
        self.region = region
        header = try SafetensorsHeader(parsing: region.bytes, file: name)
    }

    /// Maps a file and checks its header.
    /// - Throws: ``SafetensorsError``.
    public convenience init(_ url: URL) throws { try self.init(ByteRegion.mapping(url), name: url.path) }

    /// Takes a copy of the bytes of a file and checks the header.
    /// - Throws: ``SafetensorsError``.
    public convenience init(data: Data, name: String = "safetensors data") throws {
        try self.init(ByteRegion.copying(data), name: name)
    }

    /// The tensors' names in the order of their elements in the file.
    public var names: [String] { header.names }

    /// The free-form strings under `__metadata__`.
    public var metadata: [String: String] { header.metadata }

    /// Type, shape and place of a tensor, without touching its elements; nil where there is none of that name.
    public func info(_ tensor: String) -> SafetensorsTensorInfo? { header.tensors[tensor] }

    public func contains(_ tensor: String) -> Bool { info(tensor) != nil }

    /// A tensor over the file's bytes; a copy only where its elements are not aligned.
    /// - Throws: ``SafetensorsError`` where there is no such tensor, Linnet has no tensors of its dtype, or a BOOL is neither 0 nor 1.
    public func tensor(_ tensor: String) throws -> Tensor {
        guard let info = info(tensor) else {
            throw SafetensorsError(.missingTensor, file: name, tensor: tensor, "not in the file, which has \(names.count) tensors")
        }
        guard let dtype = info.dtype.dtype else {
            throw SafetensorsError(.dtype, file: name, tensor: tensor, "Linnet has no tensors of \(info.dtype.rawValue); convert it first")
        }
        if info.byteRange.isEmpty { return Tensor.empty(info.shape, dtype: dtype, device: .cpu) }
        let start: UnsafeMutableRawPointer = region.start + header.dataStart + info.byteRange.lowerBound
        let bytes: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: start, count: info.byteRange.count)
        if dtype == .bool { try checkBooleans(bytes, tensor) }
        let alignment: UInt = UInt(dtype.isComplex ? dtype.byteCount / 2 : dtype.byteCount)
        guard UInt(bitPattern: start) % alignment == 0 else { return Self.copy(of: bytes, shape: info.shape, dtype: dtype) }
        let region: ByteRegion = region
        do {
            return try Tensor(memory: start, shape: info.shape, dtype: dtype) { withExtendedLifetime(region) {} }
        } catch {
            throw SafetensorsError(.shape, file: name, tensor: tensor, "\(error)")
        }
    }

    /// All tensors by name. See ``tensor(_:)``.
    public func tensors() throws -> [String: Tensor] {
        try Dictionary(uniqueKeysWithValues: names.map { ($0, try tensor($0)) })
    }

    /// Whether a tensor's elements lie in this file's memory.
    func holds(_ tensor: Tensor) -> Bool {
        tensor.withUnsafeBytes { elements in
            guard let first = elements.baseAddress else { return false }
            return first >= UnsafeRawPointer(region.start) && first + elements.count <= UnsafeRawPointer(region.start) + region.count
        }
    }

    private static func copy(of bytes: UnsafeRawBufferPointer, shape: [Int], dtype: DType) -> Tensor {
        let result: Tensor = Tensor.empty(shape, dtype: dtype, device: .cpu)
        result.withUnsafeBytes { UnsafeMutableRawBufferPointer(mutating: $0).copyMemory(from: bytes) }
        return result
    }

    /// A byte other than 0 and 1 in a C++ `bool` is undefined behaviour.
    private func checkBooleans(_ bytes: UnsafeRawBufferPointer, _ tensor: String) throws {
        guard let index = bytes.firstIndex(where: { $0 > 1 }) else { return }
        throw SafetensorsError(.elements, file: name, tensor: tensor, "BOOL element \(index) is \(bytes[index]); it should be 0 or 1")
    }
}
