import Foundation
import TestSupport
import Testing

@testable import Training

@Suite(.ownRandomNumbers) struct SimpleTokenizerTests {
    @Test func bytesAreIds() throws {
        let tokenizer = ByteTokenizer()
        #expect(tokenizer.vocabularySize == 256)
        #expect(tokenizer.encode("aé") == [0x61, 0xC3, 0xA9])
        #expect(tokenizer.pipeline.encode("aé \n\u{0}") == tokenizer.encode("aé \n\u{0}"))
        for text in OddTexts.make(300, seed: 7).map({ String(decoding: $0, as: UTF8.self) }) {
            #expect(Array(tokenizer.decode(tokenizer.encode(text)).utf8) == Array(text.utf8))
        }
        #expect(tokenizer.decode([-1, 256, Int.max, Int.min, 0x61]) == "a")
    }

    @Test func charactersAreSorted() throws {
        let tokenizer = CharacterTokenizer(corpus: "banana é")
        #expect(tokenizer.vocabularySize == 5)
        #expect(tokenizer.encode("ban é") == [2, 1, 3, 0, 4])
        #expect(tokenizer.decode([2, 1, 3, 0, 4]) == "ban é")
    }

    @Test func unknownCharactersAreNamed() throws {
        let strict = CharacterTokenizer(corpus: "abcé")
        #expect(throws: TokenizerError.unknownCharacter("z", offset: 3)) { try strict.encode(validating: "éazb") }
        #expect(
            TokenizerError.unknownCharacter("z", offset: 3).description == "the vocabulary has no token for U+007A at byte 3 of the text")
        #expect(strict.encode("azb") == [0, 1])
        #expect(try strict.encode(validating: "abc") == [0, 1, 2])
    }

    @Test func unknownCharactersGetTheUnknownToken() throws {
        let tokenizer = CharacterTokenizer(corpus: "ab", unknownToken: "<unk>")
        #expect(tokenizer.unknownID == 2)
        #expect(try tokenizer.encode(validating: "axyb") == [0, 2, 2, 1])
        #expect(tokenizer.decode([0, 2, 1]) == "ab")
    }

    /// "é" as one scalar and as two are equal as Swift strings and must stay two entries.
    @Test func canonicallyEquivalentTextsStayApart() throws {
        let tokenizer = CharacterTokenizer(corpus: "\u{E9}e\u{301}\u{212B}\u{C5}")
        #expect(tokenizer.vocabularySize == 5)
        #expect(tokenizer.encode("\u{E9}") != tokenizer.encode("e\u{301}"))
        let json = #"{"model": {"type": "BPE", "vocab": {"\u00e9": 0, "e\u0301": 1, "e": 2, "\u0301": 3}, "merges": [["e", "\u0301"]]}}"#
        let pairs = try BPETokenizer(json: Data(json.utf8))
        #expect(pairs.encode("\u{E9}") == [0])
        #expect(pairs.encode("e\u{301}") == [1])
        #expect(pairs.id(forToken: "e\u{301}") == 1)
        #expect(Array(pairs.decode([1]).unicodeScalars) == ["e", "\u{301}"])
    }

    @Test(arguments: [
        ByteTokenizer() as any Tokenizer, CharacterTokenizer(corpus: "a \u{E9}e\u{301}\n\"\\"),
        CharacterTokenizer(corpus: "ab", unknownToken: "<unk>"),
    ])
    func savedAndLoadedIsTheSame(tokenizer: any Tokenizer) throws {
        try TestPaths.withTemporaryFolder { folder in
            try tokenizer.save(to: folder)
            let loaded = try loadTokenizer(from: folder)
            #expect(type(of: loaded) == type(of: tokenizer))
            #expect(loaded.jsonData() == tokenizer.jsonData())
            #expect(loaded.vocabularySize == tokenizer.vocabularySize)
            #expect(loaded.encode("a e\u{301}\u{E9}b") == tokenizer.encode("a e\u{301}\u{E9}b"))
            #expect((loaded as? CharacterTokenizer)?.unknownID == (tokenizer as? CharacterTokenizer)?.unknownID)
        }
    }

    @Test(.enabled(if: PythonTokenizers.isAvailable, "\(PythonTokenizers.missing)"))
    func pythonReadsThem() throws {
        let texts = OddTexts.make(300, seed: 8)
        let corpus = String(decoding: texts.prefix(100).joined(), as: UTF8.self)
        let tokenizers: [any Tokenizer] = [
            ByteTokenizer(), CharacterTokenizer(corpus: corpus), CharacterTokenizer(corpus: corpus, unknownToken: "<unk>"),
        ]
        for tokenizer in tokenizers {
            try TestPaths.withTemporaryFolder { folder in
                try tokenizer.save(to: folder)
                try expectAgreement([folder.appendingPathComponent("tokenizer.json")], texts)
            }
        }
    }

    @Test(.enabled(if: TextTestFiles.hasFixtures, "no tokenizer fixtures: set LINNET_FIXTURES"))
    func pairsOfTextsAreSegments() throws {
        let tokenizer = try WordPieceTokenizer(contentsOf: TextTestFiles.fixtures[2])
        let (ids, typeIDs) = tokenizer.encode("the fox", pairedWith: "fox")
        #expect(ids == [2, 76, 120, 65, 3, 120, 65, 3])
        #expect(typeIDs == [0, 0, 0, 0, 0, 1, 1, 1])
    }
}
