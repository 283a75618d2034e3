import Foundation
import Torch

/// A folder that holds data sets, one folder for each.
public struct DataDirectory: Sendable, Equatable {
    public let path: String

    public init(_ path: String) {
        self.path = (path as NSString).expandingTildeInPath
    }

    /// `$LINNET_DATA`, or `linnet/data` in the user's cache folder (`$XDG_CACHE_HOME` or `~/.cache`; on a Mac `~/Library/Caches`).
    public static var standard: DataDirectory {
        let environment = ProcessInfo.processInfo.environment
        if let path = environment["LINNET_DATA"], !path.isEmpty { return DataDirectory(path) }
        return DataDirectory(userCache(environment) + "/data")
    }

    /// Linnet's part of the user's cache folder: `linnet` in `$XDG_CACHE_HOME` or `~/.cache`; on a Mac in `~/Library/Caches`.
    public static func userCache(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> String {
        #if os(macOS)
            let folder: String = "~/Library/Caches"
        #else
            let folder: String = environment["XDG_CACHE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? "~/.cache"
        #endif
        return (folder as NSString).expandingTildeInPath + "/linnet"
    }

    /// The copies that the project's own tests use, `shared/data` beside a folder above the working directory; nil where there is none.
    ///
    /// For tests only: they look a set up in `standard` first, then here, and are skipped where neither has it.
    public static var testFallback: DataDirectory? {
        var folder = URL(fileURLWithPath: FileManager.default.currentDirectoryPath)
        while folder.path != "/" {
            folder.deleteLastPathComponent()
            let candidate = folder.appendingPathComponent("shared/data").path
            if FileManager.default.fileExists(atPath: candidate + "/MANIFEST.md") { return DataDirectory(candidate) }
        }
        return nil
    }

    /// The folder in which a set's files lie, or would lie.
    public func folder(of source: DataSource) -> String { path + "/" + source.folder }

    /// The first thing that the set lacks here, in words, or nil if it is complete.
    public func missingPart(of source: DataSource) -> String? {
        let folder = folder(of: source)
        if let missing = source.files.first(where: { !FileManager.default.fileExists(atPath: folder + "/" + $0.name) }) {
            return missing.name
        }
        guard let archive = source.archive else { return nil }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let count = names.count { $0.hasSuffix(archive.suffix) }
        return count >= archive.count ? nil : "\(archive.count - count) of its \(archive.count) files *\(archive.suffix)"
    }

    /// The folder of a complete set.
    ///
    /// Throws `DataSourceError.unknown` or `.notFound`, whose text says how to get the set.
    public func locate(_ name: String) throws(DataSourceError) -> String {
        let source = try DataSource.named(name)
        guard let missing = missingPart(of: source) else { return folder(of: source) }
        throw .notFound(
            name: name, folder: folder(of: source), missing: missing, canFetch: source.isFetchable, homepage: source.homepage)
    }

    /// The path of one file of a set, which may be one of its optional files; the rest of the set may be missing.
    public func locate(_ name: String, file: String) throws(DataSourceError) -> String {
        let source = try DataSource.named(name)
        let path = folder(of: source) + "/" + file
        if FileManager.default.fileExists(atPath: path) { return path }
        throw .notFound(name: name, folder: folder(of: source), missing: file, canFetch: source.isFetchable, homepage: source.homepage)
    }

    /// Compares a set's files here with the vetted digests; throws `DataSourceError.wrongDigest` at the first that differs.
    public func verify(_ source: DataSource) throws {
        for file in source.files + source.optionalFiles where !file.digests.isEmpty {
            let path = folder(of: source) + "/" + file.name
            guard FileManager.default.fileExists(atPath: path) else { continue }
            let found = SHA256.digest(try readFile(path))
            guard file.digests.contains(found) else {
                throw DataSourceError.wrongDigest(file: path, expected: file.digests[0], found: found)
            }
        }
        if let archive = source.archive, let expected = archive.listingDigest {
            let names = try FileManager.default.contentsOfDirectory(atPath: folder(of: source)).filter { $0.hasSuffix(archive.suffix) }
            let found = try ArchiveListing.digest(names: names, folder: archive.folder) { try readFile(folder(of: source) + "/" + $0) }
            guard found == expected else {
                throw DataSourceError.wrongDigest(file: folder(of: source), expected: expected, found: found)
            }
        }
    }
}

/// The digest over all files of an archive that is packed anew at each download (`DataArchive.listingDigest`).
enum ArchiveListing {
    static func digest(names: [String], folder: String, content: (String) throws -> [UInt8]) rethrows -> String {
        // The order of the bytes, as LC_ALL=C sort gives it.
        let ordered = names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        let lines = try ordered.map { "\(SHA256.digest(try content($0)))  \(folder)/\($0)\n" }
        return SHA256.digest(Array(lines.joined().utf8))
    }
}
