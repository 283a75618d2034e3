import CTorch

/// A failure that libtorch reported, as one line.
public struct TorchError: Error, CustomStringConvertible, Sendable {
    /// The operator and what it said, for instance `matmul: mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)`.
    public let description: String

    public init(_ description: String) { self.description = description }
}

/// Turns operator failures inside `body` into a thrown ``TorchError`` instead of a trap.
///
/// The first failure is kept; operators after it give empty tensors, so `body` should do tensor work only and leave
/// looking at sizes and elements until after.
/// - Throws: ``TorchError`` for the first operator that failed, or what `body` throws.
public func withTorchErrors<Result>(_ body: () throws -> Result) throws -> Result {
    ErrorCapture.begin()
    let outcome: Swift.Result<Result, any Error> = Swift.Result { try body() }
    if let failure = ErrorCapture.end() { throw failure }
    return try outcome.get()
}

/// Reports a failure inside code that cannot throw as an operator reports its own: kept under ``withTorchErrors(_:)``, else a trap.
/// - Parameters:
///   - name: what failed.
///   - detail: why, of which the first line is kept.
public func reportFailure(of name: String, _ detail: String) { ErrorCapture.fail(name, detail) }

/// The per-thread switch between trapping and capturing. The thread-local itself lives in CTorch.
enum ErrorCapture {
    static func begin() { ct_capture_begin() }

    static func end() -> TorchError? {
        guard let message = ct_capture_end() else { return nil }
        return TorchError(String(cString: message))
    }

    /// Reports the failure of `name`: captured under ``withTorchErrors(_:)``, else a trap that names the call site.
    static func fail(_ name: String, _ detail: String = String(cString: ct_last_error())) {
        let message: String = "\(name): \(firstLine(of: detail))"
        if ct_capture_record(message) { return }
        fatalError("\(message)\(CallSite.describe())")
    }

    private static func firstLine(of text: String) -> String {
        String(text.split(separator: "\n", maxSplits: 1).first ?? "unknown failure")
    }
}
