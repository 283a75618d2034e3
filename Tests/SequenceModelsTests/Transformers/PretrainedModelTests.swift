import Foundation
import NN
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

/// Folders in Hugging Face's format: written, read again, and refused.
@Suite(.ownRandomNumbers) struct PretrainedModelTests {
    private let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: "abcdefghijklmnopqrst")
    private let tokens: Tensor = Tensor((0..<24).map { ($0 * $0 + 3 * $0) % 20 }, [2, 12])

    private func models() throws -> [any CausalLanguageModel] {
        let scaling: RotaryScaling = .llama3(factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalContext: 16)
        let llamas: [LlamaModel] = try [
            TransformerTests.llama(), TransformerTests.llama(tied: true, bias: false, scaling: scaling),
            TransformerTests.llama(scaling: .linear(factor: 2)),
        ]
        let language: LanguageModel = try LanguageModel(
            LanguageModelConfiguration(vocabularySize: 20, dimensions: 16, layers: 1, mixer: MixerConfiguration(.liger, heads: 2)))
        return try llamas + [
            TransformerTests.gpt2(), TransformerTests.gpt2(tied: false), linearize(llamas[0], into: .gsa(slots: 3), window: 4, mix: 0.25),
            linearize(llamas[1], into: .learned), language,
        ]
    }

    @Test(arguments: [nil, 4000]) func aFolderHoldsTheWholeModel(mostShardBytes: Int?) throws {
        for model in try models() {
            model.to(dtype: .float32)
            model.train(false)
            try TestPaths.withTemporaryFolder { folder in
                try PretrainedModel(model: model, tokenizer: tokenizer).save(to: folder, mostShardBytes: mostShardBytes)
                let read: PretrainedModel = try PretrainedModel.load(from: folder)
                #expect(type(of: read.model) == type(of: model))
                #expect(noGrad { read.model(tokens) }.isEqual(to: noGrad { model(tokens) }), "\(type(of: model))")
                #expect(read.tokenizer.encode("abc") == [0, 1, 2])
                if let llama = model as? LlamaModel {
                    #expect((read.model as? LlamaModel)?.configuration == llama.configuration)
                    #expect(read.endOfTextIDs == [3, 7])
                }
            }
        }
    }

    @Test func adaptersAreReadWithTheModel() throws {
        let student: LigerLM = try linearize(try TransformerTests.llama(), into: .gla, window: 4)
        student.to(dtype: .float32)
        LigerTraining.adapt(student, try LoRAConfiguration(rank: 2))
        for (_, layer) in student.adaptedLayers { Initializer.normal().fill(layer.up) }
        try TestPaths.withTemporaryFolder { folder in
            try PretrainedModel(model: student, tokenizer: tokenizer).save(to: folder)
            let read: any CausalLanguageModel = try PretrainedModel.load(from: folder).model
            #expect(read.adaptedLayers.count == 6)
            #expect(noGrad { read(tokens) }.isClose(to: noGrad { student(tokens) }, relative: 1e-5, absolute: 1e-5))
            student.fuseLoRA()
            try PretrainedModel(model: student, tokenizer: tokenizer).save(to: folder)
            let fused: any CausalLanguageModel = try PretrainedModel.load(from: folder).model
            #expect(fused.adaptedLayers.isEmpty)
            #expect(noGrad { fused(tokens) }.isEqual(to: noGrad { student(tokens) }))
        }
    }

    @Test func aModelWithoutAFormatIsNotWritten() throws {
        let model: LlamaModel = try withLearnedFeatures(try TransformerTests.llama(), window: 4)
        try TestPaths.withTemporaryFolder { folder in
            let error: ConfigurationError? = #expect(throws: ConfigurationError.self) {
                try PretrainedModel(model: model, tokenizer: tokenizer).save(to: folder)
            }
            #expect(error?.description.contains("no file format") == true)
        }
    }

    /// What older and other checkpoints have beside the weights.
    @Test func superfluousTensorsArePassedOver() throws {
        for (model, extra) in try [
            (
                TransformerTests.llama(tied: true) as any CausalLanguageModel,
                ["model.layers.0.self_attn.rotary_emb.inv_freq", "lm_head.weight"]
            ),
            (TransformerTests.gpt2(), ["transformer.h.0.attn.bias", "transformer.h.1.attn.masked_bias", "lm_head.weight"]),
        ] {
            model.to(dtype: .float32)
            try TestPaths.withTemporaryFolder { folder in
                try PretrainedModel(model: model, tokenizer: tokenizer).save(to: folder)
                var tensors: [String: Tensor] = Dictionary(uniqueKeysWithValues: model.stateTensors())
                for name in extra { tensors[name] = .zeros([3]) }
                try saveTensors(tensors, to: folder.appendingPathComponent("model.safetensors"))
                let expected: Tensor = noGrad { model(tokens) }
                #expect(try noGrad { try PretrainedModel.load(from: folder).model(tokens) }.isEqual(to: expected))
                guard model is GPT2Model else { return }
                let bare: [(String, Tensor)] = tensors.map { ($0.hasPrefix("transformer.") ? String($0.dropFirst(12)) : $0, $1) }
                try saveTensors(Dictionary(uniqueKeysWithValues: bare), to: folder.appendingPathComponent("model.safetensors"))
                #expect(try noGrad { try PretrainedModel.load(from: folder).model(tokens) }.isEqual(to: expected), "without the prefix")
            }
        }
    }

    @Test(arguments: [
        (["hidden_size": "0"], "hidden_size is 0"), (["hidden_size": "\"x\""], "hidden_size"),
        (["hidden_size": "1000000000000"], "at most"), (["vocab_size": "16000000"], "the checkpoint beside it has"),
        (["num_hidden_layers": "4000"], "the checkpoint beside it has"), (["num_hidden_layers": "1"], "does not fit the model"),
        (["num_attention_heads": "null"], "num_attention_heads"), (["num_key_value_heads": "3"], "has to divide it"),
        (["head_dim": "5"], "even number"), (["hidden_act": "\"magic\""], "the activation magic is not supported"),
        (["rms_norm_eps": "-1"], "rms_norm_eps"), (["rope_theta": "0"], "rope_theta"),
        (["rope_scaling": #"{"rope_type": "yarn", "factor": 4}"#], "type yarn is not supported"),
        (["rope_scaling": #"{"type": "linear"}"#], "factor has to be a number above 0"),
        (["rope_scaling": #"{"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1}"#], "above low_freq_factor"),
        (["rope_parameters": #"{"rope_theta": 10000, "partial_rotary_factor": 0.5}"#], "partial_rotary_factor"),
        (["quantization_config": "{}"], "quantized checkpoints"), (["model_type": "\"mamba\""], "model_type mamba is not supported"),
        (["model_type": "\"linnet_liger\""], "linnet"), (["model_type": "\"gpt2\""], "n_embd is missing"),
        (["model_type": "\"linnet_liger\"", "linnet": #"{"gate": "magic", "window": 4, "mix": 0.5}"#], "gate"),
        (["model_type": "\"linnet_liger\"", "linnet": #"{"gate": "gla", "window": 0, "mix": 0.5}"#], "the window is 0"),
    ]) func unfitConfigurationsAreErrorsOfOneLine(changes: [String: String], part: String) throws {
        let model: LlamaModel = try TransformerTests.llama()
        try TestPaths.withTemporaryFolder { folder in
            try PretrainedModel(model: model, tokenizer: tokenizer).save(to: folder)
            let file: URL = folder.appendingPathComponent("config.json")
            var fields: [String: Any] = try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
            for (name, json) in changes {
                fields[name] = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
            }
            try JSONSerialization.data(withJSONObject: fields).write(to: file)
            let text: String = complaint(about: folder)
            #expect(text.contains(part), "\(changes): \(text)")
            #expect(text.contains(folder.path) && !text.contains("\n"), "\(text)")
        }
    }

    private func complaint(about folder: URL) -> String {
        do {
            _ = try PretrainedModel.load(from: folder)
            return "no error"
        } catch { return "\(error)" }
    }

    @Test func whatIsMissingIsNamed() throws {
        try TestPaths.withTemporaryFolder { folder in
            #expect(complaint(about: folder).contains("config.json"))
            try PretrainedModel(model: try TransformerTests.llama(), tokenizer: tokenizer).save(to: folder)
            try FileManager.default.removeItem(at: folder.appendingPathComponent("tokenizer.json"))
            #expect(complaint(about: folder).contains("tokenizer.json"))
            let larger: CharacterTokenizer = CharacterTokenizer(corpus: "abcdefghijklmnopqrstuvwxyz")
            try larger.save(to: folder)
            #expect(complaint(about: folder).contains("the tokenizer beside it has 26 tokens"))
            try FileManager.default.removeItem(at: folder.appendingPathComponent("model.safetensors"))
            #expect(complaint(about: folder).contains("neither model.safetensors nor"))
            try Data("[1, 2".utf8).write(to: folder.appendingPathComponent("config.json"))
            #expect(complaint(about: folder).contains("is not a model's configuration"))
        }
    }

    @Test func bertIsReadWithAndWithoutItsPrefix() throws {
        let configuration: BertConfiguration = try BertConfiguration(
            vocabularySize: 20, dimensions: 8, hiddenDimensions: 12, layers: 1, heads: 2)
        let model: BertModel = BertModel(configuration, hasPooler: false)
        let expected: Tensor = noGrad { model(tokens).meanPooled }
        try TestPaths.withTemporaryFolder { folder in
            try JSONEncoder().encode(configuration).write(to: folder.appendingPathComponent("config.json"))
            for prefix in ["", "bert."] {
                var tensors: [String: Tensor] = Dictionary(uniqueKeysWithValues: model.stateTensors().map { (prefix + $0.0, $0.1) })
                if !prefix.isEmpty { tensors["cls.predictions.bias"] = .zeros([20]) }
                try saveTensors(tensors, to: folder.appendingPathComponent("model.safetensors"))
                #expect(try noGrad { try BertModel.load(from: folder)(tokens).meanPooled }.isEqual(to: expected))
            }
            try Data(#"{"model_type": "gpt2"}"#.utf8).write(to: folder.appendingPathComponent("config.json"))
            let error: DataFormatError? = #expect(throws: DataFormatError.self) { try BertModel.load(from: folder) }
            #expect(error?.description.contains("model_type is gpt2") == true)
        }
    }
}
