import Foundation
import Torch

/// A file whose content is not what its format asks for: what was wrong and where.
public struct DataFormatError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Where in the file the problem is.
    public enum Position: Equatable, Sendable {
        /// A line of a text file, counted from 1.
        case line(Int)
        /// A byte of a binary file, counted from 0.
        case offset(Int)
        /// The file as a whole.
        case file
    }

    public let path: String
    public let position: Position
    public let problem: String

    public init(path: String, at position: Position = .file, _ problem: String) {
        self.path = path
        self.position = position
        self.problem = problem
    }

    public var description: String {
        switch position {
        case .line(let line): "\(path), line \(line): \(problem)"
        case .offset(let offset): "\(path), byte \(offset): \(problem)"
        case .file: "\(path): \(problem)"
        }
    }
}

/// Reads a whole file; a missing or unreadable one throws a `FileError` with the system's reason.
public func readFile(_ path: String) throws(FileError) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError("open", path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileError("read", path, code: errno) }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw FileError("read", path, code: EISDIR) }

    var bytes = [UInt8]()
    bytes.reserveCapacity(Int(status.st_size) + 1)
    var chunk = [UInt8](repeating: 0, count: max(1 << 16, min(Int(status.st_size), 1 << 24)))
    while true {
        let count = chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw FileError("read", path, code: errno) }
        if count == 0 { return bytes }
        bytes.append(contentsOf: chunk[..<count])
    }
}
