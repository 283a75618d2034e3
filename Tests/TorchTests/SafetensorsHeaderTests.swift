import Foundation
import TestSupport
import Testing
import Torch

/// Each way in which a header can be wrong gives its own error and one line of text.
@Suite(.ownRandomNumbers) struct SafetensorsHeaderTests {
    struct BadFile: CustomTestStringConvertible, Sendable {
        let testDescription: String
        let reason: SafetensorsError.Reason
        let data: Data

        init(_ description: String, _ reason: SafetensorsError.Reason, _ data: Data) {
            testDescription = description
            self.reason = reason
            self.data = data
        }
    }

    private static func entry(_ dtype: String = "\"F32\"", _ shape: String = "[2]", _ offsets: String = "[0,8]", more: String = "") -> Data
    {
        SafetensorsSamples.entry("{\"dtype\":\(dtype),\"shape\":\(shape),\"data_offsets\":\(offsets)\(more)}")
    }

    private static func header(_ text: String, _ dataCount: Int = 0) -> Data {
        SafetensorsSamples.file(header: text, data: Array(repeating: 0, count: dataCount))
    }

    private static func pair(_ first: String, _ second: String, _ dataCount: Int) -> Data {
        let entries: [String] = [first, second].map { "{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":\($0)}" }
        return header("{\"a\":\(entries[0]),\"b\":\(entries[1])}", dataCount)
    }

    static let badFiles: [BadFile] = lengths + syntax + metadata + entries + places

    private static let lengths: [BadFile] = [
        BadFile("empty", .headerLength, Data()),
        BadFile("7 bytes", .headerLength, Data(count: 7)),
        BadFile("length 0", .headerLength, Data(count: 16)),
        BadFile("length beyond the file", .headerLength, SafetensorsSamples.file(header: "{}", data: [], length: 3)),
        BadFile("length of 64 bits", .headerLength, SafetensorsSamples.file(header: "{}", data: [], length: .max)),
        BadFile("length with the sign bit", .headerLength, SafetensorsSamples.file(header: "{}", data: [], length: 1 << 63)),
        BadFile("over 100 MB", .headerLength, Data([0x01, 0xE1, 0xF5, 0x05, 0, 0, 0, 0]) + Data(count: 100_000_001)),
    ]

    private static let syntax: [BadFile] = [
        BadFile("array", .headerSyntax, header("[]")),
        BadFile("leading space", .headerSyntax, header(" {}")),
        BadFile("unended", .headerSyntax, header("{\"a\":")),
        BadFile("text after it", .headerSyntax, header("{} {}")),
        BadFile("trailing comma", .headerSyntax, header("{\"__metadata__\":{},}")),
        BadFile("not UTF-8", .headerSyntax, Data([6, 0, 0, 0, 0, 0, 0, 0]) + Data("{\"".utf8) + Data([0xFF]) + Data("\":1".utf8)),
        BadFile("lone surrogate", .headerSyntax, header("{\"\\ud800\":1}")),
        BadFile("control character", .headerSyntax, header("{\"a\nb\":1}")),
        BadFile("leading zero", .headerSyntax, header("{\"a\":01}")),
        BadFile("deep", .headerSyntax, header("{\"a\":" + String(repeating: "[", count: 100_000))),
        BadFile("the same tensor twice", .headerSyntax, header("{\"a\":{},\"a\":{}}")),
        BadFile("the same key under an escape", .headerSyntax, header("{\"a\":{},\"\\u0061\":{}}")),
        BadFile("the same field twice", .headerSyntax, entry(more: ",\"dtype\":\"F32\"")),
        BadFile("the same metadata twice", .headerSyntax, header("{\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}}")),
    ]

    private static let metadata: [BadFile] = [
        BadFile("metadata that is a string", .metadata, header("{\"__metadata__\":\"x\"}")),
        BadFile("metadata with a number", .metadata, header("{\"__metadata__\":{\"step\":3}}")),
        BadFile("metadata with an object", .metadata, header("{\"__metadata__\":{\"step\":{}}}")),
    ]

    private static let entries: [BadFile] = [
        BadFile("entry that is a number", .entry, SafetensorsSamples.entry("3")),
        BadFile("no dtype", .entry, SafetensorsSamples.entry("{\"shape\":[2],\"data_offsets\":[0,8]}")),
        BadFile("no shape", .entry, SafetensorsSamples.entry("{\"dtype\":\"F32\",\"data_offsets\":[0,8]}")),
        BadFile("no offsets", .entry, SafetensorsSamples.entry("{\"dtype\":\"F32\",\"shape\":[2]}")),
        BadFile("unknown field", .entry, entry(more: ",\"strides\":[1]")),
        BadFile("dtype that is a number", .entry, entry("32")),
        BadFile("unknown dtype", .dtype, entry("\"F31\"")),
        BadFile("dtype in lower case", .dtype, entry("\"f32\"")),
        BadFile("shape that is a number", .entry, entry("\"F32\"", "2")),
        BadFile("negative axis", .shape, entry("\"F32\"", "[-2]")),
        BadFile("fractional axis", .shape, entry("\"F32\"", "[2.0]")),
        BadFile("axis beyond 64 bits", .shape, entry("\"F32\"", "[18446744073709551618]")),
        BadFile("overflowing product", .shape, entry("\"F32\"", "[4294967296,4294967296]")),
        BadFile("overflowing product beside 0", .shape, entry("\"F32\"", "[4611686018427387904,0,4]", "[0,0]")),
        BadFile("a million axes", .shape, entry("\"F32\"", "[" + String(repeating: "1,", count: 1_000_000) + "2]")),
        BadFile("half a byte", .shape, entry("\"F4\"", "[3]", "[0,1]")),
    ]

    private static let places: [BadFile] = [
        BadFile("one offset", .entry, entry("\"F32\"", "[2]", "[0]")),
        BadFile("three offsets", .entry, entry("\"F32\"", "[2]", "[0,4,8]")),
        BadFile("negative offset", .offsets, entry("\"F32\"", "[2]", "[-8,0]")),
        BadFile("reversed offsets", .offsets, entry("\"F32\"", "[2]", "[8,0]")),
        BadFile("beyond the file", .offsets, entry("\"F32\"", "[3]", "[0,12]")),
        BadFile("huge offsets", .offsets, entry("\"F32\"", "[2]", "[9223372036854775799,9223372036854775807]")),
        BadFile("too few bytes for the shape", .offsets, entry("\"F32\"", "[3]", "[0,8]")),
        BadFile("too many bytes for the dtype", .offsets, entry("\"F16\"", "[2]", "[0,8]")),
        BadFile("overlap", .offsets, pair("[0,4]", "[2,6]", 6)),
        BadFile("the same bytes twice", .offsets, pair("[0,4]", "[0,4]", 4)),
        BadFile("hole", .offsets, pair("[0,4]", "[5,9]", 9)),
        BadFile("hole at the start", .offsets, entry("\"U8\"", "[4]", "[4,8]")),
        BadFile("trailing bytes", .offsets, pair("[0,4]", "[4,8]", 9)),
    ]

    @Test(arguments: badFiles) func refuses(_ bad: BadFile) {
        let error: SafetensorsError? = #expect(throws: SafetensorsError.self) { try SafetensorsFile(data: bad.data, name: "bad") }
        #expect(error?.reason == bad.reason, "\(error?.description ?? "none")")
        #expect(error?.description.hasPrefix("bad: ") == true)
        #expect(error?.description.contains("\n") == false)
        #expect((error?.description.count ?? 0) < 400)
    }

    @Test func namesInMessagesStayOnOneLine() {
        let data: Data = SafetensorsSamples.file(header: "{\"a\\nb\\u0000\\u2028\":3}", data: [])
        let error: SafetensorsError? = #expect(throws: SafetensorsError.self) { try SafetensorsFile(data: data, name: "bad") }
        #expect(
            error?.description
                == "bad: tensor 'a\\u{a}b\\u{0}\\u{2028}': the entry is 3; it should be an object with dtype, shape and data_offsets")
    }

    @Test func theSmallestFilesAreRight() throws {
        #expect(try SafetensorsFile(data: Self.header("{}")).names.isEmpty)
        let spaced: SafetensorsFile = try SafetensorsFile(
            data: Self.header("{ \"__metadata__\" : { \"a\\u00e9\" : \"\\ud83d\\ude00\" } } \n"))
        #expect(spaced.metadata == ["aé": "😀"])
        #expect(try SafetensorsFile(data: Self.entry()).tensor("x").array(Float.self) == [0, 0])
    }

    @Test func foreignDTypesFailOnlyWhenAskedFor() throws {
        let header: String = """
            {"a":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U16","shape":[],"data_offsets":[3,5]},
            "c":{"dtype":"F4","shape":[2],"data_offsets":[5,6]},"d":{"dtype":"I8","shape":[2],"data_offsets":[6,8]}}
            """
        let file: SafetensorsFile = try SafetensorsFile(
            data: SafetensorsSamples.file(header: header, data: [1, 2, 3, 4, 5, 6, 7, 8]), name: "f")
        #expect(file.names == ["a", "b", "c", "d"])
        #expect(file.info("b")?.dtype == .u16)
        #expect(try file.tensor("d").array(Int8.self) == [7, 8])
        for name in ["a", "b", "c"] {
            let error: SafetensorsError? = #expect(throws: SafetensorsError.self) { try file.tensor(name) }
            #expect(error?.reason == .dtype)
        }
        let missing: SafetensorsError? = #expect(throws: SafetensorsError.self) { try file.tensor("e") }
        #expect(missing?.description == "f: tensor 'e': not in the file, which has 4 tensors")
    }

    @Test func booleansMustBeZeroOrOne() throws {
        let header: String = "{\"x\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]}}"
        let good: SafetensorsFile = try SafetensorsFile(data: SafetensorsSamples.file(header: header, data: [1, 0, 1]))
        #expect(try good.tensor("x").array(Bool.self) == [true, false, true])
        let bad: SafetensorsFile = try SafetensorsFile(data: SafetensorsSamples.file(header: header, data: [1, 2, 1]))
        let error: SafetensorsError? = #expect(throws: SafetensorsError.self) { try bad.tensor("x") }
        #expect(error?.reason == .elements)
    }
}
