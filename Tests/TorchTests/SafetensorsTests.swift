import Foundation
import TestSupport
import Testing

@testable import Torch

@Suite(.ownRandomNumbers) struct SafetensorsTests {
    private func expectSame(_ left: [String: Tensor], _ right: [String: Tensor]) {
        #expect(Set(left.keys) == Set(right.keys))
        for (name, tensor) in left {
            guard let other = right[name] else { continue }
            #expect(tensor.dtype == other.dtype && tensor.shape == other.shape, "\(name)")
            let bytes: [UInt8] = tensor.contiguous().withUnsafeBytes { Array($0) }
            #expect(bytes == other.contiguous().withUnsafeBytes { Array($0) }, "\(name)")
        }
    }

    private func write(_ data: Data, _ name: String, in folder: URL) throws -> URL {
        let url: URL = folder.appendingPathComponent(name)
        try data.write(to: url)
        return url
    }

    @Test func everyDTypeReturnsAsItWas() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("model.safetensors")
            let tensors: [String: Tensor] = SafetensorsSamples.everyKind()
            try saveTensors(tensors, metadata: ["note": "Zeile 1\nZeile \"2\" \\ 😀\u{1}"], to: url)
            expectSame(tensors, try loadTensors(url))
            expectSame(tensors, try loadTensors(folder))
            #expect(try SafetensorsFile(url).metadata == ["note": "Zeile 1\nZeile \"2\" \\ 😀\u{1}"])
        }
    }

    @Test func outputIsDeterministicAndAligned() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("a.safetensors")
            let tensors: [String: Tensor] = SafetensorsSamples.everyKind()
            try saveTensors(tensors, metadata: ["b": "2", "a": "1"], to: url)
            let first: Data = try Data(contentsOf: url)
            try saveTensors(Dictionary(uniqueKeysWithValues: tensors.reversed()), metadata: ["a": "1", "b": "2"], to: url)
            #expect(try Data(contentsOf: url) == first)
            let file: SafetensorsFile = try SafetensorsFile(url)
            let sizes: [Int] = try file.names.map { try #require(file.info($0)).dtype.bitCount }
            #expect(sizes == sizes.sorted(by: >))
            for name in file.names where tensors[name]?.count ?? 0 > 0 { #expect(file.holds(try file.tensor(name)), "\(name)") }
        }
    }

    @Test func viewsAndConjugatesAreWrittenAsTheyRead() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("a.safetensors")
            let matrix: Tensor = Tensor.arange(6, dtype: .float32).reshaped([2, 3])
            try saveTensors(["t": matrix.transposed()], to: url)
            let transposed: Tensor = try #require(try loadTensors(url)["t"])
            #expect(transposed.array(Float.self) == [0, 3, 1, 4, 2, 5])
            let conjugateOp: Operator = Operator("conj")
            let viewAsReal: Operator = Operator("view_as_real")
            let complex: Operator = Operator("complex")
            let number: Tensor = complex(Tensor([1] as [Float]), Tensor([2] as [Float]))
            try saveTensors(["z": conjugateOp(number)], to: url)
            let loaded: Tensor = try #require(try loadTensors(url)["z"])
            let parts: Tensor = viewAsReal(loaded)
            #expect(parts.array(Float.self) == [1, -2])
        }
    }

    @Test func unalignedElementsAreCopied() throws {
        try TestPaths.withTemporaryFolder { folder in
            let header: String = "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}   "
            try #require((8 + header.utf8.count) % 4 != 0)
            let bytes: [UInt8] = [1.5 as Float, -2].flatMap { value in withUnsafeBytes(of: value) { Array($0) } }
            let file: SafetensorsFile = try SafetensorsFile(
                write(SafetensorsSamples.file(header: header, data: bytes), "odd.safetensors", in: folder))
            let tensor: Tensor = try file.tensor("x")
            #expect(tensor.array(Float.self) == [1.5, -2])
            #expect(!file.holds(tensor))
        }
    }

    @Test func mappedTensorsOutliveTheirFileObjectAndTheFile() throws {
        let tensor: Tensor = try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("a.safetensors")
            try saveTensors(["x": Tensor.full([1000], 7)], to: url)
            return try SafetensorsFile(url).tensor("x")
        }
        #expect(tensor.sum().item(Float.self) == 7000)
    }

    @Test func aFileCanBeSavedOverWhileItIsMapped() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("a.safetensors")
            try saveTensors(["x": Tensor.full([1000], 7)], to: url)
            let mapped: Tensor = try SafetensorsFile(url).tensor("x")
            try saveTensors(["x": mapped * 2.0], to: url)
            #expect(mapped.sum().item(Float.self) == 7000)
            #expect(try loadTensors(url)["x"]?.sum().item(Float.self) == 14000)
        }
    }

    @Test func writingInPlaceAndGradientsLeaveTheFileAlone() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("a.safetensors")
            try saveTensors(["x": Tensor([1, 2, 3] as [Float])], to: url)
            let before: Data = try Data(contentsOf: url)
            let file: SafetensorsFile = try SafetensorsFile(url)
            let tensor: Tensor = try file.tensor("x").requiringGrad()
            let gradient: Tensor = gradients(of: [(tensor * tensor).sum()], withRespectTo: [tensor])[0]
            #expect(gradient.array(Float.self) == [2, 4, 6])
            noGrad { tensor.copy_(from: Tensor([9, 9, 9] as [Float])) }
            #expect(file.holds(tensor))
            #expect(tensor.array(Float.self) == [9, 9, 9])
            #expect(try Data(contentsOf: url) == before)
            #expect(try SafetensorsFile(url).tensor("x").array(Float.self) == [1, 2, 3])
        }
    }

    #if os(Linux)
        private func residentBytes() throws -> Int {
            let fields: [Substring] = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ")
            return try #require(Int(fields[1])) * Int(sysconf(Int32(_SC_PAGESIZE)))
        }

        @Test func aBigFileIsOpenedWithoutReadingIt() throws {
            try TestPaths.withTemporaryFolder { folder in
                let dataCount: Int = 1 << 30
                let header: String = "{\"x\":{\"dtype\":\"F32\",\"shape\":[\(dataCount / 4)],\"data_offsets\":[0,\(dataCount)]}}"
                let padded: String = header + String(repeating: " ", count: 8 - header.utf8.count % 8)
                let url: URL = try write(SafetensorsSamples.file(header: padded, data: []), "big.safetensors", in: folder)
                #expect(truncate(url.path, 8 + padded.utf8.count + dataCount) == 0)
                let before: Int = try residentBytes()
                let file: SafetensorsFile = try SafetensorsFile(url)
                let tensor: Tensor = try file.tensor("x")
                #expect(tensor.count == dataCount / 4 && file.holds(tensor))
                #expect(tensor.withUnsafeElements(Float.self) { $0[$0.count - 1] } == 0)
                // Reading the file would take all of its size; the bound leaves room for the tests that run beside this one.
                #expect(try residentBytes() - before < dataCount / 2)
            }
        }
    #endif

    @Test func aFailedSaveLeavesTheOldFile() throws {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("a.safetensors")
            try saveTensors(["x": Tensor.ones([2])], to: url)
            let before: Data = try Data(contentsOf: url)
            let complex: SafetensorsError? = #expect(throws: SafetensorsError.self) {
                try saveTensors(["x": Tensor.zeros([2]), "y": Tensor.zeros([1], dtype: .complex128)], to: url)
            }
            #expect(complex?.description == "\(url.path): tensor 'y': the format has no complex128; convert it first")
            #expect(throws: SafetensorsError.self) { try saveTensors(["__metadata__": Tensor.zeros([2])], to: url) }
            #expect(try Data(contentsOf: url) == before)
            #expect(throws: FileError.self) { try saveTensors([:], to: folder.appendingPathComponent("missing/a.safetensors")) }
        }
    }

    @Test func unreadableFilesAreTypedErrors() throws {
        try TestPaths.withTemporaryFolder { folder in
            let missing: URL = folder.appendingPathComponent("missing.safetensors")
            let error: SafetensorsError? = #expect(throws: SafetensorsError.self) { try SafetensorsFile(missing) }
            #expect(error?.description == "\(missing.path): could not open: No such file or directory")
            #expect(throws: SafetensorsError.self) { try SafetensorsFile(folder) }
            #expect(throws: SafetensorsError.self) { try SafetensorsFile(URL(fileURLWithPath: "/dev/zero")) }
            #expect(throws: SafetensorsError.self) { try SafetensorsFile(write(Data(), "empty.safetensors", in: folder)) }
            #expect(throws: SafetensorsError.self) { try loadTensors(folder) }
        }
    }
}
