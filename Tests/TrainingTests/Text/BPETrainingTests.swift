import Foundation
import TestSupport
import Testing

@testable import Training

@Suite(.ownRandomNumbers) struct BPETrainingTests {
    @Test(
        .enabled(if: TextTestFiles.hasShakespeare && PythonTokenizers.isAvailable, "\(PythonTokenizers.missing), or no tinyshakespeare"),
        arguments: [(512, 0, 10_000), (1000, 2, 500)])
    func mergesArePythonsOnShakespeare(vocabularySize: Int, minimumFrequency: Int, texts: Int) throws {
        try TestPaths.withTemporaryFolder { folder in
            let special = ["<|endoftext|>", "<|pad|>"]
            let theirs = folder.appendingPathComponent("python.json")
            try PythonTokenizers.train(
                corpus: TextTestFiles.shakespeare, vocabularySize: vocabularySize, minimumFrequency: minimumFrequency,
                specialTokens: special,
                to: theirs)
            let text = try TextCorpus(contentsOf: [TextTestFiles.shakespeare]).texts[0]
            let ours = try BPETokenizer.train(
                corpus: text, vocabularySize: vocabularySize, minimumFrequency: minimumFrequency, specialTokens: special)
            try expectSameModel(ours, theirs, vocabularySize: vocabularySize)
            try ours.save(to: folder)
            try expectAgreement([folder.appendingPathComponent("tokenizer.json")], OddTexts.make(texts, seed: 5))
            let sample = String(text.prefix(100_000))
            #expect(ours.decode(ours.encode(sample)) == sample)
        }
    }

    /// Few letters make many ties, and tokens that can be put together in two ways.
    @Test(.enabled(if: PythonTokenizers.isAvailable, "\(PythonTokenizers.missing)"), arguments: 0..<6)
    func tiesAreBrokenAsInPython(seed: UInt64) throws {
        try TestPaths.withTemporaryFolder { folder in
            var random = SeededGenerator(seed: seed)
            let letters: [Character] = seed % 2 == 0 ? ["a", "b", " "] : ["a", "b", "é", "c", "'", "1", " ", "\n"]
            let text = String((0..<3000).map { _ in letters.randomElement(using: &random)! })
            let (corpus, theirs) = (folder.appendingPathComponent("corpus.txt"), folder.appendingPathComponent("python.json"))
            try text.write(to: corpus, atomically: true, encoding: .utf8)
            // A special token in the way of a merge: "ab" has an id before any pair is merged.
            try PythonTokenizers.train(corpus: corpus, vocabularySize: 450, minimumFrequency: 0, specialTokens: ["ab", "<s>"], to: theirs)
            let ours = try BPETokenizer.train(corpus: text, vocabularySize: 450, specialTokens: ["ab", "<s>"])
            try expectSameModel(ours, theirs, vocabularySize: nil)
        }
    }

    private func expectSameModel(_ ours: BPETokenizer, _ theirs: URL, vocabularySize: Int?) throws {
        let python = try BPETokenizer(contentsOf: theirs)
        let (own, other) = (JSONField(root: ours.pipeline.document), JSONField(root: python.pipeline.document))
        #expect(try own.required("model").required("merges").value == other.required("model").required("merges").value)
        #expect(try own.required("model").required("vocab").value == other.required("model").required("vocab").value)
        #expect(ours.specialTokens == python.specialTokens)
        if let vocabularySize { #expect(ours.vocabularySize == vocabularySize) }
    }

    @Test func textsAreApart() throws {
        let apart = try BPETokenizer.train(corpus: Array(repeating: "x", count: 50), vocabularySize: 300)
        #expect(apart.vocabularySize == 256)
        let together = try BPETokenizer.train(corpus: String(repeating: "x", count: 50), vocabularySize: 300)
        #expect(together.encode("xxxx").count < 4)
    }

    @Test func rarePairsStaySeparate() throws {
        let tokenizer = try BPETokenizer.train(corpus: "abc abc xyz", vocabularySize: 300, minimumFrequency: 2)
        #expect(tokenizer.encode("abc").count == 1)
        #expect(tokenizer.encode("xyz").count == 3)
    }

    @Test func specialTokensComeFirstAndEndTheText() throws {
        let tokenizer = try BPETokenizer.train(corpus: "abab", vocabularySize: 260, specialTokens: ["<pad>", "<|endoftext|>"])
        #expect(tokenizer.endOfTextID == 1)
        #expect(tokenizer.encode("a<pad>b").contains(0))
        #expect(tokenizer.decode(tokenizer.encode("a<pad>b")) == "ab")
        #expect(tokenizer.decode(tokenizer.encode("a<pad>b"), skippingSpecialTokens: false) == "a<pad>b")
    }

    @Test func progressReachesTheGoal() throws {
        var reports: [(size: Int, goal: Int)] = []
        _ = try BPETokenizer.train(corpus: "to be or not to be", vocabularySize: 262) { reports.append((size: $0, goal: $1)) }
        #expect(reports.last?.goal == 262)
        #expect(reports.last?.size == 262)
    }

    @Test(arguments: [["a", "a"], [""]])
    func badSpecialTokensAreRefused(tokens: [String]) {
        #expect(throws: TokenizerError.self) { try BPETokenizer.train(corpus: "text", vocabularySize: 300, specialTokens: tokens) }
    }
}
