import Foundation

/// Runs the Python originals that tests compare Linnet with: `$LINNET_PYTHON`, else `.libtorch/bin/python3` of this package.
public enum PythonPeer {
    /// What a script wrote to its standard error, where it failed.
    public struct Failure: Error, CustomStringConvertible {
        public let description: String
    }

    private static let executable: URL = {
        if let path = ProcessInfo.processInfo.environment["LINNET_PYTHON"] { return URL(fileURLWithPath: path) }
        return TestPaths.packageRoot.appendingPathComponent(".libtorch/bin/python3")
    }()

    /// Whether Python is there and has all of the modules, which are looked for and not imported: importing torch takes seconds.
    public static func has(_ modules: String...) -> Bool {
        guard FileManager.default.isExecutableFile(atPath: executable.path) else { return false }
        let script: String = "import sys, importlib.util as u; sys.exit(None in map(u.find_spec, sys.argv[1].split()))"
        return (try? run(script, modules.joined(separator: " "))) != nil
    }

    /// Runs a script with `sys.argv[1...]` and gives its standard output.
    /// - Throws: ``Failure`` where the script ends with another status than 0.
    @discardableResult
    public static func run(_ script: String, _ arguments: String...) throws -> String { try launch(["-c", script] + arguments) }

    /// Runs the script of a file, and gives its standard output even where it fails.
    public static func runFile(_ file: URL, _ arguments: String...) throws -> String {
        try launch([file.path] + arguments, acceptsFailure: true)
    }

    private static func launch(_ arguments: [String], acceptsFailure: Bool = false) throws -> String {
        let process: Process = Process()
        let output: Pipe = Pipe()
        let errors: URL = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-\(UUID().uuidString).stderr")
        _ = FileManager.default.createFile(atPath: errors.path, contents: nil)
        defer { try? FileManager.default.removeItem(at: errors) }
        process.executableURL = executable
        process.arguments = arguments
        process.standardOutput = output
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        let text: Data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 || (acceptsFailure && !text.isEmpty) else {
            throw Failure(description: "python: \((try? String(contentsOf: errors, encoding: .utf8)) ?? "no message")")
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Starts a script that goes on beside the test, such as a server; its standard output is the process's pipe. The caller ends it.
    public static func start(_ script: String) throws -> Process {
        let process: Process = Process()
        process.executableURL = executable
        process.arguments = ["-c", script]
        process.standardOutput = Pipe()
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}
