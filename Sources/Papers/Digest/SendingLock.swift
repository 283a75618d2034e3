import Foundation
import Torch

/// Held by the one service that is sending from a catalogue. The system lets go of it when its process ends, however it ends.
struct SendingLock {
    private let descriptor: Int32

    /// - Throws: ``DigestError/sendingElsewhere(path:)``, or `FileError`.
    init(catalogue path: String) throws {
        let file: String = path + ".sending"
        let opened: Int32 = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard opened >= 0 else { throw FileError("open", file, code: errno) }
        guard flock(opened, LOCK_EX | LOCK_NB) == 0 else {
            close(opened)
            throw DigestError.sendingElsewhere(path: path)
        }
        descriptor = opened
    }

    func release() {
        // Not by closing alone: a process that is being started beside this one has the descriptor too until it runs its own program.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
