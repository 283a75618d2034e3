import Foundation

/// The tensors of a checkpoint, mapped without a copy (see ``SafetensorsFile``).
/// - Parameter url: a safetensors file; an index such as `model.safetensors.index.json`, whose shards lie beside it; or a folder that
///   has `model.safetensors` or, failing that, `model.safetensors.index.json`. Of a sharded checkpoint the tensors that the index names are loaded.
/// - Throws: ``SafetensorsError``.
public func loadTensors(_ url: URL) throws -> [String: Tensor] {
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue { return try loadFolder(url) }
    return url.pathExtension == "json" ? try ShardIndex(url).load() : try SafetensorsFile(url).tensors()
}

private func loadFolder(_ folder: URL) throws -> [String: Tensor] {
    let names: [String] = ["model.safetensors", "model.safetensors.index.json"]
    guard let found = names.map(folder.appendingPathComponent).first(where: { FileManager.default.fileExists(atPath: $0.path) }) else {
        throw SafetensorsError(.inputOutput, file: folder.path, "the folder has neither \(names[0]) nor \(names[1])")
    }
    return try loadTensors(found)
}

/// The index of a sharded checkpoint: which shard holds each tensor. Read as hostile input.
private struct ShardIndex {
    private let url: URL
    private let shards: [String: [String]]

    init(_ url: URL) throws {
        self.url = url
        let region: ByteRegion = try ByteRegion.mapping(url)
        guard region.count <= SafetensorsHeader.mostHeaderBytes else { throw Self.error(url, "larger than an index can be") }
        let map: [StrictJSON.Member]
        do {
            guard case .object(let members) = try StrictJSON.parse(region.bytes),
                case .object(let entries)? = members.first(where: { $0.key == "weight_map" })?.value
            else { throw Self.error(url, "no index; it should be a JSON object with an object \"weight_map\"") }
            map = entries
        } catch let error as StrictJSONError {
            throw Self.error(url, "byte \(error.offset): \(error.problem)")
        }
        var shards: [String: [String]] = [:]
        for entry in map {
            guard case .string(let shard) = entry.value, Self.isPlainName(shard) else {
                let given: String = if case .string(let text) = entry.value { quoted(text) } else { entry.value.kind }
                throw Self.error(url, tensor: entry.key, "its shard is \(given); it should be the name of a file beside the index")
            }
            shards[shard, default: []].append(entry.key)
        }
        self.shards = shards
    }

    func load() throws -> [String: Tensor] {
        var result: [String: Tensor] = [:]
        for (shard, tensors) in shards.sorted(by: { $0.key < $1.key }) {
            let shardURL: URL = url.deletingLastPathComponent().appendingPathComponent(shard)
            guard FileManager.default.fileExists(atPath: shardURL.path) else {
                throw Self.error(url, "the shard \(quoted(shard)) with \(tensors.count) tensors is missing beside the index")
            }
            let file: SafetensorsFile = try SafetensorsFile(shardURL)
            for tensor in tensors {
                guard file.contains(tensor) else {
                    throw Self.error(url, tensor: tensor, "not in the shard \(quoted(shard)), where the index places it")
                }
                result[tensor] = try file.tensor(tensor)
            }
        }
        return result
    }

    /// Whether a shard's name can only mean a file in the index's own folder.
    private static func isPlainName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && !name.unicodeScalars.contains { $0 == "/" || $0 == "\\" || $0 == "\0" }
    }

    private static func error(_ url: URL, tensor: String? = nil, _ detail: String) -> SafetensorsError {
        SafetensorsError(.shard, file: url.path, tensor: tensor, detail)
    }
}
