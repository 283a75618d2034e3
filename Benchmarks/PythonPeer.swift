import Foundation

/// A Python program that does the same work in Python's torch: it reads "CASE ITERATIONS" a line and answers each with the
/// seconds of one iteration.
final class PythonPeer {
    private let process: Process = Process()
    private let input: Pipe = Pipe()
    private let output: Pipe = Pipe()
    private var buffered: Data = Data()

    /// - Parameter script: a file in Benchmarks/peers.
    /// - Throws: ``BenchmarkError`` where Python or the script is missing.
    init(script: String) throws {
        let folder: URL = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        let path: URL = folder.appendingPathComponent("peers/\(script)")
        let fallback: String = folder.deletingLastPathComponent().appendingPathComponent(".libtorch/bin/python3").path
        let python: String = ProcessInfo.processInfo.environment["LINNET_PYTHON"] ?? fallback
        for file in [python, path.path] where !FileManager.default.fileExists(atPath: file) {
            throw BenchmarkError(description: "\(file) is missing; run `make libtorch`, or set LINNET_PYTHON to a Python with torch")
        }
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = ["-u", path.path]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
    }

    deinit {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    /// Seconds of one iteration of a case.
    func seconds(_ name: String, iterations: Int) throws -> Double {
        try input.fileHandleForWriting.write(contentsOf: Data("\(name) \(iterations)\n".utf8))
        let line: String = try readLine()
        guard let seconds = Double(line) else { throw BenchmarkError(description: "the Python peer answered '\(line)' to '\(name)'") }
        return seconds
    }

    private func readLine() throws -> String {
        while true {
            if let end = buffered.firstIndex(of: 0x0A) {
                defer { buffered = Data(buffered[(end + 1)...]) }
                return String(decoding: buffered[..<end], as: UTF8.self)
            }
            let chunk: Data = output.fileHandleForReading.availableData
            guard !chunk.isEmpty else { throw BenchmarkError(description: "the Python peer ended early") }
            buffered.append(chunk)
        }
    }
}
