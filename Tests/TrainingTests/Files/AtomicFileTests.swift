import Foundation
import Testing

@testable import Training

@Suite struct AtomicFileTests {
    let scratch = Scratch()

    @Test func replacesAFileAndLeavesNothingBeside() throws {
        let path = scratch.file("a.txt")
        try AtomicFile.write("old", to: path)
        try AtomicFile.write("new", to: path)
        #expect(try readFile(path) == Array("new".utf8))
        #expect(scratch.names == ["a.txt"])
    }

    @Test func anErrorOfTheWriterLeavesTheOldFile() throws {
        struct Stop: Error {}
        let path = scratch.file("a.txt")
        try AtomicFile.write("old", to: path)
        #expect(throws: Stop.self) {
            try AtomicFile.write(to: path) { file in
                try file.write(Array("half".utf8))
                throw Stop()
            }
        }
        #expect(try readFile(path) == Array("old".utf8))
        #expect(scratch.names == ["a.txt"])
    }

    @Test func aFullDeviceIsATypedError() throws {
        let error = #expect(throws: FileError.self) { try AtomicFile.write("text", to: "/dev/full") }
        #expect(error?.description == "cannot write /dev/full: No space left on device")
    }

    @Test(.enabled(if: getuid() == 0, "mounting a small file system needs root"))
    func aFullDiskLeavesTheOldFileWhole() throws {
        guard run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", scratch.path) == 0 else {
            return print("aFullDiskLeavesTheOldFileWhole: skipped, this container may not mount a tmpfs")
        }
        defer { _ = run("umount", scratch.path) }
        let path = scratch.file("model")
        let old = [UInt8](repeating: 7, count: 20_000)
        try AtomicFile.write(old, to: path)
        let error = #expect(throws: FileError.self) { try AtomicFile.write([UInt8](repeating: 8, count: 100_000), to: path) }
        #expect(error == FileError("write", path, code: ENOSPC))
        #expect(try readFile(path) == old)
        #expect(scratch.names == ["model"])
    }

    @Test func aTemporaryFileOfAKilledProcessIsRemovedAndOneInUseIsKept() throws {
        let path = scratch.file("model")
        try AtomicFile.write("left behind", to: scratch.file(".model.partial-1-1"))
        let other = try AtomicFile(path)
        try other.write(Array("other".utf8))
        try AtomicFile.write("first", to: path)
        #expect(!scratch.names.contains(".model.partial-1-1"))
        #expect(scratch.names.count == 2)
        try other.commit()
        #expect(try readFile(path) == Array("other".utf8))
        #expect(scratch.names == ["model"])
    }

    @Test func aSymbolicLinkIsFollowedAndPermissionsStay() throws {
        let target = scratch.file("target")
        try AtomicFile.write("old", to: target)
        chmod(target, 0o640)
        symlink(target, scratch.file("link"))
        try AtomicFile.write("new", to: scratch.file("link"))
        #expect(try readFile(target) == Array("new".utf8))
        #expect(try FileManager.default.destinationOfSymbolicLink(atPath: scratch.file("link")) == target)
        var status = stat()
        stat(target, &status)
        #expect(status.st_mode & 0o777 == 0o640)
    }

    @Test func aMissingFolderAndAFolderInPlaceOfTheFileAreTypedErrors() throws {
        let missing = scratch.file("no/such/file")
        #expect(throws: FileError("write", missing, code: ENOENT)) { try AtomicFile.write("x", to: missing) }
        #expect(throws: FileError("write", scratch.path, code: EISDIR)) { try AtomicFile.write("x", to: scratch.path) }
        try AtomicFile.createFolder(scratch.file("no/such"))
        try AtomicFile.write("x", to: missing)
        #expect(throws: FileError("create the folder", missing, code: ENOTDIR)) { try AtomicFile.createFolder(missing) }
    }

    private func run(_ arguments: String...) -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = arguments
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return -1 }
        process.waitUntilExit()
        return process.terminationStatus
    }
}
