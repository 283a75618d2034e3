import Foundation
import TestSupport
import Testing

@testable import Training

@Suite(.ownRandomNumbers) struct DigestAndArchiveTests {
    let scratch = Scratch()

    @Test func sha256OfTheStandardsExamples() {
        #expect(SHA256.digest([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(SHA256.digest(Array("abc".utf8)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test(.enabled(if: PythonPeer.has(), "no Python: set LINNET_PYTHON"))
    func sha256EqualsHashlibAtEveryLengthAndInParts() throws {
        let script = "import hashlib\nfor n in range(300): print(hashlib.sha256(bytes((7*i+n)%256 for i in range(n))).hexdigest())"
        let expected = try PythonPeer.run(script).split(separator: "\n").map(String.init)
        try #require(expected.count == 300)
        for length in 0..<300 {
            let message = (0..<length).map { UInt8((7 * $0 + length) % 256) }
            #expect(SHA256.digest(message) == expected[length])
            var inParts = SHA256()
            for start in stride(from: 0, to: length, by: 37) {
                message[start..<min(length, start + 37)].withUnsafeBytes { inParts.update($0) }
            }
            #expect(inParts.finalize() == expected[length])
        }
    }

    @Test(.enabled(if: PythonPeer.has(), "no Python: set LINNET_PYTHON"))
    func gunzipsWhatPythonCompressedAndRefusesDamage() throws {
        let path = scratch.file("a.gz")
        _ = try PythonPeer.run(
            "import gzip,sys\nopen(sys.argv[1],'wb').write(gzip.compress(bytes(i*i%251 for i in range(600000)))+gzip.compress(b'tail'))",
            path)
        let expected = (0..<600_000).map { UInt8($0 * $0 % 251) } + Array("tail".utf8)
        #expect(try Gzip.readFile(path) == expected)
        let packed = try readFile(path)
        #expect(throws: DataFormatError.self) { try Gzip.decompress(Array(packed.dropLast(5)), path: path) }
        #expect(throws: DataFormatError.self) { try Gzip.decompress(packed, path: path, limit: 500_000) }
        for position in stride(from: 10, to: packed.count - 24, by: max(1, packed.count / 50)) {
            var damaged = packed
            damaged[position] ^= 0xFF
            #expect((try? Gzip.decompress(damaged, path: path)) != expected)
        }
    }

    @Test(.enabled(if: PythonPeer.has(), "no Python: set LINNET_PYTHON"), arguments: ["USTAR", "GNU", "PAX"])
    func readsTheArchivesThatPythonWrites(format: String) throws {
        let path = scratch.file("\(format).tar")
        let script = """
            import tarfile,io,sys
            with tarfile.open(sys.argv[1],'w',format=getattr(tarfile,sys.argv[2]+'_FORMAT')) as t:
                d=tarfile.TarInfo('top/'); d.type=tarfile.DIRTYPE; t.addfile(d)
                for name,size in [('top/a.wav',0),('top/b.wav',513),('top/'+'d'*60+'/'+'l'*70+'.wav',5)]:
                    i=tarfile.TarInfo(name); i.size=size; t.addfile(i,io.BytesIO(b'x'*size))
            """
        _ = try PythonPeer.run(script, path, format)
        let archive = try readFile(path)
        var found: [String: Int] = [:]
        try Tar.forEachFile(in: archive, path: path) { found[$0] = $1.count }
        let long = "top/" + String(repeating: "d", count: 60) + "/" + String(repeating: "l", count: 70) + ".wav"
        #expect(found == ["top/a.wav": 0, "top/b.wav": 513, long: 5])
        #expect(throws: DataFormatError.self) { try Tar.forEachFile(in: Array(archive.prefix(1536)), path: path) { _, _ in } }
        var damaged = archive
        damaged[3] ^= 1
        #expect(throws: DataFormatError.self) { try Tar.forEachFile(in: damaged, path: path) { _, _ in } }
    }
}
