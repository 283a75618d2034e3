import Dispatch
import Foundation
import Logging
import Synchronization
import Torch

/// A file that only grows, written by a background queue in blocks: after `blockSize` bytes, after `interval`, and at `close`.
/// A killed process loses at most the last interval.
final class AppendLog: Sendable {
    private struct State {
        var buffer = [UInt8]()
        var flushIsDue = false
        var failure: FileError?
        var closed = false
    }

    let path: String
    private let descriptor: Int32
    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "linnet.append-log")
    private let interval: DispatchTimeInterval = .milliseconds(1000)
    private static let blockSize = 1 << 16

    /// Opens the file for appending. A last line without its end, which a killed process left, is removed first if `endsInLines`.
    init(_ path: String, endsInLines: Bool) throws(FileError) {
        self.path = path
        descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw FileError("write", path, code: errno) }
        if endsInLines { AppendLog.removeUnfinishedLine(descriptor) }
    }

    deinit {
        flush()
        Foundation.close(descriptor)
    }

    func append(_ bytes: [UInt8]) {
        let delay: DispatchTimeInterval? = state.withLock { state in
            precondition(!state.closed, "\(path): a metric after close")
            state.buffer.append(contentsOf: bytes)
            if state.buffer.count >= AppendLog.blockSize { return .nanoseconds(0) }
            if state.flushIsDue { return nil }
            state.flushIsDue = true
            return interval
        }
        if let delay { queue.asyncAfter(deadline: .now() + delay) { [weak self] in self?.flush() } }
    }

    /// Writes everything and throws the first error met since the file was opened.
    func close() throws(FileError) {
        let first = state.withLock { state in
            defer { state.closed = true }
            return !state.closed
        }
        guard first else { return }
        queue.sync { flush() }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    private func flush() {
        let bytes: [UInt8] = state.withLock { state in
            state.flushIsDue = false
            defer { state.buffer.removeAll(keepingCapacity: true) }
            return state.buffer
        }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + written, bytes.count - written) }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return note(FileError("write", path, code: errno)) }
            written += count
        }
    }

    private func note(_ error: FileError) {
        let isFirst = state.withLock { state in
            defer { state.failure = state.failure ?? error }
            return state.failure == nil
        }
        if isFirst { Logger(label: "linnet.records").warning("\(error); metrics are being lost") }
    }

    private static func removeUnfinishedLine(_ descriptor: Int32) {
        var end = lseek(descriptor, 0, SEEK_END)
        let size = end
        var byte: UInt8 = 0
        while end > 0, pread(descriptor, &byte, 1, end - 1) == 1, byte != UInt8(ascii: "\n") { end -= 1 }
        if end != size { ftruncate(descriptor, end) }
    }
}
