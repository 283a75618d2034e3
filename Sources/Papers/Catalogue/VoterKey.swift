import Crypto
import Foundation
import Torch

/// The secret by which voters' names become hashes: 32 random bytes in a file beside the catalogue that only its owner may read.
struct VoterKey {
    private let key: SymmetricKey

    /// The key of the catalogue at `path`, made where there is none.
    ///
    /// - Throws: `FileError`, or ``PaperError`` where the file is no key or others can read it.
    static func load(beside path: String) throws -> VoterKey {
        let file: String = file(beside: path)
        if access(file, F_OK) != 0 { try create(file) }
        var status: stat = stat()
        let bytes: Data? = FileManager.default.contents(atPath: file)
        guard stat(file, &status) == 0, let bytes else { throw FileError("read", file, code: errno) }
        guard status.st_mode & 0o077 == 0, bytes.count == 32 else { throw PaperError.voterKey(path: file) }
        return VoterKey(key: SymmetricKey(data: bytes))
    }

    static func file(beside path: String) -> String { path + ".key" }

    /// HMAC-SHA256.
    func hash(_ voter: String) -> Data { Data(HMAC<SHA256>.authenticationCode(for: Data(voter.utf8), using: key)) }

    /// Writes a new key under another name and links it in place: of two processes that do so one wins, and neither sees a part of a key.
    private static func create(_ file: String) throws {
        let temporary: String = "\(file).new-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        let descriptor: Int32 = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FileError("write", temporary, code: errno) }
        defer { unlink(temporary) }
        let bytes: [UInt8] = SymmetricKey(size: .bits256).withUnsafeBytes { Array($0) }
        let isWritten: Bool = write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        let code: Int32 = errno
        close(descriptor)
        guard isWritten else { throw FileError("write", temporary, code: code) }
        if link(temporary, file) != 0, errno != EEXIST { throw FileError("write", file, code: errno) }
    }
}
