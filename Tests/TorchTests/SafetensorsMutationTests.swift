import Foundation
import TestSupport
import Testing

@testable import Torch

/// Whatever is done to a file, it is refused with a `SafetensorsError` or gives tensors whose elements can be read.
@Suite(.ownRandomNumbers) struct SafetensorsMutationTests {
    /// What the reader made of a number of files.
    private struct Tally {
        var accepted: Int = 0
        var refused: [SafetensorsError.Reason: Int] = [:]

        mutating func open(_ data: Data, through url: URL? = nil) throws {
            do {
                try url.map { try data.write(to: $0) }
                let file: SafetensorsFile = try url.map { try SafetensorsFile($0) } ?? SafetensorsFile(data: data)
                accepted += 1
                for name in file.names { try read(name, in: file, size: data.count) }
            } catch let error as SafetensorsError {
                refused[error.reason, default: 0] += 1
                #expect(!error.description.contains("\n"))
            }
        }

        private func read(_ name: String, in file: SafetensorsFile, size: Int) throws {
            let tensor: Tensor
            do { tensor = try file.tensor(name) } catch let error as SafetensorsError {
                #expect(error.reason == .dtype || error.reason == .elements)
                return
            }
            let info: SafetensorsTensorInfo = try #require(file.info(name))
            #expect(tensor.shape == info.shape)
            #expect(tensor.byteCount == info.byteRange.count)
            #expect(tensor.byteCount < size)
            tensor.withUnsafeBytes { bytes in
                var sum: UInt8 = 0
                for byte in bytes { sum = sum &+ byte }
                #expect(bytes.count == tensor.byteCount, "\(sum)")
            }
        }
    }

    private static func bases() throws -> [Data] {
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("base.safetensors")
            let few: [String: Tensor] = ["w": Tensor.ones([2, 3]), "b": Tensor.zeros([2], dtype: .bool)]
            let metadata: [String: String] = Dictionary(uniqueKeysWithValues: (0..<32).map { ("key \($0)", "value") })
            try saveTensors(few, metadata: metadata, to: url)
            let described: Data = try Data(contentsOf: url)
            try saveTensors(few, to: url)
            let plain: Data = try Data(contentsOf: url)
            try saveTensors(SafetensorsSamples.everyKind(), to: url)
            return [described, plain, plain, try Data(contentsOf: url)]
        }
    }

    @Test func tenThousandMutatedFilesNeverTrap() throws {
        var generator: SeededGenerator = SeededGenerator(seed: 0x5AFE)
        let bases: [Data] = try Self.bases()
        var tally: Tally = Tally()
        for base in bases { try tally.open(base) }
        #expect(tally.accepted == bases.count && tally.refused.isEmpty)
        for index in 0..<12_000 { try tally.open(SafetensorsMutation.mutated(bases[index % bases.count], using: &generator)) }
        try TestPaths.withTemporaryFolder { folder in
            let url: URL = folder.appendingPathComponent("mutated.safetensors")
            for index in 0..<1_000 {
                try tally.open(SafetensorsMutation.mutated(bases[index % bases.count], using: &generator), through: url)
            }
        }
        // The mutations reach every rule of the header and leave enough files whole to exercise reading.
        #expect(tally.accepted > 500)
        for reason in [SafetensorsError.Reason.headerLength, .headerSyntax, .metadata, .entry, .dtype, .shape, .offsets] {
            #expect(tally.refused[reason, default: 0] > 0, "\(reason)")
        }
    }
}

/// One or a few random changes to a file.
private enum SafetensorsMutation {
    static func mutated(_ base: Data, using generator: inout SeededGenerator) -> Data {
        var bytes: [UInt8] = Array(base)
        for _ in 0..<Int.random(in: 1...3, using: &generator) { mutate(&bytes, using: &generator) }
        return Data(bytes)
    }

    private static func mutate(_ bytes: inout [UInt8], using generator: inout SeededGenerator) {
        guard bytes.count > 8 else { return bytes.append(UInt8.random(in: 0...255, using: &generator)) }
        switch Int.random(in: 0..<10, using: &generator) {
        case 0: bytes[Int.random(in: 0..<bytes.count, using: &generator)] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1: bytes.removeLast(Int.random(in: 1...bytes.count, using: &generator))
        case 2: bytes.append(contentsOf: Array(repeating: 0, count: Int.random(in: 1...9, using: &generator)))
        case 3: setLength(&bytes, using: &generator)
        case 4: bytes[Int.random(in: 8..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
        case 5: flipData(&bytes, using: &generator)
        default: editHeader(&bytes, using: &generator)
        }
    }

    private static func headerEnd(_ bytes: [UInt8]) -> Int {
        let length: UInt64 = bytes.withUnsafeBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
        return length <= UInt64(bytes.count - 8) ? 8 + Int(length) : bytes.count
    }

    private static func setLength(_ bytes: inout [UInt8], using generator: inout SeededGenerator) {
        let near: UInt64 = UInt64(max(0, headerEnd(bytes) - 8 + Int.random(in: -3...3, using: &generator)))
        let choices: [UInt64] = [0, 1, near, UInt64(bytes.count), UInt64(bytes.count - 8), .max, 1 << 63, 100_000_001, generator.next()]
        let length: UInt64 = choices.randomElement(using: &generator)!
        withUnsafeBytes(of: length.littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
    }

    private static func flipData(_ bytes: inout [UInt8], using generator: inout SeededGenerator) {
        let end: Int = headerEnd(bytes)
        guard end < bytes.count else { return }
        bytes[Int.random(in: end..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
    }

    /// Replaces, repeats or removes a token of the header and, mostly, sets the length right again.
    private static func editHeader(_ bytes: inout [UInt8], using generator: inout SeededGenerator) {
        let end: Int = headerEnd(bytes)
        var tokens: [String] = tokenized(bytes[8..<end])
        guard !tokens.isEmpty else { return }
        let place: Int = Int.random(in: 0..<tokens.count, using: &generator)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: tokens.remove(at: place)
        case 1: tokens.insert(tokens.randomElement(using: &generator)!, at: place)
        case 2: duplicateMember(&tokens, using: &generator)
        default: tokens[place] = replacement(for: tokens[place], using: &generator)
        }
        let text: [UInt8] = Array(tokens.joined().utf8)
        bytes.replaceSubrange(8..<end, with: text)
        guard Int.random(in: 0..<10, using: &generator) > 0 else { return }
        withUnsafeBytes(of: UInt64(text.count).littleEndian) { bytes.replaceSubrange(0..<8, with: $0) }
    }

    private static func duplicateMember(_ tokens: inout [String], using generator: inout SeededGenerator) {
        guard let close = tokens.lastIndex(of: "}"), let key = tokens.filter({ $0.hasPrefix("\"") }).randomElement(using: &generator) else {
            return
        }
        let value: String = ["{}", "3", "\"U8\"", "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}"].randomElement(
            using: &generator)!
        tokens.insert(contentsOf: [",", key, ":", value], at: close)
    }

    private static func replacement(for token: String, using generator: inout SeededGenerator) -> String {
        if token.first?.isNumber == true { return (numbers + ["null"]).randomElement(using: &generator)! }
        if token.hasPrefix("\"") { return (strings + Array(repeating: "3", count: 10)).randomElement(using: &generator)! }
        return (others + numbers + strings).randomElement(using: &generator)!
    }

    private static let numbers: [String] = [
        "0", "1", "2", "3", "4", "6", "8", "24", "-1", "1e3", "4294967296", "9223372036854775807", "99999999999999999999",
    ]
    private static let strings: [String] =
        SafetensorsDType.allCases.map { "\"\($0.rawValue)\"" } + [
            "\"F31\"", "\"\"", "\"__metadata__\"", "\"dtype\"", "\"shape\"", "\"data_offsets\"", "\"\\ud800\"", "\"\\u0000\"",
        ]
    private static let others: [String] = ["{", "}", "[", "]", ":", ",", "null", "true", " ", "[[[[[[[[[[[[[[[[[[[["]

    /// Strings, numbers and single characters.
    private static func tokenized(_ text: ArraySlice<UInt8>) -> [String] {
        var tokens: [String] = []
        var start: Int = text.startIndex
        var isString: Bool = false
        func isDigit(_ index: Int) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[index]) }
        for index in text.indices {
            if text[index] == UInt8(ascii: "\"") { isString.toggle() }
            let next: Int = index + 1
            if isString || (next < text.endIndex && isDigit(index) && isDigit(next)) { continue }
            tokens.append(String(decoding: text[start..<next], as: UTF8.self))
            start = next
        }
        return start < text.endIndex ? tokens + [String(decoding: text[start...], as: UTF8.self)] : tokens
    }
}
