import Foundation
import TestSupport
import Testing
import Torch

/// What `AtomicFile` does when the disk is full or another process was killed while it wrote.
@Suite(.ownRandomNumbers) struct AtomicFileDiskTests {
    private func names(_ folder: URL) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }

    @Test func aFullDeviceIsATypedError() throws {
        let error: FileError? = #expect(throws: FileError.self) { try AtomicFile.write("text", to: "/dev/full") }
        #expect(error?.description == "cannot write /dev/full: No space left on device")
    }

    @Test(.enabled(if: getuid() == 0, "mounting a small file system needs root"))
    func aFullDiskLeavesTheOldFileWhole() throws {
        try TestPaths.withTemporaryFolder { folder in
            guard try run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder.path) == 0 else {
                return print("aFullDiskLeavesTheOldFileWhole: skipped, this container may not mount a tmpfs")
            }
            defer { _ = try? run("umount", folder.path) }
            let path: String = folder.path + "/model"
            let old = [UInt8](repeating: 7, count: 20_000)
            try AtomicFile.write(old, to: path)
            let error: FileError? = #expect(throws: FileError.self) {
                try AtomicFile.write([UInt8](repeating: 8, count: 100_000), to: path)
            }
            #expect(error == FileError("write", path, code: ENOSPC))
            #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data(old))
            #expect(try names(folder) == ["model"])
        }
    }

    @Test func aTemporaryFileOfAKilledProcessIsRemovedAndOneInUseIsKept() throws {
        try TestPaths.withTemporaryFolder { folder in
            let path: String = folder.path + "/model"
            try AtomicFile.write("left behind", to: folder.path + "/.model.partial-1-1")
            let other = try AtomicFile(path)
            try other.write(Array("other".utf8))
            try AtomicFile.write("first", to: path)
            let between: [String] = try names(folder)
            #expect(between.count == 2 && !between.contains(".model.partial-1-1"))
            try other.commit()
            #expect(try String(contentsOfFile: path, encoding: .utf8) == "other")
            #expect(try names(folder) == ["model"])
        }
    }

    @Test func foldersAreCreatedOnlyWhereTheyCan() throws {
        try TestPaths.withTemporaryFolder { folder in
            let deep: String = folder.path + "/a/b"
            try AtomicFile.createFolder(deep)
            try AtomicFile.createFolder(deep)
            try AtomicFile.write("x", to: deep + "/file")
            #expect(throws: FileError("create the folder", deep + "/file", code: ENOTDIR)) { try AtomicFile.createFolder(deep + "/file") }
        }
    }

    private func run(_ arguments: String...) throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }
}
