import Foundation
import Synchronization
import Torch

#if canImport(FoundationNetworking)
    import FoundationNetworking
#endif

/// How far a download is: bytes received, and bytes expected where the server or the catalogue says so.
public struct DownloadProgress: Sendable, Equatable {
    public let file: String
    public let received: Int
    public let expected: Int?
}

/// Downloads one address into a file, checking size and SHA-256 before the file gets its name.
///
/// Foundation's URLSession is used, not async-http-client, so that a fresh build need not compile NIO and BoringSSL.
final class Download: NSObject, URLSessionDataDelegate {
    private struct State {
        var file: AtomicFile?
        var hash = SHA256()
        var received = 0
        var expected: Int?
        var failure: (any Error)?
        var continuation: CheckedContinuation<Void, any Error>?
    }

    private let source: DataFile
    private let address: String
    private let progress: @Sendable (DownloadProgress) -> Void
    private let state: Mutex<State>

    private init(_ source: DataFile, from address: String, into path: String, progress: @escaping @Sendable (DownloadProgress) -> Void)
        throws
    {
        self.source = source
        self.address = address
        self.progress = progress
        state = Mutex(State(file: try AtomicFile(path)))
        super.init()
    }

    /// Downloads `source` from `address` to `path`. On any error, and when the task is cancelled, `path` stays as it was.
    static func run(
        _ source: DataFile, from address: String, into path: String, progress: @escaping @Sendable (DownloadProgress) -> Void
    ) async throws {
        guard let url = URL(string: address), url.scheme == "http" || url.scheme == "https" else {
            throw DataSourceError.noNetwork(address: address, reason: "not an http or https address")
        }
        let download = try Download(source, from: address, into: path, progress: progress)
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForRequest = 60
        let session = URLSession(configuration: configuration, delegate: download, delegateQueue: nil)
        defer { session.finishTasksAndInvalidate() }
        var request = URLRequest(url: url)
        // A compressed transfer would make the received bytes differ from Content-Length.
        request.setValue("identity", forHTTPHeaderField: "Accept-Encoding")
        let task = session.dataTask(with: request)
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                download.state.withLock { $0.continuation = continuation }
                task.resume()
            }
        } onCancel: {
            task.cancel()
        }
    }

    func urlSession(
        _ session: URLSession, dataTask: URLSessionDataTask, didReceive response: URLResponse,
        completionHandler: @escaping @Sendable (URLSession.ResponseDisposition) -> Void
    ) {
        let status = (response as? HTTPURLResponse)?.statusCode ?? 0
        let length = Int(response.expectedContentLength)
        state.withLock { state in
            state.expected = length > 0 ? length : source.bytes
            if status != 200 { state.failure = DataSourceError.refused(address: address, status: status) }
        }
        completionHandler(status == 200 ? .allow : .cancel)
    }

    func urlSession(_ session: URLSession, dataTask: URLSessionDataTask, didReceive data: Data) {
        let report: DownloadProgress? = state.withLock { state in
            guard state.failure == nil, let file = state.file else { return nil }
            state.received += data.count
            do {
                try data.withUnsafeBytes { bytes in
                    state.hash.update(bytes)
                    try file.write(bytes)
                }
                // A longer body than the known file cannot be right: stop before it fills the disk.
                if let size = source.bytes, !source.digests.isEmpty, state.received > size {
                    throw DataSourceError.wrongSize(file: source.name, expected: size, found: state.received)
                }
            } catch {
                state.failure = error
                return nil
            }
            return DownloadProgress(file: source.name, received: state.received, expected: state.expected)
        }
        if let report { progress(report) } else { dataTask.cancel() }
    }

    func urlSession(_ session: URLSession, task: URLSessionTask, didCompleteWithError error: (any Error)?) {
        let (continuation, failure) = state.withLock { state in
            let failure = conclude(&state, error)
            if failure != nil { state.file?.discard() }
            defer { (state.continuation, state.file) = (nil, nil) }
            return (state.continuation, failure)
        }
        if let failure { continuation?.resume(throwing: failure) } else { continuation?.resume() }
    }

    /// The reason why the download failed, or nil once the file is in place.
    private func conclude(_ state: inout State, _ error: (any Error)?) -> (any Error)? {
        if let failure = state.failure { return failure }
        if let error = error as? URLError, error.code == .cancelled { return CancellationError() }
        if let error { return DataSourceError.noNetwork(address: address, reason: error.localizedDescription) }
        if let expected = state.expected, state.received < expected {
            return DataSourceError.wrongSize(file: source.name, expected: expected, found: state.received)
        }
        let digest = state.hash.finalize()
        if let known = source.digests.first, !source.digests.contains(digest) {
            return DataSourceError.wrongDigest(file: source.name, expected: known, found: digest)
        }
        do { try state.file?.commit() } catch { return error }
        return nil
    }
}
