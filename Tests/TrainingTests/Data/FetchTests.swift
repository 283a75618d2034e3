import Foundation
import Synchronization
import TestSupport
import Testing
import Torch

@testable import Training

/// Downloads from a server on this machine; no test reaches for the network.
@Suite(.ownRandomNumbers, .enabled(if: PythonPeer.has(), "no Python: set LINNET_PYTHON"), .serialized)
struct FetchTests {
    let scratch = Scratch()

    /// Serves /ok (200,000 bytes), /short (half of what it promised), /slow (never ends), /set.tar.gz; anything else is 404.
    private final class Server {
        let address: String
        private let process: Process

        init() throws {
            let script = """
                import http.server,sys,io,tarfile,time
                body=bytes(i*i%251 for i in range(200000))
                def archive(names):
                    b=io.BytesIO(); t=tarfile.open(fileobj=b,mode='w:gz')
                    for n in names:
                        i=tarfile.TarInfo(n); i.size=len(n); t.addfile(i,io.BytesIO(n.encode()))
                    t.close(); return b.getvalue()
                tar=archive(['r-1/notes.wav','r-1/rec/b.wav','r-1/rec/a.wav','r-1/rec/../../../evil.wav','r-1/rec/.hidden.wav'])
                class H(http.server.BaseHTTPRequestHandler):
                    def log_message(s,*a): pass
                    def do_GET(s):
                        data={'/ok':body,'/short':body,'/slow':body,'/set.tar.gz':tar}.get(s.path)
                        s.send_response(200 if data else 404)
                        data=data or b'none'
                        s.send_header('Content-Length',str(len(data))); s.end_headers()
                        if s.path in('/short','/slow'): s.wfile.write(data[:100000]); s.wfile.flush()
                        else: s.wfile.write(data)
                        if s.path=='/slow': time.sleep(30)
                h=http.server.ThreadingHTTPServer(('127.0.0.1',0),H)
                print(h.server_port,flush=True); h.serve_forever()
                """
            process = try PythonPeer.start(script)
            let port = (process.standardOutput as! Pipe).fileHandleForReading.availableData
            address = "http://127.0.0.1:" + String(decoding: port, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }

        deinit { process.terminate() }
    }

    private let body = (0..<200_000).map { UInt8($0 * $0 % 251) }

    private func source(_ address: String, digest: String? = nil, bytes: Int? = nil) -> DataSource {
        let file = DataFile("file.bin", bytes: bytes, digests: [digest].compactMap { $0 }, address: address)
        return DataSource("set", title: "Set", homepage: "https://example.org", licence: "none", files: [file])
    }

    private func failure(_ source: DataSource) async -> DataSourceError? {
        do {
            try await DataDirectory(scratch.path).fetch(source)
            return nil
        } catch { return error as? DataSourceError }
    }

    @Test func fetchesChecksAndKeepsWhatIsRight() async throws {
        let server = try Server()
        let digest = SHA256.digest(body)
        let seen = Mutex<[DownloadProgress]>([])
        let directory = DataDirectory(scratch.path)
        let folder = try await directory.fetch(source(server.address + "/ok", digest: digest, bytes: 200_000)) { report in
            seen.withLock { $0.append(report) }
        }
        #expect(try readFile(folder + "/file.bin") == body)
        #expect(seen.withLock { $0.last } == DownloadProgress(file: "file.bin", received: 200_000, expected: 200_000))
        // The right file is here, so a dead address is not asked.
        try await directory.fetch(source("http://127.0.0.1:1/ok", digest: digest))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["file.bin"])
    }

    @Test func refusesWhatIsWrongAndKeepsTheOldFile() async throws {
        let server = try Server()
        try AtomicFile.createFolder(scratch.file("set"))
        try AtomicFile.write("old", to: scratch.file("set/file.bin"))
        let zeros = String(repeating: "0", count: 64)
        let wrong = await failure(source(server.address + "/ok", digest: zeros))
        #expect(wrong == .wrongDigest(file: "file.bin", expected: zeros, found: SHA256.digest(body)))
        #expect(wrong?.description.contains(zeros) == true && wrong?.description.contains(SHA256.digest(body)) == true)
        #expect(await failure(source(server.address + "/gone")) == .refused(address: server.address + "/gone", status: 404))
        let longer = await failure(source(server.address + "/ok", digest: zeros, bytes: 1000))
        if case .wrongSize(_, 1000, _)? = longer {} else { Issue.record("\(String(describing: longer))") }
        #expect(await failure(source(server.address + "/short")) != nil)
        let dead = await failure(source("http://127.0.0.1:1/x"))
        if case .noNetwork? = dead {} else { Issue.record("\(String(describing: dead))") }
        if case .noNetwork? = await failure(source("file:///etc/passwd")) {} else { Issue.record("a file address was accepted") }
        #expect(try readFile(scratch.file("set/file.bin")) == Array("old".utf8))
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.file("set")) == ["file.bin"])
    }

    @Test func cancellingLeavesNothing() async throws {
        let server = try Server()
        let directory = DataDirectory(scratch.path)
        let source = source(server.address + "/slow")
        let started = AsyncStream<Void>.makeStream()
        let task = Task { try await directory.fetch(source) { _ in started.continuation.yield() } }
        for await _ in started.stream { break }
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.file("set")).isEmpty)
    }

    @Test func unpacksAnArchiveWithoutLeavingItsFolder() async throws {
        let server = try Server()
        let listing = ["a.wav", "b.wav"].map { "\(SHA256.digest(Array("r-1/rec/\($0)".utf8)))  rec/\($0)\n" }.joined()
        func archive(count: Int, listingDigest: String?) -> DataSource {
            let packed = DataArchive(
                address: server.address + "/set.tar.gz", folder: "rec", suffix: ".wav", count: count, listingDigest: listingDigest)
            return DataSource("set", title: "Set", homepage: "https://example.org", licence: "none", archive: packed)
        }
        let incomplete = await failure(archive(count: 3, listingDigest: nil))
        #expect(incomplete == .incompleteArchive(address: server.address + "/set.tar.gz", expected: 3, found: 2))
        #expect(await failure(archive(count: 2, listingDigest: String(repeating: "0", count: 64))) != nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.file("set")).isEmpty)
        let source = archive(count: 2, listingDigest: SHA256.digest(Array(listing.utf8)))
        let folder = try await DataDirectory(scratch.path).fetch(source)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == ["a.wav", "b.wav"])
        try DataDirectory(scratch.path).verify(source)
    }
}
