import Foundation
import Torch

extension DataDirectory {
    /// Downloads a set from its official address into this directory, file by file; files that are here already and carry a
    /// vetted digest are kept. Nothing but this function and `linnet data fetch` reaches for the network.
    ///
    /// - Parameters:
    ///   - source: the set.
    ///   - progress: called from a background thread while bytes arrive.
    /// - Returns: the set's folder.
    ///
    /// Throws `DataSourceError` (no address, no network, refused, wrong digest: both are named) or `FileError`.
    /// A file that fails its check is never given its name.
    @discardableResult
    public func fetch(
        _ source: DataSource, progress: @escaping @Sendable (DownloadProgress) -> Void = { _ in }
    ) async throws -> String {
        let folder = folder(of: source)
        if let file = source.files.first(where: { $0.address == nil }) {
            throw DataSourceError.noAddress(name: source.name, file: file.name, homepage: source.homepage)
        }
        try AtomicFile.createFolder(folder)
        for file in source.files + source.optionalFiles {
            let path = folder + "/" + file.name
            if try DataDirectory.isVetted(file, at: path) { continue }
            guard let address = file.address else { continue }
            try await Download.run(file, from: address, into: path, progress: progress)
        }
        if let archive = source.archive, missingPart(of: source) != nil {
            try await fetch(archive, named: source.name, into: folder, progress: progress)
        }
        return folder
    }

    /// Downloads the set of that name; an unknown one throws `DataSourceError.unknown` with the nearest names.
    @discardableResult
    public func fetch(_ name: String, progress: @escaping @Sendable (DownloadProgress) -> Void = { _ in }) async throws -> String {
        try await fetch(DataSource.named(name), progress: progress)
    }

    private static func isVetted(_ file: DataFile, at path: String) throws -> Bool {
        guard !file.digests.isEmpty, FileManager.default.fileExists(atPath: path) else { return false }
        return file.digests.contains(SHA256.digest(try readFile(path)))
    }

    private func fetch(
        _ archive: DataArchive, named name: String, into folder: String, progress: @escaping @Sendable (DownloadProgress) -> Void
    ) async throws {
        let packed = folder + "/.\(name).tar.gz"
        defer { unlink(packed) }
        let file = DataFile(name + ".tar.gz", bytes: archive.bytes, digests: [archive.digest].compactMap { $0 }, address: archive.address)
        try await Download.run(file, from: archive.address, into: packed, progress: progress)
        try DataDirectory.unpack(archive, from: packed, into: folder)
    }

    /// Checks the archive's members as a whole, then writes them; only plain names from the one wanted folder are taken, so that
    /// no path in the archive can lead outside.
    static func unpack(_ archive: DataArchive, from packed: String, into folder: String) throws {
        var members: [String: [UInt8]] = [:]
        try Tar.forEachFile(in: Gzip.readFile(packed), path: archive.address) { path, content in
            let parts = path.split(separator: "/")
            guard let name = parts.last, name.hasSuffix(archive.suffix), !name.hasPrefix("."),
                parts.dropLast().last.map(String.init) == archive.folder
            else { return }
            members[String(name)] = Array(content)
        }
        guard members.count >= archive.count else {
            throw DataSourceError.incompleteArchive(address: archive.address, expected: archive.count, found: members.count)
        }
        if let expected = archive.listingDigest {
            let found = ArchiveListing.digest(names: Array(members.keys), folder: archive.folder) { members[$0] ?? [] }
            guard found == expected else { throw DataSourceError.wrongDigest(file: archive.address, expected: expected, found: found) }
        }
        for (name, content) in members { try AtomicFile.write(content, to: folder + "/" + name) }
    }
}
