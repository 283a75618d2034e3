import Foundation
import Synchronization

/// Writes a file so that a crash, a full disk or an error leaves the old one whole: the bytes go into a temporary
/// file beside it, are flushed to the disk, and the temporary file is renamed over the old one.
///
/// A path that exists and is a device or a pipe is written straight through, since it cannot be replaced.
/// A symbolic link is followed, so the file that it names is the one replaced.
/// A temporary file that a killed process left beside `path` is removed by the next write to the same path.
public final class AtomicFile {
    /// The file that `commit` puts in place.
    public let path: String
    private let temporaryPath: String?
    private var descriptor: Int32

    private static let counter = Atomic<Int>(0)

    /// Opens a temporary file beside `path`, whose folder must exist.
    public init(_ path: String) throws(FileError) {
        self.path = path
        var status = stat()
        let exists = stat(path, &status) == 0
        if exists && status.st_mode & S_IFMT == S_IFDIR { throw FileError("write", path, code: EISDIR) }
        if exists && status.st_mode & S_IFMT != S_IFREG {
            temporaryPath = nil
            descriptor = open(path, O_WRONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw FileError("write", path, code: errno) }
            return
        }
        let target = AtomicFile.resolvingLinks(path)
        AtomicFile.removeAbandoned(beside: target)
        let temporary = AtomicFile.temporaryPrefix(target) + "\(getpid())-\(AtomicFile.counter.add(1, ordering: .relaxed).newValue)"
        temporaryPath = temporary
        descriptor = try AtomicFile.openLocked(temporary, for: path)
        if exists { fchmod(descriptor, status.st_mode & 0o7777) }
    }

    deinit { discard() }

    /// Appends bytes to what will become the file.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
        precondition(descriptor >= 0, "AtomicFile: write after commit or discard of \(path)")
        var written = 0
        while written < bytes.count {
            let count = Foundation.write(descriptor, bytes.baseAddress! + written, bytes.count - written)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else {
                let code = errno
                discard()
                throw FileError("write", path, code: code)
            }
            written += count
        }
    }

    /// Appends bytes to what will become the file.
    public func write(_ bytes: some Collection<UInt8>) throws(FileError) {
        let result: Result<Void, FileError>? = bytes.withContiguousStorageIfAvailable { buffer in
            Result { () throws(FileError) in try write(UnsafeRawBufferPointer(buffer)) }
        }
        guard let result else { return try write(Array(bytes)) }
        try result.get()
    }

    /// Flushes the bytes to the disk and renames the temporary file to `path`.
    public func commit() throws(FileError) {
        precondition(descriptor >= 0, "AtomicFile: commit after commit or discard of \(path)")
        guard let temporaryPath else {
            guard close(release()) == 0 else { throw FileError("write", path, code: errno) }
            return
        }
        let target = AtomicFile.resolvingLinks(path)
        guard fsync(descriptor) == 0, rename(temporaryPath, target) == 0 else {
            let code = errno
            discard()
            throw FileError("write", path, code: code)
        }
        close(release())
        AtomicFile.flushFolder(of: target)
    }

    /// Removes the temporary file and leaves the old one as it was; does nothing after `commit`.
    public func discard() {
        guard descriptor >= 0 else { return }
        if let temporaryPath { unlink(temporaryPath) }
        close(release())
    }

    private func release() -> Int32 {
        defer { descriptor = -1 }
        return descriptor
    }
}

extension AtomicFile {
    /// Replaces the file at `path` by these bytes.
    public static func write(_ bytes: some Collection<UInt8>, to path: String) throws(FileError) {
        let file = try AtomicFile(path)
        try file.write(bytes)
        try file.commit()
    }

    /// Replaces the file at `path` by this text in UTF-8.
    public static func write(_ text: String, to path: String) throws(FileError) {
        try write(Array(text.utf8), to: path)
    }

    /// Replaces the file at `path` by what `body` writes; if `body` throws, the old file stays.
    public static func write(to path: String, _ body: (AtomicFile) throws -> Void) throws {
        let file = try AtomicFile(path)
        try body(file)
        try file.commit()
    }

    /// Creates a folder and those above it; one that exists already is fine.
    public static func createFolder(_ path: String) throws(FileError) {
        if mkdir(path, 0o777) == 0 { return }
        let code = errno
        if code == ENOENT {
            let parent = (path as NSString).deletingLastPathComponent
            guard !parent.isEmpty && parent != path else { throw FileError("create the folder", path, code: code) }
            try createFolder(parent)
            if mkdir(path, 0o777) == 0 || errno == EEXIST { return }
            throw FileError("create the folder", path, code: errno)
        }
        var status = stat()
        let isFolder = stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
        guard isFolder else { throw FileError("create the folder", path, code: code == EEXIST ? ENOTDIR : code) }
    }

    /// The path with symbolic links followed, or the path itself where nothing exists yet.
    private static func resolvingLinks(_ path: String) -> String {
        guard let resolved = realpath(path, nil) else { return path }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    private static func temporaryPrefix(_ path: String) -> String {
        let folder = (path as NSString).deletingLastPathComponent
        let name = (path as NSString).lastPathComponent
        return (folder.isEmpty ? "./" : folder == "/" ? "/" : folder + "/") + ".\(name).partial-"
    }

    /// Opens and locks a new temporary file. The lock says that its writer lives; `removeAbandoned` of another process may
    /// have removed the file between the opening and the locking, so it is opened again until it still has its name.
    private static func openLocked(_ temporary: String, for path: String) throws(FileError) -> Int32 {
        while true {
            let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
            guard descriptor >= 0 else { throw FileError("write", path, code: errno) }
            var status = stat()
            if flock(descriptor, LOCK_EX) != 0 || (fstat(descriptor, &status) == 0 && status.st_nlink > 0) { return descriptor }
            close(descriptor)
        }
    }

    /// Removes temporary files of `path` that no living process holds locked.
    private static func removeAbandoned(beside path: String) {
        let prefix = temporaryPrefix(path)
        let folder = (prefix as NSString).deletingLastPathComponent
        let namePrefix = (prefix as NSString).lastPathComponent
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        for name in names where name.hasPrefix(namePrefix) {
            let abandoned = folder + "/" + name
            let descriptor = open(abandoned, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { continue }
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { unlink(abandoned) }
            close(descriptor)
        }
    }

    /// Makes the rename itself durable; a file system that cannot is no reason to fail a write that has succeeded.
    private static func flushFolder(of path: String) {
        let folder = (path as NSString).deletingLastPathComponent
        let descriptor = open(folder.isEmpty ? "." : folder, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
