import Foundation

/// A file could not be written; whatever stood under its name before is still there.
public struct AtomicFileError: Error, CustomStringConvertible, Equatable, Sendable {
    /// The file that was to be written.
    public let path: String
    /// What could not be done, for instance `write`.
    public let operation: String
    /// The system's `errno`.
    public let code: Int32

    public var description: String { "\(path): could not \(operation): \(String(cString: strerror(code)))" }
}

/// Writes whole files so that a reader sees the old one or the new one and never a part: beside, `fsync`, rename, `fsync` of the folder.
public enum AtomicFile {
    /// Replaces `url` with what `body` writes. A symbolic link is followed, so that its target is replaced; an existing file's mode stays.
    /// - Throws: ``AtomicFileError``, or what `body` throws. The temporary file is removed either way and the old file stays.
    public static func write(to url: URL, _ body: (AtomicFileWriter) throws -> Void) throws {
        let target: URL = url.resolvingSymlinksInPath()
        let folder: URL = target.deletingLastPathComponent()
        let temporary: URL = folder.appendingPathComponent(".linnet-\(getpid())-\(UInt64.random(in: .min ... .max)).partial")
        let descriptor: Int32 = open(temporary.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw AtomicFileError(path: url.path, operation: "create a file in its folder", code: errno) }
        let writer: AtomicFileWriter = AtomicFileWriter(descriptor: descriptor, path: url.path)
        do {
            defer { close(descriptor) }
            try body(writer)
            keepMode(of: target, on: descriptor)
            try writer.check(fsync(descriptor), "flush to disk")
        } catch {
            unlink(temporary.path)
            throw error
        }
        guard rename(temporary.path, target.path) == 0 else {
            let failure: AtomicFileError = AtomicFileError(path: url.path, operation: "replace", code: errno)
            unlink(temporary.path)
            throw failure
        }
        try flushFolder(folder, for: url)
    }

    /// Replaces `url` with `data`. See ``write(to:_:)``.
    public static func write(_ data: Data, to url: URL) throws {
        try write(to: url) { writer in try data.withUnsafeBytes(writer.write) }
    }

    private static func keepMode(of target: URL, on descriptor: Int32) {
        var status: stat = stat()
        if stat(target.path, &status) == 0 { _ = fchmod(descriptor, status.st_mode & 0o7777) }
    }

    /// Makes the rename itself durable. File systems that cannot flush a folder answer EINVAL or ENOTSUP, which is no failure.
    private static func flushFolder(_ folder: URL, for url: URL) throws {
        let descriptor: Int32 = open(folder.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw AtomicFileError(path: url.path, operation: "open its folder", code: errno) }
        defer { close(descriptor) }
        if fsync(descriptor) != 0 && errno != EINVAL && errno != ENOTSUP {
            throw AtomicFileError(path: url.path, operation: "flush its folder to disk", code: errno)
        }
    }
}

/// The open end of a file being written by ``AtomicFile/write(to:_:)``; valid only inside its closure.
public struct AtomicFileWriter {
    fileprivate let descriptor: Int32
    fileprivate let path: String

    /// Appends the bytes.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest: UnsafeRawBufferPointer = bytes
        while let start = rest.baseAddress, !rest.isEmpty {
            let written: Int = Foundation.write(descriptor, start, rest.count)
            if written < 0 && errno == EINTR { continue }
            if written < 0 { throw AtomicFileError(path: path, operation: "write", code: errno) }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// Appends the bytes.
    public func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

    fileprivate func check(_ status: Int32, _ operation: String) throws {
        guard status == 0 else { throw AtomicFileError(path: path, operation: operation, code: errno) }
    }
}
