import Foundation
import NN
import Optim
import TestSupport
import Testing
import Torch
import Training

@testable import SequenceModels

/// What linearisation keeps of a model, and its training.
@Suite(.ownRandomNumbers) struct LinearizeTests {
    private let tokens: Tensor = Tensor((0..<48).map { ($0 * $0 + 3 * $0) % 20 }, [2, 24])

    @Test(arguments: [LigerGate.gla, .hgrn2, .gsa(slots: 3), .scalar, .none])
    func theParametersAreTheTeachers(gate: LigerGate) throws {
        let teacher: LlamaModel = try TransformerTests.llama()
        let student: LigerLM = try linearize(teacher, into: gate, window: 4)
        let (own, others) = (teacher.namedParameters(), student.namedParameters())
        #expect(own.map(\.name) == others.map(\.name))
        #expect(zip(own, others).allSatisfy { $0.tensor === $1.tensor })
        #expect(!noGrad { student(tokens) }.isEqual(to: noGrad { teacher(tokens) }))
    }

    @Test func aTrainedGateIsTheOneThatAdds() throws {
        let teacher: LlamaModel = try TransformerTests.llama()
        let names: [String] = try linearize(teacher, into: .learned).namedParameters().map(\.name)
        #expect(names.filter { $0.hasSuffix("self_attn.gate_proj.weight") }.count == 2)
        #expect(names.count == teacher.namedParameters().count + 2)
    }

    @Test func theWindowAloneIsTheTeacher() throws {
        let teacher: LlamaModel = try TransformerTests.llama(scaling: .linear(factor: 2))
        for window in [24, 100] {
            let student: LigerLM = try linearize(teacher, into: .gla, window: window, mix: 1)
            #expect(noGrad { student(tokens) }.isEqual(to: noGrad { teacher(tokens) }))
        }
        let short: LigerLM = try linearize(teacher, into: .gla, window: 23, mix: 1)
        #expect(!noGrad { short(tokens) }.isEqual(to: noGrad { teacher(tokens) }))
    }

    @Test func whatIsLinearCannotBeLinearised() throws {
        let student: LigerLM = try linearize(try TransformerTests.llama(), into: .gla)
        let error: ConfigurationError? = #expect(throws: ConfigurationError.self) { try linearize(student, into: .gla) }
        #expect(error?.description.contains("softmax attention") == true)
        #expect(throws: ConfigurationError.self) { try withLearnedFeatures(student) }
    }

    /// The adapted keys feed the gates as well: in a first step of HGRN2 without a window, where v and q are not adapted, they are all that can matter.
    @Test func adaptersChangeTheGates() throws {
        let student: LigerLM = try linearize(try TransformerTests.llama(), into: .scalar, mix: 0)
        let layer: LigerAttention = try #require(student.decoder.blocks[0].attention as? LigerAttention)
        let x: Tensor = .normal([1, 6, 16], dtype: .float64, generator: RandomGenerator(seed: 1))
        let before: Tensor = layer(x)
        applyLoRA(to: layer, try LoRAConfiguration(rank: 1)) { $0 == "k_proj" }
        let adapter: LoRALinear = try #require(layer.keyProjection as? LoRALinear)
        noGrad { adapter.down.fill_(1) }
        // The same amount on every channel of a head: the softmax over channels stays, the mean that the gate is made of does not.
        noGrad { adapter.up.fill_(4) }
        #expect(scaledError(layer(x), before) > 1e-6)
    }

    @Test func attentionTransferStopsAtTheTeacher() throws {
        let teacher: LlamaModel = try TransformerTests.llama()
        let student: LlamaModel = try withLearnedFeatures(teacher, window: 4)
        student.freeze { !$0.contains("feature_map") }
        let loss: Tensor = attentionTransferLoss(from: teacher, to: student, tokens: tokens)
        #expect(loss.item(Double.self) > 0)
        let maps: [Tensor] = student.trainableParameters()
        #expect(maps.count == 4)
        for gradient in gradients(of: [loss], withRespectTo: maps) { #expect(gradient.abs().max().item(Double.self) > 0) }
        let same: LigerLM = try linearize(teacher, into: .gla, window: 24, mix: 1)
        #expect(attentionTransferLoss(from: teacher, to: same, tokens: tokens).item(Double.self) == 0)
    }

    @Test func tuningTrainsTheAdaptersAlone() throws {
        let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: "abcdefghijklmnopqrst")
        let text: String = String(repeating: "abcabdabeabfcadcaecaf", count: 30)
        let corpus: LanguageModelTraining.Corpus = try LanguageModelTraining.Corpus(
            TextCorpus(texts: [text]), tokenizer: tokenizer, context: 16)
        let teacher: LlamaModel = try TransformerTests.llama()
        teacher.to(dtype: .float32)
        let stored: [Tensor] = teacher.parameters().map { $0.detached().cloned() }
        let student: LigerLM = try linearize(teacher, into: .gla, window: 4)
        let before: LanguageModelScore = corpus.score(student, context: 16, rows: 4)
        let training: LigerTraining = LigerTraining(
            liger: student.liger, lora: try LoRAConfiguration(rank: 2), optimizer: .adamw(try AdamWConfiguration(learningRate: 0.02)),
            trainer: try TrainerConfiguration(steps: 12), context: 16, rows: 4)
        let (result, score) = try training.run(student, corpus, outlet: TrainingOutlet(progress: .quiet))
        #expect(result.steps == 12 && score.loss < before.loss)
        #expect(student.adaptedLayers.count == 6)
        #expect(zip(teacher.parameters(), stored).allSatisfy { $0.isEqual(to: $1) })
        #expect(score.recovery(of: score, vocabularySize: 20) == 1)
    }
}
