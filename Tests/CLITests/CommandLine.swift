import Foundation
import TestSupport
import Testing

/// Runs the `linnet` that was built beside the tests.
struct LinnetProcess {
    let process: Process = Process()
    private let output: URL
    private let errors: URL

    /// SwiftPM puts the products of a package side by side.
    static let executable: URL = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().appendingPathComponent("linnet")

    /// Starts the program in a folder, with its run record there.
    init(_ arguments: [String], in folder: URL, environment changes: [String: String] = [:]) throws {
        let name: String = UUID().uuidString
        output = folder.appendingPathComponent("\(name).out")
        errors = folder.appendingPathComponent("\(name).err")
        for url in [output, errors] { _ = FileManager.default.createFile(atPath: url.path, contents: nil) }
        process.executableURL = Self.executable
        process.arguments = arguments
        process.currentDirectoryURL = folder
        var environment: [String: String] = ProcessInfo.processInfo.environment
        environment["LINNET_RUNS"] = folder.appendingPathComponent("runs.sqlite").path
        environment["LINNET_PAPERS"] = folder.appendingPathComponent("papers.db").path
        environment["LINNET_DATA"] = TestPaths.data.path
        environment["OMP_NUM_THREADS"] = "1"
        process.environment = environment.merging(changes) { $1 }
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
    }

    /// Waits for the end.
    @discardableResult
    func finish() -> LinnetResult {
        process.waitUntilExit()
        return LinnetResult(status: process.terminationStatus, output: text(output), errors: text(errors))
    }

    /// What the program has written to its standard output until now.
    var outputSoFar: String { text(output) }

    private func text(_ url: URL) -> String { (try? String(contentsOf: url, encoding: .utf8)) ?? "" }

    static func run(_ arguments: String..., in folder: URL) throws -> LinnetResult {
        try LinnetProcess(arguments, in: folder).finish()
    }
}

struct LinnetResult {
    let status: Int32
    let output: String
    let errors: String

    /// The one line of an error, without its "error: ".
    var complaint: String? {
        let lines: [Substring] = errors.split(separator: "\n")
        guard lines.count == 1, lines[0].hasPrefix("error: ") else { return nil }
        return String(lines[0].dropFirst("error: ".count))
    }

    /// The one line, of a program that has to have ended with the status of bad input.
    func badInput(sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
        #expect(status == 2, sourceLocation: sourceLocation)
        return try #require(complaint, "one line, not: \(errors)", sourceLocation: sourceLocation)
    }
}
