import Foundation
import TestSupport
import Testing
import Torch

@testable import Training

@Suite(.ownRandomNumbers) struct TextCorpusTests {
    private func write(_ bytes: [UInt8], _ name: String = "text.txt", in folder: URL) throws -> URL {
        let file = folder.appendingPathComponent(name)
        try Data(bytes).write(to: file)
        return file
    }

    /// The offsets are those of Python's `UnicodeDecodeError.start`.
    @Test(arguments: [
        ([0x61, 0x62, 0xFF], 2), ([0xC3], 0), ([0x61, 0xC3, 0x28], 1), ([0xE2, 0x82], 0), ([0x61, 0xED, 0xA0, 0x80], 1),
        ([0xC0, 0x80], 0), ([0x61, 0x62, 0xF4, 0x90, 0x80, 0x80], 2), ([0xF0, 0x9F, 0x98, 0x80, 0x80], 4),
    ])
    func invalidBytesAreNamed(bytes: [UInt8], offset: Int) throws {
        try TestPaths.withTemporaryFolder { folder in
            let file = try write(bytes, in: folder)
            #expect(throws: TextCorpusError.notUTF8(file: file.path, offset: offset)) { try TextCorpus(contentsOf: [file]) }
        }
    }

    @Test func filesAreKeptByteForByte() throws {
        try TestPaths.withTemporaryFolder { folder in
            let bytes = Array("\u{FEFF}a\r\ne\u{301}\u{0}".utf8)
            let corpus = try TextCorpus(contentsOf: [try write(bytes, in: folder)])
            #expect(Array(corpus.texts[0].utf8) == bytes)
        }
    }

    @Test func emptyAndMissingFilesAreNamed() throws {
        try TestPaths.withTemporaryFolder { folder in
            let file = try write([], in: folder)
            #expect(throws: TextCorpusError.empty(file: file.path)) { try TextCorpus(contentsOf: [file]) }
            let missing = folder.appendingPathComponent("missing.txt")
            #expect(throws: FileError("read", missing.path, code: ENOENT)) { try TextCorpus(contentsOf: [missing]) }
            #expect(throws: FileError("read", folder.path, code: EISDIR)) { try TextCorpus(contentsOf: [folder]) }
            #expect(throws: TextCorpusError.noFiles) { try TextCorpus(contentsOf: []) }
        }
    }

    @Test func theCorpusIsCutByPosition() throws {
        let corpus = TextCorpus(texts: [String(decoding: (0..<100).map { UInt8($0) }, as: UTF8.self)])
        let (training, validation) = try corpus.split(with: ByteTokenizer(), contextLength: 9)
        #expect(Array(training) == Array(0..<90))
        #expect(Array(validation) == Array(90..<100))
        #expect(training.storage == .uint16((0..<90).map(UInt16.init)))
        #expect(try corpus.split(with: ByteTokenizer(), contextLength: 99, trainingFraction: 1).validation.isEmpty)
    }

    @Test func aCorpusShorterThanTheContextIsRefusedWithBothNumbers() {
        let corpus = TextCorpus(texts: [String(repeating: "a", count: 100)])
        #expect(throws: TextCorpusError.shorterThanContext(part: "validation", tokens: 10, needed: 11)) {
            try corpus.split(with: ByteTokenizer(), contextLength: 10)
        }
        #expect(throws: TextCorpusError.shorterThanContext(part: "training", tokens: 90, needed: 101)) {
            try corpus.split(with: ByteTokenizer(), contextLength: 100)
        }
        #expect(
            TextCorpusError.shorterThanContext(part: "training", tokens: 90, needed: 101).description
                == "the training part of the corpus has 90 tokens, the context needs at least 101; give more text or a shorter context")
    }

    @Test func filesAreJoinedByTheEndOfText() throws {
        let corpus = TextCorpus(texts: ["ab", "c"])
        #expect(try corpus.tokens(with: ByteTokenizer()) == [97, 98, 99])
        let tokenizer = try BPETokenizer.train(corpus: "x", vocabularySize: 257, specialTokens: ["<|endoftext|>"])
        #expect(try corpus.tokens(with: tokenizer).filter { $0 == 0 }.count == 2)
        #expect(throws: TokenizerError.unknownCharacter("c", offset: 0)) { try corpus.tokens(with: CharacterTokenizer(corpus: "ab")) }
    }

    @Test func greatVocabulariesTakeFourBytes() {
        #expect(PackedTokens([65_535], vocabularySize: 65_536).storage == .uint16([65_535]))
        #expect(PackedTokens([65_536], vocabularySize: 65_537).storage == .int32([65_536]))
    }
}
