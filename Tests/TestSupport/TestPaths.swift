import Foundation

/// Where tests find what does not belong to the package.
public enum TestPaths {
    /// The folder with Package.swift.
    public static let packageRoot: URL = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// `$LINNET_FIXTURES`, else `../shared/fixtures` beside the package.
    public static let fixtures: URL = folder("LINNET_FIXTURES", "fixtures")

    /// `$LINNET_DATA`, else `../shared/data` beside the package.
    public static let data: URL = folder("LINNET_DATA", "data")

    private static func folder(_ variable: String, _ name: String) -> URL {
        if let path = ProcessInfo.processInfo.environment[variable], !path.isEmpty { return URL(fileURLWithPath: path) }
        return packageRoot.deletingLastPathComponent().appendingPathComponent("shared").appendingPathComponent(name)
    }

    /// Runs `body` with a new empty folder, which is removed afterwards.
    public static func withTemporaryFolder<Result>(_ body: (URL) throws -> Result) throws -> Result {
        let folder: URL = FileManager.default.temporaryDirectory.appendingPathComponent("linnet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        return try body(folder)
    }
}
