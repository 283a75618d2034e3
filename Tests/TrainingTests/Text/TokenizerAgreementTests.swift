import Foundation
import TestSupport
import Testing

@testable import Training

/// Ids and texts are those of the Python package, on ten thousand odd texts and on tokenizers of every kind.
@Suite(.ownRandomNumbers) struct TokenizerAgreementTests {
    private struct Sample: Decodable {
        let text: String
        let ids: [Int]
        let tokens: [String]
        let decoded: String
    }

    @Test(.enabled(if: TextTestFiles.hasFixtures, "no tokenizer fixtures: set LINNET_FIXTURES"), arguments: TextTestFiles.fixtures)
    func fixtureSamples(folder: URL) throws {
        let tokenizer = try loadTokenizer(from: folder)
        let samples = try JSONDecoder().decode(
            [Sample].self, from: Data(contentsOf: folder.appendingPathComponent("tokenizer_samples.json")))
        #expect(samples.count >= 4)
        for sample in samples {
            #expect(tokenizer.encode(sample.text) == sample.ids)
            #expect(sample.ids.map { tokenizer.token(forID: $0) } == sample.tokens)
            #expect(sample.tokens.map { tokenizer.id(forToken: $0) } == sample.ids)
            #expect(tokenizer.decode(sample.ids) == sample.decoded)
        }
    }

    @Test(
        .enabled(if: TextTestFiles.hasFixtures && PythonTokenizers.isAvailable, "\(PythonTokenizers.missing), or no fixtures"),
        arguments: TextTestFiles.fixtures)
    func fixturesOnOddTexts(folder: URL) throws {
        try expectAgreement([folder.appendingPathComponent("tokenizer.json")], OddTexts.make(10_000, seed: 1))
    }

    @Test(.enabled(if: TextTestFiles.hasShakespeare && PythonTokenizers.isAvailable, "\(PythonTokenizers.missing), or no tinyshakespeare"))
    func tokenizersOfEveryKind() throws {
        try TestPaths.withTemporaryFolder { folder in
            try PythonTokenizers.makeVariants(corpus: TextTestFiles.shakespeare, in: folder)
            let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            #expect(files.count == 37)
            try expectAgreement(files, OddTexts.make(400, seed: 2))
        }
    }

    /// Whatever is read is written unchanged, and the reader in Python reads it.
    @Test(
        .enabled(if: TextTestFiles.hasFixtures && PythonTokenizers.isAvailable, "\(PythonTokenizers.missing), or no fixtures"),
        arguments: TextTestFiles.fixtures)
    func savedCopyAgrees(folder: URL) throws {
        try TestPaths.withTemporaryFolder { copy in
            try loadTokenizer(from: folder).save(to: copy)
            try expectAgreement([copy.appendingPathComponent("tokenizer.json")], OddTexts.make(200, seed: 3))
            let original = try TokenizerPipeline(contentsOf: folder)
            #expect(try TokenizerPipeline(contentsOf: copy).document == original.document)
        }
    }
}

/// Checks tokenizer files against the Python package: ids and text of texts, and the text of random ids, which make byte sequences
/// that no text makes.
func expectAgreement(_ files: [URL], _ texts: [[UInt8]]) throws {
    var random = SeededGenerator(seed: 4)
    let idLists = (0..<200).map { _ in (0..<Int.random(in: 1...12, using: &random)).map { _ in Int.random(in: 0...1100, using: &random) } }
    let answers = try PythonTokenizers.answers(texts: texts, idLists: idLists, files: files)
    for (file, answer) in zip(files, answers) {
        let tokenizer = try loadTokenizer(from: file)
        let found = texts.map { line(tokenizer, $0) } + idLists.map { hexadecimal(tokenizer.decode($0).utf8) }
        let differing = found.indices.filter { found[$0] != answer[$0] }
        guard let first = differing.first else { continue }
        let input = first < texts.count ? hexadecimal(texts[first]) : "\(idLists[first - texts.count])"
        Issue.record("\(file.path): \(differing.count) differ, the first \(input): \(found[first]), Python \(answer[first])")
    }
}

private func line(_ tokenizer: any Tokenizer, _ text: [UInt8]) -> String {
    let ids = tokenizer.encode(String(decoding: text, as: UTF8.self))
    return PythonTokenizers.line(
        ids: ids, text: tokenizer.decode(ids), textWithSpecialTokens: tokenizer.decode(ids, skippingSpecialTokens: false))
}
