import Foundation

private let resolveConjugateOp: Operator = Operator("resolve_conj")
private let resolveNegativeOp: Operator = Operator("resolve_neg")

/// Writes a checkpoint atomically (see ``AtomicFile``). The same tensors always give the same bytes: they are ordered by
/// element size, largest first, then by name, and the header is padded so that every element is aligned.
/// - Parameters:
///   - tensors: by the name that they get in the file.
///   - metadata: strings for the header.
///   - url: the file, for instance `model.safetensors`.
///   - mostShardBytes: where the elements need more, `model-00001-of-00003.safetensors` and so on are written instead, and
///     `model.safetensors.index.json` last. A single tensor that is larger gets a shard of its own.
/// Each file is replaced as a whole; afterwards the other form of an older checkpoint under the same name (the single file, or the index) is removed,
/// so that readers find one.
/// - Throws: ``SafetensorsError`` for a tensor that the format cannot hold, ``FileError`` where a file cannot be written.
public func saveTensors(
    _ tensors: [String: Tensor], metadata: [String: String] = [:], to url: URL, mostShardBytes: Int? = nil
) throws {
    let entries: [SavedEntry] = try tensors.map { try SavedEntry($0.key, $0.value, file: url.path) }.sorted()
    let shards: [[SavedEntry]] = mostShardBytes.map { split(entries, mostBytes: $0) } ?? [entries]
    if shards.count <= 1 {
        try write(entries, metadata: metadata, to: url)
        try removeIfPresent(indexURL(of: url))
    } else {
        try write(shards: shards, metadata: metadata, to: url)
        try removeIfPresent(url)
    }
}

/// A tensor on its way into a file.
private struct SavedEntry: Comparable {
    let name: String
    let tensor: Tensor
    let dtype: SafetensorsDType

    init(_ name: String, _ tensor: Tensor, file: String) throws {
        guard name != SafetensorsHeader.metadataKey else {
            throw SafetensorsError(.entry, file: file, tensor: name, "the format keeps this name for metadata; choose another")
        }
        guard let dtype = SafetensorsDType(tensor.dtype) else {
            throw SafetensorsError(.dtype, file: file, tensor: name, "the format has no \(tensor.dtype); convert it first")
        }
        self.name = name
        self.tensor = tensor
        self.dtype = dtype
    }

    static func < (left: SavedEntry, right: SavedEntry) -> Bool {
        (-left.dtype.bitCount, left.dtype.rawValue, left.name) < (-right.dtype.bitCount, right.dtype.rawValue, right.name)
    }

    static func == (left: SavedEntry, right: SavedEntry) -> Bool { left.name == right.name }

    /// The elements on the CPU in row-major order, with pending conjugations and signs carried out.
    var plain: Tensor { resolveNegativeOp(resolveConjugateOp(tensor.detached())).to(device: .cpu).contiguous() }
}

private func split(_ entries: [SavedEntry], mostBytes: Int) -> [[SavedEntry]] {
    var shards: [[SavedEntry]] = []
    var bytes: Int = 0
    for entry in entries {
        if shards.isEmpty || bytes + entry.tensor.byteCount > mostBytes {
            shards.append([])
            bytes = 0
        }
        shards[shards.count - 1].append(entry)
        bytes += entry.tensor.byteCount
    }
    return shards
}

private func write(_ entries: [SavedEntry], metadata: [String: String], to url: URL) throws {
    let header: [UInt8] = headerBytes(entries, metadata: metadata)
    try AtomicFile.write(to: url.path) { file in
        try withUnsafeBytes(of: UInt64(header.count).littleEndian) { try file.write($0) }
        try file.write(header)
        for entry in entries { try entry.plain.withUnsafeBytes { try file.write($0) } }
    }
}

private func headerBytes(_ entries: [SavedEntry], metadata: [String: String]) -> [UInt8] {
    var members: [String] = []
    if !metadata.isEmpty { members.append("\(jsonString(SafetensorsHeader.metadataKey)):\(jsonObject(metadata))") }
    var start: Int = 0
    for entry in entries {
        let end: Int = start + entry.tensor.byteCount
        let shape: String = entry.tensor.shape.map(String.init).joined(separator: ",")
        members.append(
            "\(jsonString(entry.name)):{\"dtype\":\"\(entry.dtype.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(start),\(end)]}")
        start = end
    }
    var header: [UInt8] = Array("{\(members.joined(separator: ","))}".utf8)
    let alignment: Int = 8
    while header.count % alignment != 0 { header.append(UInt8(ascii: " ")) }
    return header
}

private func write(shards: [[SavedEntry]], metadata: [String: String], to url: URL) throws {
    let folder: URL = url.deletingLastPathComponent()
    let stem: String = url.deletingPathExtension().lastPathComponent
    func number(_ value: Int) -> String { String(repeating: "0", count: max(0, 5 - "\(value)".count)) + "\(value)" }
    var places: [String: String] = [:]
    for (index, shard) in shards.enumerated() {
        let name: String = "\(stem)-\(number(index + 1))-of-\(number(shards.count)).safetensors"
        try write(shard, metadata: metadata, to: folder.appendingPathComponent(name))
        for entry in shard { places[entry.name] = name }
    }
    let total: Int = shards.joined().reduce(0) { $0 + $1.tensor.byteCount }
    let index: String = "{\"metadata\":{\"total_size\":\(total)},\"weight_map\":\(jsonObject(places))}\n"
    try AtomicFile.write(index, to: indexURL(of: url).path)
}

private func indexURL(of url: URL) -> URL {
    url.deletingLastPathComponent().appendingPathComponent(url.lastPathComponent + ".index.json")
}

private func removeIfPresent(_ url: URL) throws {
    if unlink(url.path) != 0 && errno != ENOENT { throw FileError("remove", url.path, code: errno) }
}

private func jsonObject(_ members: [String: String]) -> String {
    let sorted: [(key: String, value: String)] = members.sorted { $0.key < $1.key }
    return "{\(sorted.map { "\(jsonString($0.key)):\(jsonString($0.value))" }.joined(separator: ","))}"
}

private func jsonString(_ text: String) -> String {
    var result: String = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"", "\\": result += "\\\(scalar)"
        case "\0"..."\u{1F}":
            let hex: String = String(scalar.value, radix: 16)
            result += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}
