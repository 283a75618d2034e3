import Foundation
import NN
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

/// Sentence embeddings: what a window is, what padding is, and the folders that are read or refused.
@Suite(.ownRandomNumbers) struct BertSentenceEncoderTests {
    private static let vocabulary: [String] = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "##a", "##b", "##c", "d"]

    private static func withFolder<Result>(
        vocabulary: [String] = vocabulary, context: Int = 12, _ body: (URL, BertModel) throws -> Result
    ) throws -> Result {
        let configuration: BertConfiguration = try BertConfiguration(
            vocabularySize: 11, dimensions: 8, hiddenDimensions: 12, layers: 2, heads: 2, maximumContext: context)
        let model: BertModel = TransformerTests.randomized(BertModel(configuration, hasPooler: false))
        model.to(dtype: .float32)
        return try TestPaths.withTemporaryFolder { folder in
            try JSONEncoder().encode(configuration).write(to: folder.appendingPathComponent("config.json"))
            try saveTensors(
                Dictionary(uniqueKeysWithValues: model.stateTensors()), to: folder.appendingPathComponent("model.safetensors"))
            try WordPieceDocument.make(vocabulary).write(to: folder.appendingPathComponent("tokenizer.json"))
            return try body(folder, model)
        }
    }

    private func unit(_ x: Tensor) -> Tensor { x / x.square().sum(axis: -1, keepDims: true).sqrt() }

    /// The mean over all tokens, with those around the text, of a text that is read alone.
    private func embedding(_ model: BertModel, _ ids: [Int]) -> Tensor {
        noGrad { unit(model(Tensor(ids, [1, ids.count])).hiddenStates[2].mean(axis: 1)) }
    }

    @Test func textsAreTheMeansOfTheirTokens() throws {
        try Self.withFolder { folder, model in
            let encoder: BertSentenceEncoder = try BertSentenceEncoder(directory: folder)
            #expect(encoder.dimensions == 8 && encoder.window == 12)
            // Longer than the file's cutting, and of different lengths, so that there is padding.
            let found: Tensor = encoder.encode(["ABC d ab", "d", "", "x ca"])
            let ids: [[Int]] = [[2, 4, 8, 9, 10, 4, 8, 3], [2, 10, 3], [2, 3], [2, 1, 6, 7, 3]]
            let expected: Tensor = concatenated(ids.map { embedding(model, $0) }, axis: 0)
            #expect(found.isClose(to: expected, relative: 1e-4, absolute: 1e-5))
            #expect(!found.requiresGrad && found.dtype == .float32)
            // Texts that differ lie apart, or nothing above would say anything.
            for (one, two) in [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] {
                #expect((found[one] - found[two]).abs().max().item(Double.self) > 1e-3, "texts \(one) and \(two)")
            }
            #expect(encoder.encode([]).shape == [0, 8])
        }
    }

    @Test func longTextsAreTheMeansOfTheirWindows() throws {
        try Self.withFolder { folder, model in
            let tokenizer: WordPieceTokenizer = try WordPieceTokenizer(contentsOf: folder, wholeTexts: true)
            let encoder: BertSentenceEncoder = try BertSentenceEncoder(model: model, tokenizer: tokenizer, window: 6)
            let found: Tensor = encoder.encode(["d", "a b c d a b c d d", "abcd"])
            let windows: [[Int]] = [[2, 4, 5, 6, 10, 3], [2, 4, 5, 6, 10, 3], [2, 10, 3]]
            let parts: [Tensor] = windows.map { embedding(model, $0) }
            let long: Tensor = unit((parts[0] + parts[1] + parts[2]) / 3)
            // "abcd" ends in no known piece: a single unknown token.
            let expected: Tensor = concatenated([parts[2], long, embedding(model, [2, 1, 3])], axis: 0)
            #expect(found.isClose(to: expected, relative: 1e-4, absolute: 1e-5))
            #expect(found.square().sum(axis: -1).isClose(to: .ones([3]), relative: 1e-5))
        }
    }

    @Test func manyTextsAreWhatEachIsAlone() throws {
        try Self.withFolder { folder, _ in
            let encoder: BertSentenceEncoder = try BertSentenceEncoder(directory: folder)
            let words: [String] = ["a", "bc", "d", "cab"]
            let texts: [String] = (0..<80).map { (index: Int) -> String in
                let chosen: [String] = (0..<(index * 7 % 30)).map { (place: Int) -> String in words[(place * place + index) % 4] }
                return chosen.joined(separator: " ")
            }
            let together: Tensor = encoder.encode(texts)
            for (index, text) in texts.enumerated() {
                #expect(together[index].isClose(to: encoder.encode([text])[0], relative: 1e-4, absolute: 1e-5), "\(text)")
            }
        }
    }

    private func complaint(
        _ vocabulary: [String] = vocabulary, context: Int = 12, _ change: (URL) throws -> Void = { _ in }
    ) throws -> String {
        try Self.withFolder(vocabulary: vocabulary, context: context) { (folder: URL, _: BertModel) throws -> String in
            try change(folder)
            do { _ = try BertSentenceEncoder(directory: folder) } catch {
                let text: String = "\(error)"
                #expect(text.contains(folder.path) && !text.contains("\n"), "\(text)")
                return text
            }
            return "no error"
        }
    }

    @Test func unfitFoldersAreErrorsOfOneLine() throws {
        #expect(try complaint() == "no error")
        #expect(try complaint(Self.vocabulary + ["e"]).contains("the tokenizer beside it has 12 tokens"))
        #expect(try complaint(context: 2).contains("the window of 2 tokens has no room for text beside the 2 around it"))
        let other: String = try complaint { folder in try CharacterTokenizer(corpus: "abc").save(to: folder) }
        #expect(other.contains("expected WordPiece"))
    }

    @Test(arguments: [
        (#"{"pooling_mode_mean_tokens": false, "pooling_mode_cls_token": true}"#, "only the mean of the tokens"),
        ("[", "is not a description of pooling"), (#"{"pooling_mode_mean_tokens": true}"#, "no error"),
    ]) func otherPoolingIsRefused(text: String, part: String) throws {
        let found: String = try complaint { folder in
            let pooling: URL = folder.appendingPathComponent("1_Pooling")
            try FileManager.default.createDirectory(at: pooling, withIntermediateDirectories: true)
            try Data(text.utf8).write(to: pooling.appendingPathComponent("config.json"))
        }
        #expect(found.contains(part), "\(found)")
    }

    @Test func aSavedEncoderIsTheSame() throws {
        try Self.withFolder { folder, _ in
            let encoder: BertSentenceEncoder = try BertSentenceEncoder(directory: folder)
            let copy: URL = folder.appendingPathComponent("copy")
            try encoder.save(to: copy)
            let texts: [String] = ["abc d", "d"]
            #expect(try BertSentenceEncoder(directory: copy).encode(texts).isEqual(to: encoder.encode(texts)))
        }
    }

    // MARK: A real encoder

    private static let realFolder: String? = ProcessInfo.processInfo.environment["LINNET_ENCODER"]

    /// A folder of all-MiniLM-L6-v2, read by Python's `tokenizers` and by BERT written out with torch.
    @Test(
        .enabled(if: realFolder != nil && PythonPeer.has("tokenizers", "torch", "safetensors"), "set LINNET_ENCODER to a folder"))
    func aRealEncoderAgreesWithPython() throws {
        let folder: String = try #require(Self.realFolder)
        let texts: [String] = [
            "A man is eating food.", "Someone eats a meal!", "Émigré naïve 中文 — 12.5%", "",
            String(repeating: "linear attention has a state of fixed size; ", count: 40),
        ]
        let text: String = try PythonPeer.run(Self.script, folder, String(decoding: JSONEncoder().encode(texts), as: UTF8.self))
        let rows: [[Float]] = try JSONDecoder().decode([[Float]].self, from: Data(text.utf8))
        let expected: Tensor = Tensor(rows.flatMap { $0 }, [texts.count, rows[0].count])
        let found: Tensor = try BertSentenceEncoder(directory: URL(fileURLWithPath: folder, isDirectory: true)).encode(texts)
        #expect((found - expected).abs().max().item(Double.self) < 1e-5)
        let cosines: [Float] = found.matmul(found.mT)[0].array()
        #expect(cosines[1] > 0.6 && cosines[4] < 0.2)
    }

    private static let script: String = """
        import json, sys, torch, torch.nn.functional as F
        from safetensors.torch import load_file
        from tokenizers import Tokenizer
        folder, texts = sys.argv[1], json.loads(sys.argv[2])
        w, c = load_file(folder + "/model.safetensors"), json.load(open(folder + "/config.json"))
        t = Tokenizer.from_file(folder + "/tokenizer.json")
        t.no_padding(); t.no_truncation()
        lin = lambda x, n: F.linear(x, w[n + ".weight"], w[n + ".bias"])
        norm = lambda x, n: F.layer_norm(x, x.shape[-1:], w[n + ".weight"], w[n + ".bias"], c["layer_norm_eps"])
        def read(ids):
            n = len(ids)
            x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:n]
            x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
            for i in range(c["num_hidden_layers"]):
                p = f"encoder.layer.{i}."
                q, k, v = [lin(x, p + "attention.self." + s).view(n, c["num_attention_heads"], -1).transpose(0, 1) for s in ["query", "key", "value"]]
                a = (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
                x = norm(x + lin(a.transpose(0, 1).reshape(n, -1), p + "attention.output.dense"), p + "attention.output.LayerNorm")
                x = norm(x + lin(F.gelu(lin(x, p + "intermediate.dense")), p + "output.dense"), p + "output.LayerNorm")
            return F.normalize(x.mean(0), dim=0)
        def embed(text):
            ids = t.encode(text, add_special_tokens=False).ids
            cls, sep = t.token_to_id("[CLS]"), t.token_to_id("[SEP]")
            parts = [ids[s:s + 254] for s in range(0, max(len(ids), 1), 254)]
            return F.normalize(torch.stack([read([cls] + p + [sep]) for p in parts]).mean(0), dim=0).tolist()
        print(json.dumps([embed(x) for x in texts]))
        """
}
