import Foundation
import TestSupport
import Testing

@testable import Training

@Suite(.ownRandomNumbers) struct StreamingDecoderTests {
    /// Random ids, so that characters break off and bytes do not fit, in tokenizers whose decoders work in different ways.
    @Test(.enabled(if: TextTestFiles.hasFixtures, "no tokenizer fixtures: set LINNET_FIXTURES"), arguments: TextTestFiles.fixtures)
    func piecesJoinedAreTheWhole(folder: URL) throws { try expectPiecesJoin(try loadTokenizer(from: folder)) }

    @Test func piecesOfBytesJoinedAreTheWhole() throws { try expectPiecesJoin(ByteTokenizer()) }

    @Test func piecesJoinWithByteFallback() throws {
        let byteTokens = (0..<256).map { "\"<0x\($0 < 16 ? "0" : "")\(String($0, radix: 16, uppercase: true))>\":\($0 + 3)" }
        let json = """
            {"model": {"type": "BPE", "vocab": {"▁": 0, "a": 1, "▁a": 2, \(byteTokens.joined(separator: ","))}, "merges": ["▁ a"],
             "byte_fallback": true}, "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
             {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]}}
            """
        let tokenizer = try BPETokenizer(json: Data(json.utf8))
        try expectPiecesJoin(tokenizer)
        #expect(tokenizer.decode([0, 2, 0]) == " a ")
        #expect(tokenizer.decode([0xC3 + 3, 0xA9 + 3, 1]) == "éa")
        #expect(tokenizer.decode([0xC3 + 3, 0xA9 + 3, 0xC3 + 3]) == "\u{FFFD}\u{FFFD}\u{FFFD}")
    }

    private func expectPiecesJoin(_ tokenizer: some Tokenizer) throws {
        var random = SeededGenerator(seed: 6)
        for _ in 0..<1000 {
            let ids = (0..<Int.random(in: 0...16, using: &random)).map { _ in Int.random(in: -1...tokenizer.vocabularySize, using: &random)
            }
            var decoder = tokenizer.streamingDecoder()
            var bytes: [UInt8] = []
            for id in ids { bytes += decoder.append(id).utf8 }
            bytes += decoder.finish().utf8
            #expect(bytes == Array(tokenizer.decode(ids).utf8), "\(ids)")
        }
    }

    @Test func aCharacterComesOutWhenItIsComplete() {
        var decoder = ByteTokenizer().streamingDecoder()
        let pieces = Array("a😀b".utf8).map { decoder.append(Int($0)) }
        #expect(pieces == ["a", "", "", "", "😀", "b"])
        #expect(decoder.finish() == "")
    }

    @Test func whatCannotBecomeACharacterIsReplacedAtOnce() {
        var decoder = ByteTokenizer().streamingDecoder()
        #expect(decoder.append(0xF0) == "")
        #expect(decoder.append(0x41) == "\u{FFFD}A")
        #expect(decoder.append(0xE2) == "")
        #expect(decoder.finish() == "\u{FFFD}")
    }
}
