import Foundation
import Torch

/// Where a result was measured.
public enum RunEnvironment {
    /// Short commit of the working directory's repository, with "+" where tracked files have changed; nil outside a repository.
    public static let commit: String? = {
        guard let hash = git("rev-parse", "--short=12", "HEAD"), !hash.isEmpty else { return nil }
        return hash + (git("status", "--porcelain", "--untracked-files=no")?.isEmpty == false ? "+" : "")
    }()

    /// Commit, processor, cores, memory, device, system and libtorch's version.
    public static let current: [String: String] = {
        let process: ProcessInfo = ProcessInfo.processInfo
        return [
            "commit": commit ?? "unknown", "processor": processor, "cores": String(process.activeProcessorCount),
            "memory": "\(process.physicalMemory / (1 << 30)) GiB", "device": Device.default.description,
            "system": process.operatingSystemVersionString, "libtorch": libtorchVersion,
        ]
    }()

    private static var processor: String {
        let lines: [Substring] = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?.split(separator: "\n") ?? []
        let name: Substring? = lines.first { $0.hasPrefix("model name") }?.split(separator: ":").last
        return name.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
    }

    private static func git(_ arguments: String...) -> String? {
        let process: Process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["git"] + arguments
        let output: Pipe = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let data: Data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { return nil }
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}
