import Foundation
import TestSupport
import Testing
import Training

@testable import Experiments

@Suite(.ownRandomNumbers) struct WordCorpusTests {
    @Test func wordsAndLineEndsAreTokens() {
        let corpus: WordCorpus = WordCorpus(training: "a b a\n \n c\ta", validation: "b d\r\n")
        #expect(Array(corpus.training) == [0, 1, 0, 2, 2, 3, 0, 2])
        #expect(Array(corpus.validation) == [1, 4, 2])
        #expect(corpus.vocabularySize == 5)
        let known: WordCorpus = WordCorpus(training: "<unk> a\n", validation: "z a\n")
        #expect(Array(known.validation) == [0, 1, 2] && known.vocabularySize == 3)
        #expect(WordCorpus.words(of: "").isEmpty && WordCorpus.words(of: "\n") == ["<eos>"])
    }

    static let wikitext: String? = [DataDirectory.standard, DataDirectory.testFallback].compactMap {
        try? $0?.locate("wikitext-2", file: "valid.txt")
    }.first

    /// The number of tokens that the set's description has for its validation part.
    @Test(.enabled(if: wikitext != nil, "needs the data set wikitext-2; set LINNET_DATA"))
    func theValidationPartOfWikiTextHasItsNumberOfTokens() throws {
        let text: String = try String(contentsOfFile: try #require(Self.wikitext), encoding: .utf8)
        #expect(WordCorpus.words(of: text).count == 217_646)
    }

    @Test func whatIsMissingIsNamed() throws {
        try TestPaths.withTemporaryFolder { folder in
            let data: DataDirectory = DataDirectory(folder.path)
            let set: URL = folder.appendingPathComponent("wikitext-2")
            try FileManager.default.createDirectory(at: set, withIntermediateDirectories: true)
            func complaint() -> String {
                #expect(throws: (any Error).self) { try WordCorpus(context: 4, data: data) }.map { "\($0)" } ?? ""
            }
            try Data("a b c\n".utf8).write(to: set.appendingPathComponent("valid.txt"))
            #expect(complaint().contains("train.txt is missing") && complaint().contains("linnet data fetch wikitext-2"))
            try Data("a b c d\n".utf8).write(to: set.appendingPathComponent("train.txt"))
            #expect(complaint().contains("the validation part of the corpus has 4 tokens"))
        }
    }
}
