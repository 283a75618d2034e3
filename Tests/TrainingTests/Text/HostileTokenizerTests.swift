import Foundation
import TestSupport
import Testing
import Torch

@testable import Training

/// Whatever a tokenizer file holds, it is read or refused; nothing traps.
@Suite(.ownRandomNumbers) struct HostileTokenizerTests {
    private static let text = "The  quick é e\u{301} 😀 12345 don't\n\n <s>[MASK]▁"

    /// Reads a file and, where it is taken, uses it.
    private func exercise(_ json: [UInt8]) -> Bool {
        guard let pipeline = try? TokenizerPipeline(json: Data(json)) else { return false }
        let ids = pipeline.encode(Self.text)
        _ = pipeline.encode(Self.text, pairedWith: "b")
        var decoder = StreamingDecoder(pipeline, skippingSpecialTokens: false)
        _ = decoder.decode(ids + [-1, 0, pipeline.vocabularySize, Int.max])
        return true
    }

    @Test(.enabled(if: TextTestFiles.hasFixtures, "no tokenizer fixtures: set LINNET_FIXTURES"), arguments: TextTestFiles.fixtures)
    func mutatedBytesNeverTrap(folder: URL) throws {
        let original = Array(try Data(contentsOf: folder.appendingPathComponent("tokenizer.json")))
        var random = SeededGenerator(seed: 9)
        var read = 0
        for _ in 0..<400 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let position = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[position] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: position)
                case 2: bytes.insert(Array("{}[],:\"-9e.\\tfn".utf8).randomElement(using: &random)!, at: position)
                default: bytes = Array(bytes[..<max(1, position)]) + (Bool.random(using: &random) ? Array(bytes[position...]) : [])
                }
            }
            if exercise(bytes) { read += 1 }
        }
        #expect(read > 10 && read < 390, "\(read) of 400 were read: the mutations test nothing")
    }

    /// Fields of another type, missing, doubled, huge or negative.
    @Test(.enabled(if: TextTestFiles.hasFixtures, "no tokenizer fixtures: set LINNET_FIXTURES"), arguments: TextTestFiles.fixtures)
    func mutatedFieldsNeverTrap(folder: URL) throws {
        let document = try TokenizerPipeline(contentsOf: folder).document
        var random = SeededGenerator(seed: 10)
        var read = 0
        for _ in 0..<800 {
            var mutated = document
            mutated.mutate(&random, depth: 0)
            if exercise(JSONWriter.write(mutated)) { read += 1 }
        }
        #expect(read > 10 && read < 790, "\(read) of 800 were read: the mutations test nothing")
    }

    static let refusals: [(json: String, description: String)] = [
        ("", "not valid JSON at byte 0: the document ends early"),
        ("{\"model\": 1e999}", "not valid JSON at byte 15: a number out of range"),
        ("{\"model\": \"\u{1}\"}", "not valid JSON at byte 11: a control character in a string"),
        ("{\"model\": \"\\ud800\"}", "not valid JSON at byte 17: half a surrogate pair"),
        (String(repeating: "[", count: 100_000), "not valid JSON at byte 96: nested deeper than 96 levels"),
        ("{}", "field model is missing"),
        ("[]", "field (the document) must be an object"),
        (#"{"model": {"type": "Unigram"}}"#, "field model: model Unigram is not supported"),
        (#"{"model": {"type": "BPE", "merges": []}}"#, "field model.vocab is missing"),
        (#"{"model": {"type": "BPE", "vocab": [], "merges": []}}"#, "field model.vocab must be an object"),
        (bytePair(vocabulary: #"{"a": -1}"#), #"field model.vocab: the id of "a" must be a whole number below 2147483647"#),
        (bytePair(vocabulary: #"{"a": 1.5}"#), #"field model.vocab: the id of "a" must be a whole number below 2147483647"#),
        (bytePair(vocabulary: #"{"a": 4294967295}"#), #"field model.vocab: the id of "a" must be a whole number below 2147483647"#),
        (bytePair(vocabulary: #"{"a": 0, "b": 0}"#), #"field model.vocab: id 0 is given to two tokens, "b" is the second"#),
        (bytePair(vocabulary: #"{"a": 0}"#, merges: #"["a a a"]"#), "field model.merges[0]: a merge is two tokens"),
        (bytePair(vocabulary: #"{"a": 0}"#, merges: #"[["a", 1]]"#), "field model.merges[0]: a merge is two tokens"),
        (
            bytePair(vocabulary: #"{"a": 0}"#, merges: #"["a a"]"#),
            "field model.merges[0]: both tokens and what they make must be in the vocabulary"
        ),
        (bytePair(more: #""truncation": {"max_length": 5}"#), "field truncation: cutting or padding by the tokenizer is not supported"),
        (bytePair(more: #""version": "2.0""#), "field version: version 2.0 is not supported"),
        (bytePair(more: #""normalizer": {"type": "Precompiled"}"#), "field normalizer: normalizer Precompiled is not supported"),
        (
            bytePair(more: #""normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": 5}]}"#),
            "field normalizer.normalizers[1].type must be a string"
        ),
        (
            bytePair(more: #""pre_tokenizer": {"type": "UnicodeScripts"}"#),
            "field pre_tokenizer: pre-tokenizer UnicodeScripts is not supported"
        ),
        (
            bytePair(more: #""pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(["}, "behavior": "Isolated", "invert": false}"#),
            "field pre_tokenizer.pattern.Regex: not a regular expression that can be read: (["
        ),
        (bytePair(more: #""decoder": {"type": "CTC"}"#), "field decoder: decoder CTC is not supported"),
        (
            bytePair(more: #""decoder": {"type": "Strip", "content": "ab", "start": 0, "stop": 0}"#),
            "field decoder.content must be a string of one character"
        ),
        (
            bytePair(more: #""decoder": {"type": "Strip", "content": "a", "start": -1, "stop": 0}"#),
            "field decoder.start must be a whole number of 0 or more"
        ),
        (bytePair(more: #""added_tokens": [{"id": 0}]"#), "field added_tokens[0].content is missing"),
        (
            bytePair(
                more:
                    #""post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "B", "type_id": 0}}], "pair": [], "special_tokens": {}}"#
            ),
            "field post_processor.single[0].Sequence: the id must be A"
        ),
    ]

    private static func bytePair(vocabulary: String = #"{"a": 0}"#, merges: String = "[]", more: String? = nil) -> String {
        "{\"model\": {\"type\": \"BPE\", \"vocab\": \(vocabulary), \"merges\": \(merges)}\(more.map { ", " + $0 } ?? "")}"
    }

    @Test(arguments: refusals)
    func refusalsNameTheField(json: String, description: String) {
        #expect {
            try TokenizerPipeline(json: Data(json.utf8))
        } throws: { error in
            #expect("\(error)" == description)
            return error is TokenizerError
        }
    }

    @Test func refusalsNameTheFile() throws {
        try TestPaths.withTemporaryFolder { folder in
            let file = folder.appendingPathComponent("tokenizer.json")
            #expect(throws: FileError("read", file.path, code: ENOENT)) { try loadTokenizer(from: file) }
            #expect(throws: FileError.self) { try ByteTokenizer().save(to: file.appendingPathComponent("missing/x.json")) }
            try Data("{}".utf8).write(to: file)
            #expect(throws: TokenizerError.inFile(file.path, .missingField("model"))) { try loadTokenizer(from: folder) }
            #expect(throws: TokenizerError.inFile(file.path, .missingField("model"))) { try BPETokenizer(contentsOf: file) }
        }
    }

    @Test func notUTF8IsRefusedAtItsByte() {
        #expect(throws: TokenizerError.invalidJSON(offset: 2, reason: "the file is not UTF-8")) {
            try TokenizerPipeline(json: Data([0x7B, 0x22, 0xFF, 0x22, 0x7D]))
        }
    }

    /// One word of many symbols takes the queue, whose work must not grow with the square of the length.
    @Test(.timeLimit(.minutes(1))) func longWordsStayFast() throws {
        let tokenizer = try BPETokenizer.train(corpus: String(repeating: "ab", count: 400), vocabularySize: 262)
        let word = String(repeating: "ab", count: 20_000)
        let ids = tokenizer.encode(word)
        #expect(ids.count < 5000)
        #expect(tokenizer.decode(ids) == word)
    }
}

extension JSONValue {
    /// Changes the value somewhere.
    fileprivate mutating func mutate(_ random: inout SeededGenerator, depth: Int) {
        let goesDeeper = Int.random(in: 0..<8, using: &random) > 0
        switch self {
        case .array(var elements) where !elements.isEmpty && goesDeeper:
            let index = Int.random(in: 0..<elements.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: elements.remove(at: index)
            case 1: elements.append(elements[index])
            default: elements[index].mutate(&random, depth: depth + 1)
            }
            self = .array(elements)
        case .object(var members) where !members.isEmpty && (goesDeeper || depth == 0):
            let index = Int.random(in: 0..<members.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0 where depth > 0: members.remove(at: index)
            case 1 where depth > 0: members.append(JSONMember(key: members[index].key, value: members.randomElement(using: &random)!.value))
            case 2 where depth > 1: members[index].key = Array("x\(index)".utf8)
            default: members[index].value.mutate(&random, depth: depth + 1)
            }
            self = .object(members)
        default:
            self = Self.replacements.randomElement(using: &random)!
        }
    }

    private static let replacements: [JSONValue] = [
        .null, .bool(true), .bool(false), .integer(0), .integer(-1), .integer(7), .integer(Int(UInt32.max)), .integer(.max), .integer(.min),
        .double(0.5), .double(1e300), .string(""), .string("a"), .string("é"), .string(" "), .string("##"), .string("Isolated"),
        .string("(a+"), .string("<s>"), .array([]), .object([]), .array([.string("a"), .string("b")]),
        .object([
            "type": .string("Sequence"), "normalizers": .array([]), "pretokenizers": .array([]), "decoders": .array([]),
            "processors": .array([]),
        ]),
        .object(["type": .string("NFKC")]), .object(["type": .string("ByteLevel"), "add_prefix_space": .bool(true)]),
        .object([
            "type": .string("Strip"), "content": .string("e"), "start": .integer(3), "stop": .integer(.max), "strip_left": .bool(true),
        ]),
        .object(["type": .string("Metaspace"), "replacement": .string("▁")]), .object(["type": .string("WhitespaceSplit")]),
        .object(["type": .string("ByteFallback")]), .object(["type": .string("BPEDecoder"), "suffix": .string("e")]),
    ]
}
