import Foundation
import NN
import SequenceModels
import TestSupport
import Testing
import Torch
import Training

@testable import Efficiency

/// Folders of compressed models: written, read again, multiplied out, and refused.
@Suite(.ownRandomNumbers) struct CompressedModelTests {
    private let tokens: Tensor = Tensor((0..<24).map { ($0 * $0 + 3 * $0) % 20 }, [2, 12])
    private static let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: "abcdefghijklmnopqrst")

    static func models() throws -> [any CausalLanguageModel] {
        let llama: LlamaConfiguration = try LlamaConfiguration(
            vocabularySize: 20, dimensions: 32, hiddenDimensions: 48, layers: 2, heads: 4, keyValueHeads: 2)
        let gpt2: GPT2Configuration = try GPT2Configuration(vocabularySize: 20, dimensions: 32, layers: 2, heads: 4, maximumContext: 24)
        let language: LanguageModelConfiguration = try LanguageModelConfiguration(
            vocabularySize: 20, dimensions: 32, layers: 2, mixer: MixerConfiguration(.gla, heads: 2))
        let generator: RandomGenerator = RandomGenerator(seed: 0, device: .cpu)
        return [LlamaModel(llama, generator: generator), GPT2Model(gpt2, generator: generator), try LanguageModel(language)]
    }

    private func withCompressed(_ body: (_ source: URL, _ subject: CompressedModel) throws -> Void) throws {
        for model in try Self.models() {
            try TestPaths.withTemporaryFolder { folder in
                try PretrainedModel(model: model, tokenizer: Self.tokenizer).save(to: folder)
                var subject: CompressedModel = try CompressedModel.load(from: folder)
                _ = try subject.compress([QuantizeStep(bits: 4, groupSize: 16)], context: CompressionContext())
                try body(folder, subject)
            }
        }
    }

    private func logits(_ model: Module) throws -> Tensor {
        let language: any CausalLanguageModel = try #require(model as? any CausalLanguageModel)
        return noGrad { language(tokens) }
    }

    @Test(arguments: [nil, 4000]) func aFolderHoldsTheCompressedModel(mostShardBytes: Int?) throws {
        try withCompressed { _, subject in
            try TestPaths.withTemporaryFolder { folder in
                try subject.save(to: folder, mostShardBytes: mostShardBytes)
                let read: CompressedModel = try CompressedModel.load(from: folder)
                #expect(try logits(read.model).isEqual(to: logits(subject.model)))
                #expect(read.model.compressedLayers.map(\.path) == subject.denseOrCompressedPaths)
                #expect(read.history == ["quantize: 4 bits in groups of 16, rtn"])
                let evaluated: PretrainedModel = try CompressedModel.languageModel(from: folder)
                #expect(try logits(evaluated.model).isEqual(to: logits(subject.model)))
                #expect(throws: DataFormatError.self) { try PretrainedModel.load(from: folder) }
            }
        }
    }

    @Test func bytesAreThoseOfThePackedCodes() throws {
        try withCompressed { source, subject in
            try TestPaths.withTemporaryFolder { folder in
                try subject.save(to: folder)
                for case let (_, layer as QuantizedLinear) in subject.model.compressedLayers {
                    let (inputs, outputs): (Int, Int) = (layer.inputDimensions, layer.outputDimensions)
                    let groups: Int = (inputs + 15) / 16
                    #expect(
                        layer.byteCount
                            == outputs * (inputs / 2 + 2 * groups + (groups + 15) / 16 * 8) + (layer.bias == nil ? 0 : 4 * outputs))
                }
                let disk: Int = CompressedModel.bytesOnDisk(folder)
                #expect(disk > subject.bytes && disk < subject.bytes + 12_000, "\(disk) for \(subject.bytes)")
                #expect(subject.bytes < (try CompressedModel.load(from: source)).bytes / 2)
            }
        }
    }

    @Test func whatIsMultipliedOutIsADenseModelAgain() throws {
        try withCompressed { source, subject in
            let expected: Tensor = try logits(subject.model)
            #expect(subject.multiplyOut().isEmpty)
            try TestPaths.withTemporaryFolder { folder in
                try subject.save(to: folder)
                let dense: PretrainedModel = try PretrainedModel.load(from: folder)
                #expect(try logits(dense.model).isClose(to: expected, relative: 1e-5, absolute: 1e-6))
                let before: [String: Tensor] = try loadTensors(source)
                let after: [String: Tensor] = try loadTensors(folder)
                #expect(before.mapValues(\.shape) == after.mapValues(\.shape))
            }
        }
    }

    @Test func tensorsKeepTheirTypeOnDisk() throws {
        let model: any CausalLanguageModel = try Self.models()[0]
        model.to(dtype: .bfloat16)
        try TestPaths.withTemporaryFolder { folder in
            try PretrainedModel(model: model, tokenizer: Self.tokenizer).save(to: folder)
            let output: URL = folder.appendingPathComponent("out")
            var subject: CompressedModel = try CompressedModel.load(from: folder)
            _ = try subject.compress([QuantizeStep()], context: CompressionContext())
            try subject.save(to: output)
            let tensors: [String: Tensor] = try loadTensors(output)
            #expect(tensors["model.embed_tokens.weight"]?.dtype == .bfloat16)
            #expect(tensors["model.layers.0.mlp.up_proj.scales"]?.dtype == .float16)
        }
    }

    @Test func descriptionsThatDoNotFitAreRefused() throws {
        try withCompressed { _, subject in
            try TestPaths.withTemporaryFolder { folder in
                try subject.save(to: folder)
                let file: URL = folder.appendingPathComponent("config.json")
                let text: String = try String(contentsOf: file, encoding: .utf8)
                func complaint(_ old: String, _ new: String) throws -> String {
                    #expect(text.contains(old), "\(old)")
                    try Data(text.replacingOccurrences(of: old, with: new).utf8).write(to: file)
                    do {
                        _ = try CompressedModel.load(from: folder)
                        return "nothing"
                    } catch {
                        return "\(error)"
                    }
                }
                #expect(try complaint("\"kind\" : \"quantized\"", "\"kind\" : \"magic\"").contains("kind magic is not known"))
                #expect(try complaint("\"bits\" : 4", "\"bits\" : 5").contains("it has to be 2, 3, 4 or 8"))
                #expect(try complaint("\"bits\" : 4", "\"bits\" : 8").contains("does not fit"))
                #expect(try complaint("\"bits\" : 4", "\"bits\" : \"x\"").contains("its configuration"))
                #expect(try complaint("\"groupSize\" : 16", "\"groupSize\" : 9223372036854775807").contains("group size"))
                #expect(try complaint(".0.", ".7.").contains("no such layer"))
                #expect(try complaint("\"version\" : 1", "\"version\" : 2").contains("version has to be 1"))
                #expect(try complaint("\"quant_method\" : \"linnet\"", "\"quant_method\" : \"gptq\"").contains("of others cannot be read"))
            }
        }
    }

    @Test func aPretrainedModelIsNotWrittenWithCompressedLayers() throws {
        try withCompressed { _, subject in
            let language: any LayeredLanguageModel = try #require(subject.languageModel)
            _ = try TestPaths.withTemporaryFolder { folder in
                #expect(throws: ConfigurationError.self) {
                    try PretrainedModel(model: language, tokenizer: Self.tokenizer).save(to: folder)
                }
            }
        }
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: TestPaths.fixtures.path), "needs the fixtures"))
    func anEncoderIsCompressedToo() throws {
        var subject: CompressedModel = try CompressedModel.load(from: TestPaths.fixtures.appendingPathComponent("hf_bert_tiny"))
        let report: CompressionReport = try subject.compress([QuantizeStep(bits: 8, groupSize: 32)], context: CompressionContext())
        #expect(report.steps[0].choices.count == 6 * subject.blockPaths.count)
        try TestPaths.withTemporaryFolder { folder in
            try subject.save(to: folder)
            let read: BertModel = try #require(CompressedModel.load(from: folder).model as? BertModel)
            let written: BertModel = try #require(subject.model as? BertModel)
            let tokens: Tensor = Tensor([2, 7, 9, 3], [1, 4])
            #expect(noGrad { read(tokens).meanPooled }.isEqual(to: noGrad { written(tokens).meanPooled }))
        }
    }
}

extension CompressedModel {
    /// Paths of the layers that `denseLinearMaps` had before they were quantised.
    fileprivate var denseOrCompressedPaths: [String] { model.compressedLayers.map(\.path) }
}
