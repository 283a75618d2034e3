import Foundation

/// A lock that one process at a time holds, by a file that says nothing else. The system lets go of it when its process ends, however it ends.
public struct FileLock {
    private let descriptor: Int32

    /// - Parameters:
    ///   - path: of the file, which is made where there is none and stays; its folder has to exist.
    ///   - waits: whether to wait for a holder to be done; otherwise the result is nil while there is one.
    /// - Throws: `FileError` for a file that cannot be opened.
    public init?(_ path: String, waits: Bool) throws(FileError) {
        let opened: Int32 = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard opened >= 0 else { throw FileError("open", path, code: errno) }
        while flock(opened, waits ? LOCK_EX : LOCK_EX | LOCK_NB) != 0 {
            let code: Int32 = errno
            if code == EINTR { continue }
            close(opened)
            if !waits, code == EWOULDBLOCK { return nil }
            throw FileError("lock", path, code: code)
        }
        descriptor = opened
    }

    public func release() {
        // Not by closing alone: a process that is being started beside this one has the descriptor too until it runs its own program.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
