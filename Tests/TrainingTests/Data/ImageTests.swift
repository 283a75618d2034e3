import Foundation
import TestSupport
import Testing
import Torch

@testable import Training

@Suite(.ownRandomNumbers) struct ImageTests {
    let scratch = Scratch()

    @Test func readsAnIDXArrayAndRefusesBadOnes() throws {
        let good: [UInt8] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6]
        let array = try IDXArray(good, path: "x")
        #expect(array.shape == [2, 3] && array.elements == [1, 2, 3, 4, 5, 6])
        func problem(_ bytes: [UInt8]) -> String { (try? IDXArray(bytes, path: "x")) == nil ? "refused" : "read" }
        #expect(problem(good + [7]) == "refused")
        for count in 0..<good.count { #expect(problem(Array(good.prefix(count))) == "refused") }
        for position in 0..<12 {
            var damaged = good
            damaged[position] ^= 0x81
            #expect(problem(damaged) == "refused", "byte \(position)")
        }
        let huge: [UInt8] = [0, 0, 8, 4] + [UInt8](repeating: 0xFF, count: 16)
        let error = #expect(throws: DataFormatError.self) { try IDXArray(huge, path: "x") }
        #expect(error?.description.contains("too large") == true)
        let floats = #expect(throws: DataFormatError.self) { try IDXArray([0, 0, 0x0D, 1, 0, 0, 0, 0], path: "x") }
        #expect(floats?.description == "x, byte 2: the idx element type is 0xd, expected 0x8 (unsigned byte)")
    }

    @Test func readsCIFARRecordsPlaneByPlane() throws {
        var record: [UInt8] = [9]
        for plane in 0..<3 { record += [UInt8](repeating: UInt8(100 * plane), count: 1024) }
        let path = scratch.file("batch.bin")
        try AtomicFile.write(record + record, to: path)
        let images = try LabelledImages.cifar10(path: path)
        #expect(images.count == 2 && images.labels == [9, 9] && images.imageSize == 3072)
        #expect(images.image(1)[1023] == 0 && images.image(1)[1024] == 100 / 255)
        try AtomicFile.write(record.dropLast(), to: path)
        #expect(throws: DataFormatError.self) { try LabelledImages.cifar10(path: path) }
        try AtomicFile.write(record + [10] + record.dropFirst(), to: path)
        let error = #expect(throws: DataFormatError.self) { try LabelledImages.cifar10(path: path) }
        #expect(error?.position == .offset(3073))
    }

    @Test func readsTheRealDigits() throws {
        guard let folder = testData("mnist") else { return print("readsTheRealDigits: skipped, mnist is not here") }
        let test = try MNIST.load(.test, folder: folder)
        #expect(test.count == 10_000 && test.height == 28 && test.width == 28 && test.pixels.count == 7_840_000)
        #expect(Array(test.labels.prefix(10)) == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9])
        let image = test.image(0)
        #expect(image.max()! > 0.9 && image.prefix(28).allSatisfy { $0 == 0 })
    }
}
