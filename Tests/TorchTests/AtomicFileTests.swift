import Foundation
import TestSupport
import Testing
import Torch

@Suite(.ownRandomNumbers) struct AtomicFileTests {
    private struct Interrupted: Error {}

    private func contents(_ folder: URL) throws -> [String] { try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() }

    @Test func replacesTheFileAsAWholeAndLeavesNothingBeside() throws {
        try TestPaths.withTemporaryFolder { folder in
            let file: URL = folder.appendingPathComponent("a.bin")
            try AtomicFile.write(Data("old".utf8), to: file.path)
            try AtomicFile.write(Data("new text".utf8), to: file.path)
            #expect(try Data(contentsOf: file) == Data("new text".utf8))
            #expect(try contents(folder) == ["a.bin"])
        }
    }

    @Test func aFailingWriterLeavesTheOldFile() throws {
        try TestPaths.withTemporaryFolder { folder in
            let file: URL = folder.appendingPathComponent("a.bin")
            try AtomicFile.write(Data("old".utf8), to: file.path)
            #expect(throws: Interrupted.self) {
                try AtomicFile.write(to: file.path) { writer in
                    try writer.write(Array("half of the n".utf8))
                    #expect(try Data(contentsOf: file) == Data("old".utf8))
                    throw Interrupted()
                }
            }
            #expect(try Data(contentsOf: file) == Data("old".utf8))
            #expect(try contents(folder) == ["a.bin"])
        }
    }

    @Test func systemFailuresNameTheFileAndTheCause() throws {
        try TestPaths.withTemporaryFolder { folder in
            let lost: URL = folder.appendingPathComponent("missing/a.bin")
            #expect(throws: FileError("write", lost.path, code: ENOENT)) {
                try AtomicFile.write(Data(), to: lost.path)
            }
            let taken: URL = folder.appendingPathComponent("folder")
            try FileManager.default.createDirectory(at: taken, withIntermediateDirectories: true)
            let failure: FileError? = #expect(throws: FileError.self) { try AtomicFile.write(Data(), to: taken.path) }
            #expect(failure?.description == "cannot write \(taken.path): Is a directory")
            #expect(try contents(folder) == ["folder"])
        }
    }

    @Test func followsALinkAndKeepsTheMode() throws {
        try TestPaths.withTemporaryFolder { folder in
            let file: URL = folder.appendingPathComponent("a.bin")
            let link: URL = folder.appendingPathComponent("link.bin")
            try AtomicFile.write(Data("old".utf8), to: file.path)
            chmod(file.path, 0o640)
            try FileManager.default.createSymbolicLink(at: link, withDestinationURL: file)
            try AtomicFile.write(Data("new".utf8), to: link.path)
            #expect(try Data(contentsOf: file) == Data("new".utf8))
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link.path) == file.path)
            #expect(try FileManager.default.attributesOfItem(atPath: file.path)[.posixPermissions] as? Int == 0o640)
        }
    }
}
