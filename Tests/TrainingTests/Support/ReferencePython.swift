import Foundation

/// The Python of the project's environment, whose packages the tests take as references.
enum ReferencePython {
    /// `$LINNET_PYTHON`, or the one in .libtorch below the package's root; nil where there is none.
    static let path: String? = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let candidates = [ProcessInfo.processInfo.environment["LINNET_PYTHON"], root.path + "/.libtorch/bin/python3"]
        return candidates.compactMap { $0 }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    static let isAvailable = path != nil
    static let hasTensorBoard = isAvailable && (try? run("import tensorboard")) != nil

    struct Failure: Error { let output: String }

    /// Runs a script and returns its standard output.
    static func run(_ script: String, _ arguments: String...) throws -> String {
        let process = try start(script, arguments)
        let output = try (process.standardOutput as! Pipe).fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure(output: String(decoding: output, as: UTF8.self)) }
        return String(decoding: output, as: UTF8.self)
    }

    /// Starts a script whose standard output is a pipe.
    static func start(_ script: String, _ arguments: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path ?? "/usr/bin/false")
        process.arguments = ["-c", script] + arguments
        process.standardOutput = Pipe()
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}
