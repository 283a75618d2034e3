import Foundation
import TestSupport
import Testing
import Torch

@testable import Training

@Suite(.ownRandomNumbers) struct DataSourceTests {
    let scratch = Scratch()

    @Test func theCatalogueIsConsistent() {
        #expect(DataSource.all.count > 20)
        #expect(Set(DataSource.all.map(\.name)).count == DataSource.all.count)
        for source in DataSource.all {
            #expect(!source.title.isEmpty && !source.licence.isEmpty && source.homepage.hasPrefix("https://"))
            #expect(!source.files.isEmpty || source.archive != nil)
            for file in source.files + source.optionalFiles {
                #expect(!file.name.contains("/") && file.address?.hasPrefix("http://") != true)
            }
        }
    }

    /// The copies that came with the project, against the catalogue's digests; the large ones only by name and size.
    @Test func theCopiesHereAreTheCataloguesFiles() throws {
        guard let directory = DataDirectory.testFallback else {
            return print("theCopiesHereAreTheCataloguesFiles: skipped, no shared data")
        }
        for source in DataSource.all {
            let folder = directory.folder(of: source)
            guard directory.missingPart(of: source) == nil else { continue }
            for file in source.files {
                let size = try FileManager.default.attributesOfItem(atPath: folder + "/" + file.name)[.size] as? Int
                // Where two copies are known, the recorded size is that of the official one.
                if file.digests.count == 1 { #expect(size == file.bytes, "\(source.name)/\(file.name)") }
                guard let size, size < 300_000 else { continue }
                #expect(file.digests.contains(SHA256.digest(try readFile(folder + "/" + file.name))), "\(source.name)/\(file.name)")
            }
        }
        #expect(try directory.locate("tinyshakespeare").hasSuffix("/tinyshakespeare"))
        #expect(try directory.locate("mnist", file: "t10k-labels-idx1-ubyte.gz").hasSuffix(".gz"))
    }

    @Test func unknownNamesGiveTheNearest() {
        let error = #expect(throws: DataSourceError.self) { try DataSource.named("tinyshakespear") }
        #expect(error?.description == "there is no data set 'tinyshakespear'; did you mean tinyshakespeare? (linnet data list names all)")
        #expect(throws: DataSourceError.unknown(name: "mnits", nearest: ["mnist"])) { try DataSource.named("mnits") }
        #expect(throws: DataSourceError.unknown(name: "zzzzzzzz", nearest: [])) { try DataSource.named("zzzzzzzz") }
        #expect(throws: DataSourceError.unknown(name: "", nearest: ["f1"])) { try DataSource.named("") }
    }

    @Test func aMissingSetSaysHowToGetIt() throws {
        let directory = DataDirectory(scratch.path)
        let error = #expect(throws: DataSourceError.self) { try directory.locate("ett") }
        #expect(
            error?.description == "data set 'ett' is not in \(scratch.path)/ett (ETTh1.csv is missing): run 'linnet data fetch ett', "
                + "or set LINNET_DATA to the folder above it")
        let recordings = #expect(throws: DataSourceError.self) { try directory.locate("fsdd") }
        #expect(recordings?.description.contains("(3000 of its 3000 files *.wav is missing)") == true)
        try AtomicFile.createFolder(scratch.file("ett"))
        try AtomicFile.write("not it", to: scratch.file("ett/ETTh1.csv"))
        #expect(throws: DataSourceError.self) { try directory.verify(try DataSource.named("ett")) }
    }

    @Test func whatCannotBeFetchedSaysSo() async throws {
        await #expect(throws: DataSourceError.self) { try await DataDirectory(scratch.path).fetch("chinook") }
        #expect(scratch.names.isEmpty)
    }
}
