import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

/// What is compressed and multiplied out gives the same outputs in Python's transformers.
@Suite(
    .ownRandomNumbers,
    .enabled(if: PythonPeer.has("torch", "transformers"), "needs the Python packages torch and transformers: make test installs them")
)
struct TransformersAgreementTests {
    private static let tokens: [Int] = [2, 7, 9, 3, 11, 4, 6, 5]

    private static let script: String = """
        import json, sys, warnings
        warnings.filterwarnings("ignore")
        import torch, transformers
        from transformers import AutoModel, AutoModelForCausalLM
        transformers.logging.set_verbosity_error()
        torch.set_num_threads(1)
        kind = AutoModel if sys.argv[2] == "encoder" else AutoModelForCausalLM
        model = kind.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
        with torch.no_grad():
            found = model(torch.tensor([json.loads(sys.argv[3])]))
        values = found.last_hidden_state if sys.argv[2] == "encoder" else found.logits
        print(json.dumps(values.double().flatten().tolist()))
        """

    /// - Parameter output: of Linnet's model, `[1, T, D]`.
    private func agree(_ subject: CompressedModel, _ kind: String, _ output: (Tensor) throws -> Tensor) throws {
        #expect(!subject.model.compressedLayers.isEmpty)
        let input: Tensor = Tensor(Self.tokens, [1, Self.tokens.count])
        let expected: [Double] = try noGrad { try output(input).asType(.float64).flattened().array(Double.self) }
        #expect(subject.multiplyOut().isEmpty)
        try TestPaths.withTemporaryFolder { folder in
            try subject.save(to: folder)
            let printed: String = try PythonPeer.run(
                Self.script, folder.path, kind, String(decoding: JSONEncoder().encode(Self.tokens), as: UTF8.self))
            let found: [Double] = try JSONDecoder().decode([Double].self, from: Data(printed.utf8))
            try #require(found.count == expected.count)
            let gap: Double = zip(found, expected).map { abs($0 - $1) }.max() ?? .infinity
            #expect(gap < 1e-4, "\(gap)")
        }
    }

    /// A Llama and a GPT-2.
    @Test(arguments: [0, 1]) func languageModels(index: Int) throws {
        try TestPaths.withTemporaryFolder { folder in
            let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: "abcdefghijklmnopqrst")
            try PretrainedModel(model: CompressedModelTests.models()[index], tokenizer: tokenizer).save(to: folder)
            var subject: CompressedModel = try CompressedModel.load(from: folder)
            _ = try subject.compress([WeLoreStep(reduction: 0.6), QuantizeStep(bits: 4, groupSize: 16)], context: CompressionContext())
            let model: any CausalLanguageModel = try #require(subject.languageModel)
            try agree(subject, "language") { model($0) }
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: TestPaths.fixtures.path), "needs the fixtures"))
    func encoders() throws {
        var subject: CompressedModel = try CompressedModel.load(from: TestPaths.fixtures.appendingPathComponent("hf_bert_tiny"))
        _ = try subject.compress([QuantizeStep(bits: 8, groupSize: 32)], context: CompressionContext())
        let model: BertModel = try #require(subject.model as? BertModel)
        try agree(subject, "encoder") { try #require(model($0).hiddenStates.last) }
    }
}
