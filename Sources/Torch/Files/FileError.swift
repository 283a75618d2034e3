import Foundation

/// An operation on a file that the system refused, with the path and the system's reason.
public struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
    /// What was being done, as it reads after "cannot": "write", "open", "create the folder".
    public let operation: String
    public let path: String
    /// The system's error number (`errno`).
    public let code: Int32

    public init(_ operation: String, _ path: String, code: Int32) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// For example "cannot write /data/model.safetensors: No space left on device".
    public var description: String { "cannot \(operation) \(path): \(String(cString: strerror(code)))" }
}
