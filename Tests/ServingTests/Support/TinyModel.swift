import NN
import SequenceModels
import Serving
import Torch
import Training

/// A small model of printable characters with weights that make it write without thinking twice: distinct logits, no end of text.
enum TinyModel {
    static let tokenizer: CharacterTokenizer = CharacterTokenizer(corpus: "abcdefghijklmnopqrstuvwxyz .:\n")

    static func make(_ mixer: MixerConfiguration = MixerConfiguration(.gla, heads: 2), hybrid: HybridPattern? = nil) throws -> LanguageModel
    {
        let model: LanguageModel = try LanguageModel(
            LanguageModelConfiguration(
                vocabularySize: tokenizer.vocabularySize, dimensions: 16, layers: 2, mixer: mixer, hybrid: hybrid))
        let generator: RandomGenerator = RandomGenerator(seed: 7, device: .cpu)
        noGrad {
            for (_, parameter) in model.namedParameters() where parameter.ndim > 1 {
                parameter.copy_(from: .normal(parameter.shape, standardDeviation: 0.4, device: .cpu, generator: generator))
            }
        }
        model.train(false)
        return model
    }

    static func engine(
        _ mixer: MixerConfiguration = MixerConfiguration(.gla, heads: 2), concurrent: Int = 8, queue: Int = 8, timeout: Double = 60,
        slice: Int = 256, buffered: Int = 64
    ) throws -> GenerationEngine {
        let bounds: EngineConfiguration = try EngineConfiguration(
            maximumConcurrent: concurrent, maximumQueue: queue, requestTimeout: timeout, prefillSlice: slice, bufferedPieces: buffered)
        return GenerationEngine(try make(mixer), tokenizer: tokenizer, configuration: bounds)
    }

    static func request(
        _ prompt: String, limit: Int, temperature: Double = 0, seed: UInt64 = 0, penalty: Double = 1, stop: [String] = []
    ) throws -> GenerationRequest {
        GenerationRequest(
            prompt: tokenizer.encode(prompt), limit: limit,
            sampling: try SamplingConfiguration(temperature: temperature, repetitionPenalty: penalty, seed: seed), stop: stop)
    }

    /// What the model writes by itself.
    static func alone(_ request: GenerationRequest, _ model: LanguageModel) -> String {
        tokenizer.decode(model.generate(prompt: request.prompt, limit: request.limit, sampling: request.sampling))
    }
}

/// A text that has ended.
struct Outcome: Equatable {
    var text: String = ""
    var reason: FinishReason?
    var tokens: Int = 0
}

extension Generation {
    /// Reads to the end.
    func outcome() async -> Outcome {
        var outcome: Outcome = Outcome()
        for await event in self {
            switch event {
            case .text(let text, _): outcome.text += text
            case .end(let reason, let tokens): (outcome.reason, outcome.tokens) = (reason, tokens)
            }
        }
        return outcome
    }
}
